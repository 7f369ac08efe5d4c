"""`tallystick init` makes books, and `tallystick demo --postgres` tells its story on a real PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from postgres_books import template
from tallystick.cli.main import main
from tallystick.definition import reader
from tallystick.testing.postgres_server import new_database


def tallystick(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, args)
    assert result.exit_code == code, result.output
    return result


def test_books_are_made_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    assert "no books were made there" in tallystick("verify", "--store", url, code=1).stderr
    made = json.loads(tallystick("init", "--store", url, "--json").stdout)
    assert made == {
        "store": url,
        "made": True,
        "machines": {name: [each.version] for name, each in reader.load().items()},
    }
    assert "there already" in tallystick("init", "--store", url).stdout
    tallystick("verify", "--store", url)


def test_a_journal_in_a_file_is_not_divided(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    assert "only a journal in PostgreSQL" in tallystick("init", "--store", url, "--partitions", "4", code=1).stderr
    assert list(tmp_path.iterdir()) == []


def test_books_are_made_in_postgresql_with_a_divided_journal() -> None:
    template(0)
    with new_database() as url:
        assert "no books were made there" in tallystick("verify", "--store", url, code=1).stderr
        assert json.loads(tallystick("init", "--store", url, "--partitions", "4", "--json").stdout)["made"]
        assert not json.loads(tallystick("init", "--store", url, "--json").stdout)["made"]
        assert "is divided into 4" in tallystick("init", "--store", url, "--partitions", "5", code=1).stderr
        tallystick("verify", "--store", url)


def test_a_password_is_not_printed() -> None:
    url = "postgresql://ann:k4nd1nsky@127.0.0.1:1/books?connect_timeout=2"
    for args in (["verify"], ["init"], ["show", "x"]):
        shown = tallystick(*args, "--store", url, code=1)
        assert "postgresql://ann@127.0.0.1:1/books" in shown.stderr
        assert "k4nd1nsky" not in shown.output


@pytest.mark.slow
def test_the_demo_tells_its_story_on_postgresql() -> None:
    template(0)
    told = json.loads(tallystick("demo", "--postgres", "--json").stdout)
    assert told["verify"]["clean"]

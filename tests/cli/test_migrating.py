"""`tallystick migrate` and `diff --store`: what they print, how they end, and that a look keeps no page."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tallystick.cli.main import main
from tallystick.definition import reader

BEFORE = Path(__file__).parents[1] / "data" / "books_before.db.gz"
PAYMENT = (reader.packaged_folder() / "payment.yaml").read_text(encoding="utf-8")


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "books.db"
    path.write_bytes(gzip.decompress(BEFORE.read_bytes()))
    url = f"sqlite:///{path}"
    assert tallystick("init", "--store", url).exit_code == 0  # the tables of today
    return url


def tallystick(*words: str) -> Result:
    return CliRunner().invoke(
        main, [*words, "--provider", "scripted"] if words[0] not in ("diff", "init") else list(words)
    )


def page(tmp_path: Path, text: str) -> str:
    file = tmp_path / "payment.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def kept(url: str) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute("SELECT name, version FROM machine WHERE name = 'payment' ORDER BY 2").fetchall()


def renamed(words: str) -> str:
    """The packaged payment as version 9, with another name for what is held."""
    text = "\n".join(line for line in PAYMENT.splitlines() if not line.startswith("from version"))
    text = text.replace("version: ", "version: 9 #", 1).replace("\nfacts:", f"\n{words}\nfacts:", 1)
    return text


def test_what_a_migration_would_do_is_said_and_nothing_is_kept(url: str, tmp_path: Path) -> None:
    file, before = page(tmp_path, renamed("from version 2: {}")), kept(url)
    done = tallystick("migrate", file, "--dry-run", "--store", url, "--json")
    assert done.exit_code == 1, done.output
    said = json.loads(done.stdout)
    (group,) = said["groups"]
    assert (group["machine"], group["from"], group["to"], group["entities"]) == ("payment", 2, 9, 19)
    assert group["open_calls"] == {"redeem_hold": 1}
    assert group["queued"] == {"settle": 2}
    assert {"account": "held", "becomes": "held", "currency": "BRL", "amount": "107.00"} in group["money"]
    assert [each["entities"] for each in said["in_the_way"]] == [1]
    assert said["in_the_way"][0]["examples"] == ["p-doubt"]
    assert kept(url) == before


def test_the_line_to_write_is_said(url: str, tmp_path: Path) -> None:
    done = tallystick("migrate", page(tmp_path, renamed("")), "--store", url)
    assert done.exit_code == 1
    assert "the page does not say how; write: from version 2: {}" in " ".join(done.stdout.split())
    assert "nothing is moved as long as something is in the way" in done.stdout


def test_it_is_moved_verified_and_done_only_once(url: str, tmp_path: Path) -> None:
    file = page(tmp_path, renamed("from version 2: {}"))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        ((call,),) = connection.execute("SELECT id FROM call WHERE state = 'open'").fetchall()
    ended = tallystick("resolve", call, "confirmed", "--reference", "R900", "--by", "eva", "--reason", "seen",
                       "--store", url)  # fmt: skip
    assert ended.exit_code == 0, ended.output
    said = [tallystick("migrate", file, "--store", url, "--by", "eva", "--reason", "new").stdout for _ in range(2)]
    assert said == ["19 moved\n", "0 moved\n"]
    verified = tallystick("verify", "--machines", file, "--store", url, "--json")
    assert verified.exit_code == 0, verified.output
    assert json.loads(tallystick("migrate", file, "--dry-run", "--store", url, "--json").stdout)["entities"] == 0
    assert tallystick("migrate", file, "--dry-run", "--store", url).stdout.startswith("everything stands on the newest")
    older = tallystick("migrate", page(tmp_path, PAYMENT), "--store", url)
    assert older.exit_code == 1
    assert "these books have version 9 of payment already" in older.stderr


def test_a_difference_says_what_it_means_for_some_books(url: str, tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(PAYMENT, encoding="utf-8")
    file, before = page(tmp_path, renamed("from version 2: {}")), kept(url)
    said = tallystick("diff", str(old), file, "--store", url).stdout
    assert "payment, version 2 → 9: 19 entities" in said
    assert json.loads(tallystick("diff", str(old), file, "--store", url, "--json").stdout)["in_books"]["entities"] == 19
    drawn = tallystick("diff", str(old), file, "--store", url, "--format", "svg").stdout
    assert "in the way of moving them" in drawn
    assert kept(url) == before


def test_books_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    done = tallystick("migrate", "--dry-run", "--store", f"sqlite:///{tmp_path}/none.db")
    assert done.exit_code == 1
    assert "there is no store" in done.stderr
    assert not (tmp_path / "none.db").exists()


def test_check_asks_whether_all_of_an_older_version_has_a_place(url: str, tmp_path: Path) -> None:
    """Of a file, or of what some books keep; a version that the page has no words for is no finding."""
    old = tmp_path / "old.yaml"
    old.write_text(PAYMENT, encoding="utf-8")
    gone = renamed("from version 2: {states: {requested: authorized, pending: authorized}}")
    (tmp_path / "now").mkdir()
    file = page(tmp_path / "now", gone)
    for given in (["--store", url], ["--before", str(old)], []):
        said = CliRunner().invoke(main, ["check", file, "--quick", *given])
        found = "TS128 entities of version 2 cannot all be moved: state 'pending' is none of version 2" in said.stdout
        assert found is (given[:1] == ["--store"]), said.stdout
        assert "fault in tallystick" not in said.stderr

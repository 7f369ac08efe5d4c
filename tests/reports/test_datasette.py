"""Datasette shows the views of the books with what they mean, and no table with a card number."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tallystick
from other_python import python_with
from tallystick import Invalid
from tallystick.cli.main import main
from tallystick.reports.datasette import datasette_metadata
from tallystick.store.schema.views import VIEWS

NUMBER = "6006491234567890"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with tallystick.open(f"{tmp_path}/books.db") as books:
        books.recognize("c-1", NUMBER, currency="BRL", balance="50.00", key="k1")
        books.authorize("p-1", "c-1", "20.00", order="o-1", key="k2")
    return tmp_path / "books.db"


def metadata(store: Path) -> dict[str, Any]:
    done = CliRunner().invoke(main, ["datasette", "--store", f"sqlite:///{store}"], catch_exceptions=False)
    found: dict[str, Any] = json.loads(done.stdout)["databases"]["books"]
    return found


def test_every_table_is_closed_and_every_view_says_what_it_is(store: Path) -> None:
    found = metadata(store)
    assert found["allow_sql"] is False
    with closing(sqlite3.connect(store)) as raw:
        names = dict(raw.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')").fetchall())
        columns = {name: [row[1] for row in raw.execute(f"PRAGMA table_info({name})")] for name in VIEWS}
    for name, type_ in names.items():
        if type_ == "table":
            assert found["tables"][name]["allow"] is False
    for name in VIEWS:
        assert list(found["tables"][name]["columns"]) == columns[name]
        assert found["tables"][name]["description"]


def test_other_stores_are_refused() -> None:
    with tallystick.open("memory:") as books, pytest.raises(Invalid, match="SQLite only"):
        datasette_metadata(books)


@pytest.fixture(scope="session")
def datasette() -> str:
    return python_with("datasette")


@pytest.mark.slow
def test_datasette_shows_the_views_and_nothing_else(datasette: str, store: Path, tmp_path: Path) -> None:
    file = tmp_path / "metadata.json"
    file.write_text(json.dumps({"databases": {"books": metadata(store)}}), encoding="utf-8")

    def get(path: str) -> str:
        command = [datasette, "-m", "datasette", str(store), "--metadata", str(file), "--get", path]
        return subprocess.run(command, capture_output=True, encoding="utf-8").stdout

    (owed,) = json.loads(get("/books/v_liability.json?_shape=array"))
    assert (owed["number"], owed["total"], owed["total_minor"]) == ("…7890", "50.00", 5000)
    for name in VIEWS:
        shown = get(f"/books/{name}.json?_shape=array")
        assert isinstance(json.loads(shown), list)
        assert NUMBER not in shown
    assert "masked" in get("/books/v_card")
    with closing(sqlite3.connect(store)) as raw:
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    where = "/books/v_card.json?_shape=array&_where=entity+in+(select+id+from+gift_card)"
    sql = "/books.json?sql=select+number+from+gift_card"
    for path in [*(f"/books/{name}.json?_shape=array" for name in tables), where, sql]:
        shown = get(path)
        assert NUMBER not in shown
        assert "Forbidden" in shown or "not allowed" in shown or "403" in shown, path

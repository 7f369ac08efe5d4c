"""Books that are opened to be read only: all that looks works, and nothing is written or made, whatever is called."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

import tallystick
from postgres_books import postgres_url
from tallystick.books.books import Books
from tallystick.engine.sealing import new_key
from tallystick.errors import Invalid, StoreError
from tallystick.store.rows import EntryRow

NUMBER = "6006491234567890"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Books with a card of 50.00, of which 20.00 are held."""
    file = f"sqlite:///{tmp_path}/books.db"
    with nullcontext(file) if request.param == "sqlite" else postgres_url() as url:
        with tallystick.open(url) as books:
            books.recognize("c-1", NUMBER, currency="BRL", balance="50.00", key="k1")
            books.authorize("o-1/1", "c-1", "20.00", order="o-1", key="k2")
        yield url


def test_what_looks_works_and_shows_no_number(url: str) -> None:
    with tallystick.open(url, read_only=True) as books:
        assert books.card("c-1").number == books.card("c-1").masked == "…7890"
        assert str(books.payment("o-1/1").held) == "20.00 BRL"
        assert [entry.command for entry in books.history("payment", "o-1/1")] == ["create", "authorize"]
        assert books.may("payment", "o-1/1", "settle", amount="20.00").allowed
        assert not books.stuck()
        assert books.verify().clean


@pytest.mark.parametrize("verb", [
    lambda books: books.authorize("o-2/1", "c-1", "20.00", order="o-2", key="k3"),
    lambda books: books.settle("o-1/1", "20.00", key="k3"),
    lambda books: books.sell_electronic("c-2", "20.00", "BRL", order="o-2", key="k3"),
    lambda books: books.engine.store.swap("name", None, "text"),
])  # fmt: skip
def test_what_would_write_is_refused(url: str, verb: Callable[[Books], object]) -> None:
    def entries(books: Books) -> list[EntryRow]:
        with books.engine.store.reading() as reading:
            return list(reading.journal())

    with tallystick.open(url) as books:
        before = entries(books)
    with tallystick.open(url, read_only=True) as books:
        with pytest.raises(StoreError, match="were opened to be read only; nothing was written"):
            verb(books)
        assert entries(books) == before


def test_sqlite_itself_writes_nothing_there(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    tallystick.open(f"sqlite:///{path}").close()
    with (
        tallystick.open(f"sqlite:///{path}", read_only=True) as books,
        books.engine.store._connection() as connection,  # type: ignore[attr-defined]
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("CREATE TABLE other (id)")


def test_nothing_is_made_where_there_are_no_books(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no books were made there"):
        tallystick.open(f"sqlite:///{tmp_path}/none.db", read_only=True)
    with pytest.raises(Invalid, match="there is nothing to read"):
        tallystick.open("memory:", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_an_odd_name_is_no_option_of_the_uri(tmp_path: Path) -> None:
    path = tmp_path / "b?mode=rwc#%41.db"
    tallystick.open(f"sqlite:///{path}").close()
    with tallystick.open(f"sqlite:///{path}", read_only=True) as books:
        assert books.verify().clean
    assert {each.name.split("#")[0] for each in tmp_path.iterdir()} == {"b?mode=rwc"}


def test_books_of_another_version_say_so(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    tallystick.open(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'looks'")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="were made by another version of tallystick"):
        tallystick.open(f"sqlite:///{path}", read_only=True)
    assert path.read_bytes() == before


def test_machines_are_those_that_the_books_keep(tmp_path: Path) -> None:
    page = tmp_path / "own" / "lamp.yaml"
    page.parent.mkdir()
    page.write_text(
        "machine: lamp\nversion: 1\nsummary: A lamp.\nstates:\n  off: {start: true, says: Dark.}\n"
        "  on: {final: true, says: Bright.}\ncommands:\n  switch: {}\n"
        "transitions:\n  switch: {from: off, to: on}\n"
    )
    url = f"sqlite:///{tmp_path}/books.db"
    with tallystick.open(url, machines=page.parent) as books:
        books.engine.execute("lamp", "l-1", "create", {"currency": "BRL"}, key="k")
    with tallystick.open(url, read_only=True) as books:
        assert [entry.command for entry in books.history("lamp", "l-1")] == ["create"]


def test_sealed_books_need_no_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    with tallystick.open(url, seal_key=new_key()) as books:
        books.recognize("c-1", NUMBER, currency="BRL", balance="50.00", key="k1")
    with tallystick.open(url, read_only=True) as books:
        assert books.card("c-1").masked == "…7890"
        assert books.verify().clean
        with pytest.raises(Invalid, match="finds no card by its whole number"):
            books.find(NUMBER)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "shut"
    folder.mkdir()
    url = f"sqlite:///{folder}/books.db"
    tallystick.open(url).close()
    folder.chmod(0o500)
    with tallystick.open(url, read_only=True) as books:
        assert books.verify().clean


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be two users in turn")
def test_a_reader_leaves_no_files_that_keep_the_owner_from_writing(tmp_path: Path) -> None:
    shared = Path(tempfile.mkdtemp(dir="/tmp"))  # where each user may look
    owner, analyst, group, url = 12345, 23456, 12000, f"sqlite:///{shared}/books.db"
    os.chown(shared, owner, group)
    shared.chmod(0o775)

    def sell(card: str) -> None:
        with tallystick.open(url) as books:
            books.sell_electronic(card, "5.00", "USD", order="o", key=card)

    def look() -> None:
        with tallystick.open(url, read_only=True) as books:
            assert str(books.card("c1").available) == "5.00 USD"

    def by(user: int, deed: Callable[[], None]) -> str:
        """What a process of this user says in the end: nothing, or its error."""
        told, tell = os.pipe()
        if not os.fork():
            said = ""
            try:
                os.setgroups([])
                os.setresgid(group, group, group)
                os.setresuid(user, user, user)
                deed()
            except BaseException as error:
                said = str(error)
            os.write(tell, said.encode())
            os._exit(0)
        os.close(tell)
        os.wait()
        with os.fdopen(told) as pipe:
            return pipe.read()

    try:
        assert by(owner, lambda: sell("c1")) == ""
        (shared / "books.db").chmod(0o640)
        assert "belongs to another user and nobody has it open" in by(analyst, look)
        assert by(owner, lambda: sell("c2")) == ""
        assert by(owner, look) == ""
    finally:
        shutil.rmtree(shared)

"""A command in the caller's own transaction: all of it or nothing, whatever the caller's connection is wrapped in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

import tallystick
from tallystick import Refused, StoreError
from tallystick.books.books import Books
from tallystick.errors import NotInTransaction


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@pytest.fixture
def books(file: Path) -> Iterator[Books]:
    with tallystick.open(f"sqlite:///{file}") as books:
        books.sell_electronic("c", "50.00", "BRL", order="o", key="sale")
        with closing(sqlite3.connect(file)) as db:
            db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY)")
        yield books


def reload(books: Books, connection: Any, amount: str = "1.00", key: str = "r") -> None:
    books.engine.execute("gift_card", "c", "reload", {"amount": amount}, key=key, connection=connection)


def available(books: Books) -> str:
    return str(books.card("c").available)


def test_what_the_database_refuses_leaves_nothing_in_the_callers_transaction(books: Books, file: Path) -> None:
    """The second statement of a command is refused, and the caller commits his order all the same."""
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute(
            "CREATE TRIGGER shop BEFORE UPDATE ON gift_card WHEN NEW.available > 10000 "
            "BEGIN SELECT RAISE(ABORT, 'the shop allows no more than 100'); END"
        )
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO orders VALUES ('o')")
        with pytest.raises(StoreError, match="nothing was written"):
            reload(books, db, "60.00")
        assert db.in_transaction
        db.execute("COMMIT")
        db.execute("DROP TRIGGER shop")
        assert db.execute("SELECT id FROM orders").fetchall() == [("o",)]
    assert books.verify().clean
    reload_later = books.reload("c", "1.00", key="after")
    assert (reload_later.applied, available(books)) == (True, "51.00 BRL")


def test_a_refusal_leaves_the_callers_transaction_as_it_was(books: Books, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        reload(books, db)
        with pytest.raises(Refused):
            books.engine.execute("gift_card", "c", "redeem", {"amount": "900.00"}, key="x", connection=db)
        db.execute("COMMIT")
    assert available(books) == "51.00 BRL"


WRAPPED: dict[str, Callable[[Session], Any]] = {
    "session": lambda session: session,
    "connection": lambda session: session.connection(),
    "pooled": lambda session: session.connection().connection,
    "driver": lambda session: session.connection().connection.driver_connection,
}


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_sqlalchemy_is_taken_as_it_is(books: Books, file: Path, wrapped: Callable[[Session], Any], ends: str) -> None:
    engine = create_engine(f"sqlite:///{file}")
    with Session(engine) as session:
        session.execute(text("INSERT INTO orders VALUES ('o')"))
        reload(books, wrapped(session))
        getattr(session, ends)()
    with Session(engine) as session:
        orders = session.execute(text("SELECT id FROM orders")).all()
    engine.dispose()
    assert (len(orders), available(books)) == ((1, "51.00 BRL") if ends == "commit" else (0, "50.00 BRL"))
    assert books.verify().clean


def test_sqlalchemy_has_begun_though_nothing_was_written_yet(books: Books, file: Path) -> None:
    engine = create_engine(f"sqlite:///{file}")
    with Session(engine) as session, session.begin():
        session.connection()
        reload(books, session)
        session.execute(text("INSERT INTO orders VALUES ('o')"))
    engine.dispose()
    assert available(books) == "51.00 BRL"


@pytest.mark.parametrize("given", ["x", object(), 5])
def test_what_is_no_connection_is_said(books: Books, given: object) -> None:
    with pytest.raises(NotInTransaction, match="is needed to join"):
        reload(books, given)

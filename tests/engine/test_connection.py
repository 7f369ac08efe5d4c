"""A command in the caller's own transaction: all of it or nothing, whatever the caller's connection is wrapped in."""

from __future__ import annotations

import re
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
from tallystick.engine.receipt import Ended
from tallystick.errors import NotInTransaction
from tallystick.provider.scripted import Reply, ScriptedProvider


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


# The verbs


def test_an_order_and_its_hold_are_one_transaction(books: Books, file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        with db:
            db.execute("INSERT INTO orders VALUES ('o')")
            receipt = books.authorize("p", "c", "40.00", order="o", key="k", connection=db)
        assert (receipt.applied, str(books.payment("p").held)) == (True, "40.00 BRL")
        db.execute("INSERT INTO orders VALUES ('o2')")
        with pytest.raises(Refused), db:
            books.authorize("p2", "c", "40.00", order="o2", key="k2", connection=db)
        assert db.execute("SELECT id FROM orders").fetchall() == [("o",)]
        with pytest.raises(tallystick.NotFound):
            books.payment("p2")


def test_a_refused_hold_leaves_no_payment_in_a_transaction_that_goes_on(books: Books, file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        with db:
            db.execute("INSERT INTO orders VALUES ('o')")
            with pytest.raises(Refused):
                books.authorize("p", "c", "60.00", order="o", key="k", connection=db)
        assert db.execute("SELECT id FROM orders").fetchall() == [("o",)]
    with pytest.raises(tallystick.NotFound):
        books.payment("p")
    assert books.verify().clean


def test_what_follows_a_shipment_is_done_by_send(books: Books, file: Path) -> None:
    books.authorize("p", "c", "40.00", order="o", key="k")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("INSERT INTO orders VALUES ('shipped')")
        receipt = books.settle("p", "15.00", key="ship", keep_hold=False, connection=db)
    assert books.payment("p").state == "partially_settled"
    assert [each.command for each in books.send(receipt).followed] == ["hold_again"]
    assert str(books.payment("p").held) == "25.00 BRL"
    assert books.send(receipt).last.state == "advanced_hold"


@pytest.fixture
def remote(file: Path) -> Iterator[Books]:
    with tallystick.open(f"sqlite:///{file}", provider=ScriptedProvider()) as books:
        books.sell_electronic("c", "50.00", "BRL", order="o", key="sale")
        with closing(sqlite3.connect(file)) as db:
            db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY)")
        yield books


def contacts(books: Books) -> int:
    assert isinstance(books.engine.provider, ScriptedProvider)
    return len(books.engine.provider.contacts)


def test_what_a_remote_provider_is_asked_is_pending_until_the_commit(remote: Books, file: Path) -> None:
    before = contacts(remote)
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("INSERT INTO orders VALUES ('o')")
        receipt = remote.authorize("p", "c", "40.00", order="o", key="k", pin="1234", connection=db)
        assert (receipt.result, receipt.applied, contacts(remote)) == (Ended.PENDING, False, before)
        with pytest.raises(tallystick.Pending):
            receipt.or_raise()
    assert str(remote.payment("p").in_doubt) == "40.00 BRL"
    with pytest.raises(tallystick.Invalid, match="secret"):
        remote.send(receipt)
    assert remote.send(receipt, pin="1234").applied
    assert remote.send(receipt, pin="1234").replayed
    assert (contacts(remote), str(remote.payment("p").held)) == (before + 1, "40.00 BRL")


def test_what_was_rolled_back_was_never_asked(remote: Books, file: Path) -> None:
    before = contacts(remote)
    with closing(sqlite3.connect(file)) as db:
        db.execute("INSERT INTO orders VALUES ('o')")
        receipt = remote.authorize("p", "c", "40.00", order="o", key="k", connection=db)
        db.rollback()
    with pytest.raises(tallystick.Invalid, match="there is no call"):
        remote.send(receipt)
    assert (contacts(remote), remote.verify().clean) == (before, True)


def test_recover_sends_what_nobody_has_sent(remote: Books, file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("INSERT INTO orders VALUES ('o')")
        remote.authorize("p", "c", "40.00", order="o", key="k", connection=db)
    assert isinstance(remote.engine.provider, ScriptedProvider)
    remote.engine.provider.wait(120)
    assert [receipt.applied for receipt in remote.recover()] == [True]
    assert str(remote.payment("p").held) == "40.00 BRL"


def test_less_than_was_asked_for_is_given_back_by_send_too(remote: Books, file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("INSERT INTO orders VALUES ('o')")
        receipt = remote.authorize("p", "c", "40.00", order="o", key="k", connection=db)
    assert isinstance(remote.engine.provider, ScriptedProvider)
    remote.engine.provider.reply_with([Reply("confirmed", 300)])
    with pytest.raises(tallystick.ShortApproval):
        remote.send(receipt)
    assert remote.payment("p").state == "reversed"


@pytest.mark.parametrize("by", ["send", "recover"])
def test_what_would_be_refused_by_the_time_it_is_sent_is_not_sent(remote: Books, file: Path, by: str) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("INSERT INTO orders VALUES ('o')")
        receipt = remote.authorize("p", "c", "40.00", order="o", key="k", connection=db)
    before = remote.card("c").available
    remote.suspend("c", key="lost")
    asked = contacts(remote)
    why = "it was not sent: .*gift_card 'c' is suspended and refuses hold"
    if by == "send":
        with pytest.raises(tallystick.Unavailable, match=why):
            remote.send(receipt)
    else:
        assert isinstance(remote.engine.provider, ScriptedProvider)
        remote.engine.provider.wait(120)
        (ended,) = remote.recover()
        assert re.search(why, ended.why)
    assert (contacts(remote), remote.payment("p").state) == (asked, "requested")
    assert remote.card("c").available - before == tallystick.Money.parse("40.00", "BRL")
    with pytest.raises(tallystick.Refused, match="It is suspended"):
        remote.authorize("p", "c", "40.00", order="o", key="k")
    remote.reinstate("c", key="found", reason="found")
    assert remote.authorize("p", "c", "40.00", order="o", key="k").applied
    assert remote.verify().clean


def test_what_is_still_taken_by_the_time_it_is_sent_is_sent(remote: Books, file: Path) -> None:
    """A shipment of what is held: also from a card that was suspended meanwhile, and beside another hold."""
    remote.authorize("p", "c", "20.00", order="o", key="k")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("INSERT INTO orders VALUES ('o')")
        ship = remote.settle("p", "5.00", key="s", keep_hold=True, connection=db)
        more = remote.authorize("q", "c", "99.00", order="o", key="k2", allow_partial=True, connection=db)
    remote.send(more)
    remote.suspend("c", key="lost")
    assert remote.send(ship).applied
    assert (str(remote.payment("p").redeemed), remote.payment("q").state) == ("5.00 BRL", "authorized")
    assert remote.verify().clean

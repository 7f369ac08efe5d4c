"""A call or a queued command that somebody has changed in the database stays visibly changed, whatever comes after."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import tallystick
from tallystick.errors import Invalid
from tallystick.fleet.worker import Worker
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.sqlite import SqliteStore

NOW = datetime.now(timezone.utc)
WHO = {"by": "ann", "reason": "r"}


def change(books: tallystick.Books, statement: str) -> None:
    """What somebody does who has the file, with every trigger lifted."""
    store = books.engine.store
    assert isinstance(store, SqliteStore)
    with closing(sqlite3.connect(store.path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(statement).rowcount == 1
        connection.commit()


def found(books: tallystick.Books) -> set[str]:
    return {each.code for each in books.verify().findings}


@pytest.fixture
def books(tmp_path: Path) -> Iterator[tallystick.Books]:
    """A card with 100.00; 30.00 of it held by a payment, of which 7.00 ship later."""
    with tallystick.open(str(tmp_path / "books.db")) as books:
        books.sell_electronic("c", "100.00", "BRL", order="o", key="sell")
        books.authorize("p", "c", "30.00", order="o", key="hold")
        books.settle("p", "7.00", key="later", due=NOW - timedelta(hours=1))
        yield books


def test_a_changed_command_waits_for_a_person_also_when_its_payment_has_ended(books: tallystick.Books) -> None:
    change(books, "UPDATE queue SET args = replace(args, '700', '900') WHERE key = 'later'")
    books.cancel("p", key="cancel")
    (stuck,) = books.stuck().queue
    assert (stuck.row.key, stuck.row.state) == ("later", "waiting")
    assert found(books) == {"queue_hash"}
    assert books.queue.dismiss("later", **WHO).state == "dismissed"
    assert (bool(books.stuck()), found(books)) == (False, {"queue_hash"})


def withdrawn(books: tallystick.Books) -> None:
    books.queue.withdraw("later", **WHO)
    with pytest.raises(Invalid, match="must not be done"):
        books.settle("p", "7.00", key="later", due=NOW)


def done(books: tallystick.Books) -> None:
    assert books.settle("p", "7.00", key="later").applied


def refused(books: tallystick.Books) -> None:
    """The queue had begun with it when it was changed."""
    row = books.queue.waiting()[0]
    books.cancel("p", key="cancel")
    assert books.queue.run(row.key).result == "refused"
    books.queue.dismiss("later", **WHO)


@pytest.mark.parametrize("after", [withdrawn, done, refused])
def test_a_changed_command_stays_changed(books: tallystick.Books, after: Callable[[tallystick.Books], None]) -> None:
    change(books, "UPDATE queue SET due = '2026-01-01T00:00:00.000Z' WHERE key = 'later'")
    after(books)
    assert found(books) == {"queue_hash"}


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[tallystick.Books]:
    """With a remote provider: a reload of 7.00 in doubt."""
    with tallystick.open(str(tmp_path / "remote.db"), provider="scripted") as books:
        books.sell_electronic("c", "100.00", "BRL", order="o", key="sell")
        provider = books.engine.provider
        assert isinstance(provider, ScriptedProvider)
        provider.reply_with([Reply.read("lost_after")])
        with pytest.raises(tallystick.InDoubt):
            books.reload("c", "7.00", key="doubt")
        yield books


def test_a_changed_call_stays_changed_when_a_person_ends_it(remote: tallystick.Books) -> None:
    change(remote, "UPDATE call SET attempts = 3 WHERE key = 'doubt'")
    (open_call,) = remote.stuck().calls
    remote.resolve(open_call.row.id, "declined", **WHO)
    assert found(remote) == {"call_hash"}


def test_a_call_that_is_said_to_be_unavailable_is_not_made_again(remote: tallystick.Books) -> None:
    """Somebody has put an end under a call that was done: once more would put its money on the card twice."""
    remote.reload("c", "3.00", key="once")
    provider = remote.engine.provider
    assert isinstance(provider, ScriptedProvider)
    contacts = len(provider.contacts)
    change(remote, "UPDATE call SET state = 'unavailable' WHERE key = 'once'")
    with pytest.raises(tallystick.Refused, match="was changed in the database; it is not made again"):
        remote.reload("c", "3.00", key="once")
    assert len(provider.contacts) == contacts
    assert "call_hash" in found(remote)


# Nothing is done with what a changed row says, and it stops nothing else

CANNOT_BE = [
    "steps = replace(steps, '700', '900')",
    "steps = '[]'",
    "steps = '[[1]]'",
    "steps = 'gone'",
    "steps = replace(steps, '\"c\"', '\"nobody\"')",
    "args = 'gone'",
    "verb = 'redeem'",
    "machine = 'nothing'",
    "entity = 'nobody'",
    "key = 'other'",
    "currency = 'USD'",
]


@pytest.fixture
def two(remote: tallystick.Books) -> tallystick.Books:
    """The call in doubt and another one, of 7.00 on another card. An hour later."""
    provider = remote.engine.provider
    assert isinstance(provider, ScriptedProvider)
    remote.sell_electronic("d", "100.00", "BRL", order="o", key="sell d")
    provider.reply_with([Reply.read("lost_after")])
    with pytest.raises(tallystick.InDoubt):
        remote.reload("d", "7.00", key="other doubt")
    provider.wait(3600)
    return remote


@pytest.mark.parametrize("changed", CANNOT_BE)
def test_a_changed_call_stops_no_other_and_moves_nothing_by_what_it_says(two: tallystick.Books, changed: str) -> None:
    change(two, f"UPDATE call SET {changed} WHERE key = 'doubt'")
    receipts = two.recover()
    assert [each.result for each in receipts] == ["applied", "in_doubt"]
    assert "was changed in the database" in receipts[1].why
    (open_call,) = two.stuck().calls
    assert (open_call.amount, bool(two.waiting())) == (None, False)
    with pytest.raises(Invalid, match="what it would move is not what its entries have set aside"):
        two.resolve(open_call.row.id, "confirmed", reference="H-1", **WHO)
    cards = [two.card(each) for each in ("c", "d")]
    assert [(each.available.minor, each.in_doubt.minor) for each in cards] == [(10000, 700), (10700, 0)]


@pytest.mark.parametrize("changed", ["machine = 'nothing'", "steps = 'gone'"])
def test_nor_does_it_stop_a_worker(two: tallystick.Books, changed: str) -> None:
    change(two, f"UPDATE call SET {changed} WHERE key = 'doubt'")
    assert [each.result for each in Worker(two.engine).recover()] == ["applied"]
    assert [each.row.key for each in two.stuck().calls] == ["doubt"]


@pytest.mark.parametrize("changed", ["asked = 'gone'", "note = 'gone'", "attempts = 9", "opened = 'gone'"])
def test_a_person_ends_a_changed_call_that_moves_what_was_set_aside(two: tallystick.Books, changed: str) -> None:
    change(two, f"UPDATE call SET {changed} WHERE key = 'doubt'")
    call = next(each.row.id for each in two.stuck().calls if each.row.key == "doubt")
    assert two.resolve(call, "confirmed", reference="H-1", **WHO).applied
    assert (two.card("c").available.minor, two.card("c").in_doubt.minor) == (10700, 0)
    assert found(two) & {"call_hash", "unreadable"}


def test_a_call_of_which_the_end_cannot_be_read_is_said_so(remote: tallystick.Books) -> None:
    remote.reload("c", "3.00", key="once")
    change(remote, "UPDATE call SET outcome = 'gone' WHERE key = 'once'")
    with pytest.raises(Invalid, match="was changed in the database and cannot be read"):
        remote.reload("c", "3.00", key="once")


@pytest.mark.parametrize("changed", ["args = 'gone'", "machine = 'nothing'", "entity = 'nobody'", "due = 'gone'"])
@pytest.mark.parametrize("state", ["waiting", "refused", "parked"])
def test_a_changed_command_that_cannot_be_read_is_laid_aside(books: tallystick.Books, changed: str, state: str) -> None:
    change(books, f"UPDATE queue SET {changed}, state = '{state}' WHERE key = 'later'")
    assert [each.row.key for each in books.stuck().queue] == ["later"]
    assert [each.due for each in books.queue.waiting()] == [None] * (state == "waiting")
    for tried in (lambda: books.queue.retry("later", **WHO), lambda: books.settle("p", "7.00", key="later", due=NOW)):
        with pytest.raises(Invalid):
            tried()
    assert books.queue.dismiss("later", **WHO).state == "dismissed"
    assert (bool(books.stuck()), "queue_hash" in found(books)) == (False, True)
    assert books.payment("p").held.minor == 3000

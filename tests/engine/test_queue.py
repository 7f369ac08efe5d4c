"""The queue is the user's: what waits can be listed, withdrawn and given another time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import tallystick
from tallystick import Invalid, KeyReused
from tallystick.books.books import Books
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Ended
from tallystick.provider.local import LocalProvider
from tallystick.store.sqlite import SqliteStore

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
WHO = {"by": "ann", "reason": "the customer moved it"}


@pytest.fixture(params=["memory:", "sqlite"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    with tallystick.open("memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/books.db") as books:
        books.sell_electronic("c", "50.00", "BRL", order="o", key="sale")
        books.authorize("p", "c", "40.00", order="o", key="hold")
        books.settle("p", "10.00", key="ship", due=NOON)
        yield books


def state(books: Books, key: str) -> str:
    with books.engine.store.reading() as reading:
        return reading.queued([key])[key].state


def test_what_waits_is_listed(books: Books) -> None:
    queue = books.engine.queue
    (waiting,) = queue.waiting()
    assert (waiting.key, waiting.machine, waiting.id, waiting.command) == ("ship", "payment", "p", "settle")
    assert (waiting.due, waiting.attempts, waiting.follows) == (NOON, 0, None)
    assert queue.waiting("payment", "p") == [waiting]
    assert queue.waiting("payment", "q") == queue.waiting("gift_card") == []


def test_what_waits_can_be_withdrawn_and_queued_anew(books: Books) -> None:
    queue = books.engine.queue
    queue.withdraw("ship", **WHO)
    assert (queue.waiting(), state(books, "ship")) == ([], "withdrawn")
    with pytest.raises(Invalid, match="it is withdrawn; only what is waiting can"):
        queue.withdraw("ship", **WHO)
    later = NOON + timedelta(days=1)
    assert books.settle("p", "10.00", key="ship", due=later).result is Ended.DEFERRED
    assert [each.due for each in queue.waiting()] == [later]


def test_what_waits_can_be_given_another_time(books: Books) -> None:
    queue = books.engine.queue
    with pytest.raises(KeyReused, match=r"due 2030-01-01T12:00:00\.000Z"):
        books.settle("p", "10.00", key="ship", due=NOON + timedelta(days=1))
    queue.reschedule("ship", datetime.now(timezone.utc), **WHO)
    assert [receipt.command for receipt in books.run_due()] == ["settle"]
    with pytest.raises(Invalid, match="it is done; only what is waiting can"):
        queue.reschedule("ship", NOON, **WHO)


@pytest.mark.parametrize("key", ["nothing", "\ud800", ""])
def test_what_is_not_there_is_said(books: Books, key: str) -> None:
    with pytest.raises(Invalid, match="nothing is queued under the key"):
        books.engine.queue.withdraw(key, **WHO)


def test_who_and_why_have_to_be_said(books: Books) -> None:
    with pytest.raises(Invalid, match="who decides"):
        books.engine.queue.withdraw("ship", by="", reason="r")
    with pytest.raises(Invalid, match="time zone"):
        books.engine.queue.reschedule("ship", datetime(2030, 1, 1), **WHO)


def test_a_follow_up_is_part_of_what_it_follows(books: Books) -> None:
    receipt = books.engine.execute("payment", "p", "settle", {"amount": "5.00", "keep_hold": False}, key="part")
    (key,) = receipt.follow_ups
    with pytest.raises(Invalid, match="it follows 'part', and is part of that"):
        books.engine.queue.withdraw(key, **WHO)


def test_a_payment_that_has_ended_takes_along_what_waits_for_it(books: Books) -> None:
    books.cancel("p", key="cancel")
    assert books.engine.queue.waiting() == []
    with books.engine.store.reading() as reading:
        row = reading.queued(["ship"])["ship"]
    assert (row.state, row.why) == ("withdrawn", "payment 'p' is reversed since 'cancel'")
    assert books.run_due() == []
    assert books.verify().clean


def test_what_an_ended_payment_still_answers_stays(books: Books) -> None:
    books.settle("p", "40.00", key="all")
    books.refund("p", "5.00", key="back")
    books.engine.execute("payment", "p", "refund", {"amount": "1.00"}, key="later", due=NOON)
    books.refund("p", "2.00", key="more")
    assert [each.key for each in books.engine.queue.waiting()] == ["later"]


def test_a_command_that_the_newest_page_has_not_is_done_by_the_page_of_its_entity(tmp_path: Path) -> None:
    """It was given a time under version 1; since version 2 there is no such command."""
    page = """machine: lamp
version: 1
summary: A lamp.
states:
  dark: {start: true, says: Off.}
  lit: {final: true, says: On.}
transitions:
  light: {from: dark, to: lit}
commands: {light: {}}
refuse:
  - {in: [lit], commands: [light], says: It is lit.}
"""
    newer = page.replace("version: 1", "version: 2").replace("light", "kindle")
    now = [NOON]
    store = SqliteStore(tmp_path / "books.db")
    engine = Engine(reader.read({"lamp.yaml": page}), store, LocalProvider(), clock=lambda: now[0])
    engine.execute("lamp", "l", "create", {"currency": "BRL"}, key="c")
    engine.try_execute(Command("lamp", "l", "light", {}, "k", due=NOON + timedelta(hours=1)))
    store.close()
    store = SqliteStore(tmp_path / "books.db")
    engine = Engine(reader.read({"lamp.yaml": newer}), store, LocalProvider(), clock=lambda: now[0])
    now[0] += timedelta(hours=2)
    assert [each.state for each in engine.run_due()] == ["lit"]
    store.close()

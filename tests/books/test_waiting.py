"""What waits, and for whom: nothing that goes on by itself is `stuck`, and nothing that is stuck is `waiting`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tallystick.books.books import Books
from tallystick.books.waiting import REACH, Total, total
from tallystick.definition import reader
from tallystick.engine.engine import GRACE, Engine
from tallystick.engine.receipt import Command
from tallystick.money import LIMIT, Money
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Result
from tallystick.store.open import open_store

MACHINES = reader.load()
NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
WHO = {"by": "ann", "reason": "she looked"}


class Halting:
    """A provider that does everything, or answers what a test wants."""

    name, local = "halting", False

    def __init__(self) -> None:
        self.answer: Outcome | None = None
        self.found: Outcome | NotSeen | Ambiguous | Exception = NotSeen()
        self.count = 0

    def perform(self, call: Call) -> Outcome:
        self.count += 1
        number = f"6006{self.count}" if call.verb == "allocate" else None
        return self.answer or Outcome(Result.CONFIRMED, reference=f"T{self.count}", number=number)

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Shop:
    def __init__(self, url: str) -> None:
        self.now = NOON
        self.provider = Halting()
        engine = Engine(MACHINES, open_store(url), self.provider, clock=lambda: self.now)
        self.books = Books(engine)
        self.books.sell_electronic("c", "50.00", "BRL", order="o", key="sale")
        self.books.authorize("p", "c", "40.00", order="o", key="hold")

    def lost(self) -> str:
        """A reload whose answer is lost; its call."""
        self.provider.answer = Outcome(Result.UNKNOWN, text="no answer came")
        receipt = self.books.engine.try_execute(Command("gift_card", "c", "reload", {"amount": "1.00"}, "lost"))
        self.provider.answer = None
        assert receipt.call is not None
        return receipt.call

    def where(self) -> tuple[list[str], list[str]]:
        """What waits for a person, and what goes on by itself: ids of calls, keys, payments."""
        stuck, waiting = self.books.stuck(), self.books.waiting()
        mine = [each.row.id for each in stuck.calls] + [each.row.key for each in stuck.queue]
        mine += [each.payment for each in stuck.uncovered]
        machines = [each.row.id for each in waiting.calls] + [each.row.key for each in waiting.queue]
        assert not set(mine) & set(machines)
        assert (bool(stuck), bool(waiting)) == (bool(mine), bool(machines))
        return mine, machines


@pytest.fixture(params=["memory:", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop("memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/books.db")
    yield shop
    assert shop.books.verify().clean
    shop.books.close()


def test_books_in_order_wait_for_nothing(shop: Shop) -> None:
    assert shop.where() == ([], [])


LATER = [Ambiguous("the record cannot be read", later=True), ValueError("broken")]


@pytest.mark.parametrize("found", LATER, ids=str)
def test_a_call_that_the_next_look_up_may_end_is_not_for_a_person(shop: Shop, found: Any) -> None:
    call = shop.lost()
    assert shop.where() == ([], [call])
    (waiting,) = shop.books.waiting().calls
    assert (waiting.due, waiting.amount) == (NOON + GRACE, Money(100, "BRL"))
    shop.now += 2 * GRACE
    shop.provider.found = found
    shop.books.recover()
    assert shop.where() == ([], [call])
    shop.now += REACH
    assert shop.where() == ([call], [])  # by now somebody has to know


def test_a_call_that_its_record_leaves_to_a_person_is_for_one(shop: Shop) -> None:
    call = shop.lost()
    shop.now += 2 * GRACE
    shop.provider.found = Ambiguous("two lines may be it")
    shop.books.recover()
    assert shop.where() == ([call], [])
    assert [(each.why, each.due) for each in shop.books.stuck().calls] == [("two lines may be it", None)]
    shop.provider.found = Ambiguous("the record cannot be read", later=True)
    shop.books.recover()
    assert shop.where() == ([call], [])  # it was for a person, and is
    shop.books.engine.resolve(call, "unavailable", **WHO)
    assert shop.where() == ([], [])


def test_a_call_that_was_sent_again_has_a_new_chance(shop: Shop) -> None:
    call = shop.lost()
    shop.now += 2 * GRACE
    shop.provider.found = Ambiguous("two lines may be it")
    shop.books.recover()
    shop.provider.found = NotSeen("neither was it")
    shop.provider.answer = Outcome(Result.UNKNOWN, text="no answer came")
    shop.books.recover()
    assert shop.where() == ([], [call])
    shop.now += 2 * GRACE
    shop.books.recover()
    assert shop.where() == ([call], [])  # sent twice, and not seen


def test_what_is_found_and_belongs_to_another_call_is_for_a_person(shop: Shop) -> None:
    shop.books.reload("c", "1.00", key="first")
    call = shop.lost()
    shop.now += 2 * GRACE
    shop.provider.found = Outcome(Result.CONFIRMED, reference=f"T{shop.provider.count - 1}")
    shop.books.recover()
    assert shop.where() == ([call], [])
    shop.books.engine.resolve(call, "declined", **WHO)


def test_a_command_waits_until_it_is_given_up(shop: Shop) -> None:
    shop.books.settle("p", "15.00", key="ship", due=NOON + timedelta(days=1))
    assert shop.where() == ([], ["ship"])
    (waiting,) = shop.books.waiting().queue
    assert (waiting.why, waiting.amount, waiting.due) == ("its time", Money(1500, "BRL"), NOON + timedelta(days=1))
    shop.provider.answer = Outcome(Result.UNAVAILABLE, text="closed for the night")
    for tries in range(1, 10):
        shop.now += timedelta(days=1)
        shop.books.run_due()
        (waiting,) = shop.books.waiting().queue
        assert (shop.where(), waiting.row.attempts) == (([], ["ship"]), tries)
        assert "not reached for redeem_hold: closed for the night" in waiting.why
    shop.now += timedelta(days=1)
    shop.books.run_due()
    assert shop.where() == (["ship"], [])  # parked
    assert shop.books.stuck().totals["queue"] == Total(1, {"BRL": 1500})
    shop.books.engine.queue.dismiss("ship", **WHO)
    assert shop.where() == ([], [])


def test_a_part_is_uncovered_for_a_person_only_once_no_command_will_hold_it(shop: Shop) -> None:
    shop.books.engine.execute("payment", "p", "settle", {"amount": "15.00"}, key="ship")
    assert shop.where() == ([], ["ship>hold_again"])
    assert [each.why for each in shop.books.waiting().queue] == ["it follows ship"]
    shop.provider.answer = Outcome(Result.DECLINED, text="no funds")
    shop.books.run_due()
    assert shop.where() == (["ship>hold_again", "p"], [])
    assert shop.books.stuck().totals["uncovered"] == Total(1, {"BRL": 2500})


def test_sums_go_beyond_what_one_amount_may_be() -> None:
    amounts = [Money(LIMIT, "BRL"), None, Money(LIMIT, "BRL"), Money(5, "AED")]
    assert total(amounts) == Total(4, {"AED": 5, "BRL": 2 * LIMIT})
    assert total([]) == Total(0, {})

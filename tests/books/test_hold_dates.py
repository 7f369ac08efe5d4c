"""A hold ends by a date of the shop's choosing, if nothing was shipped; an order that was paid in time goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tallystick.books.books import Books
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, GivenBack, InDoubt, Refused
from tallystick.engine.rehearsal import read_replies
from tallystick.money import Money
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Provider
from tallystick.provider.scripted import BEGINS, ScriptedProvider
from tallystick.store.memory import MemoryStore

SOON = BEGINS + timedelta(minutes=30)
WHO = {"by": "ann", "reason": "the customer asked for time"}


class Shop(Books):
    clock: ScriptedProvider

    def to(self, moment: datetime) -> list[str]:
        """It is this moment now; what was executed."""
        self.clock.wait((moment - self.clock.clock()).total_seconds())
        return [f"{each.command} {each.result}" for each in self.run_due()]

    def stands(self, payment: str) -> tuple[str, int, int, int]:
        found = self.payment(payment)
        return found.state, found.held.minor, found.uncovered.minor, found.redeemed.minor

    def free(self) -> int:
        return self.card("c").available.minor


@pytest.fixture(params=["local", "remote"])
def books(request: pytest.FixtureRequest) -> Iterator[Shop]:
    clock = ScriptedProvider()
    provider: Provider = LocalProvider() if request.param == "local" else clock
    made = Shop(Engine(reader.load(), MemoryStore(), provider, clock=clock.clock))
    made.clock = clock
    made.sell_electronic("c", "50.00", "BRL", order="s", key="sale")
    yield made
    assert made.verify().findings == ()
    assert not made.stuck().queue


def test_an_abandoned_cart_is_freed(books: Shop) -> None:
    books.authorize("cart", "c", "20.00", order="o", key="a", until=SOON)
    assert books.to(SOON - timedelta(seconds=1)) == []
    assert books.to(SOON) == ["lapse applied"]
    assert (books.stands("cart"), books.free()) == (("reversed", 0, 0, 0), 5000)
    with pytest.raises(GivenBack):
        books.authorize("cart", "c", "20.00", order="o", key="a", until=SOON)


def test_an_order_that_was_paid_in_time_is_left_alone(books: Shop) -> None:
    books.authorize("paid", "c", "20.00", order="o", key="a", until=SOON)
    books.settle("paid", "20.00", key="s")
    assert books.to(SOON) == []
    assert books.stands("paid") == ("closed", 0, 0, 2000)
    assert not books.waiting()


@pytest.mark.parametrize("keep_hold", [True, False])
def test_a_shipment_takes_the_date_away(books: Shop, keep_hold: bool) -> None:
    books.authorize("p", "c", "20.00", order="o", key="a", until=SOON)
    books.settle("p", "5.00", key="s", keep_hold=keep_hold)
    books.to(SOON)
    assert books.stands("p")[1:] == (1500, 0, 500)


@pytest.mark.parametrize("keep_hold", [True, False])
def test_the_rest_of_a_shipment_may_have_a_date_of_its_own(books: Shop, keep_hold: bool) -> None:
    books.authorize("p", "c", "20.00", order="o", key="a", until=SOON)
    books.settle("p", "5.00", key="s", keep_hold=keep_hold, until=SOON + timedelta(days=3))
    books.to(SOON)
    assert books.stands("p")[1:] == (1500, 0, 500)
    assert books.to(SOON + timedelta(days=3)) == ["lapse applied"]
    assert (books.stands("p"), books.free()) == (("closed", 0, 0, 500), 4500)


def test_the_date_is_moved_and_taken_away(books: Shop) -> None:
    books.authorize("p", "c", "20.00", order="o", key="a", until=SOON)
    books.hold_until("p", SOON + timedelta(hours=1), key="m", **WHO)
    assert books.to(SOON) == ["lapse refused"]  # at the old date it has nothing to do
    books.hold_until("p", None, key="n", **WHO)
    books.to(SOON + timedelta(days=1))
    assert books.stands("p") == ("authorized", 2000, 0, 0)
    books.hold_until("p", SOON + timedelta(days=2), key="o", **WHO)
    assert books.to(SOON + timedelta(days=2)) == ["lapse applied"]
    assert books.free() == 5000


def test_a_date_that_has_passed_is_refused(books: Shop) -> None:
    with pytest.raises(Refused, match="It would be given back at once"):
        books.authorize("p", "c", "20.00", order="o", key="a", until=BEGINS)
    assert books.free() == 5000


def test_a_hold_that_is_cancelled_takes_its_date_along(books: Shop) -> None:
    books.authorize("p", "c", "20.00", order="o", key="a", until=SOON)
    books.cancel("p", key="v")
    assert not books.waiting()
    assert books.to(SOON) == []


def test_a_shipment_in_doubt_at_the_date_is_waited_for() -> None:
    clock = ScriptedProvider()
    books = Shop(Engine(reader.load(), MemoryStore(), clock, clock=clock.clock))
    books.clock = clock
    books.sell_electronic("c", "50.00", "BRL", order="s", key="sale")
    books.authorize("p", "c", "20.00", order="o", key="a", until=SOON)
    clock.wait(1790)
    clock.reply_with(read_replies(["lost_after"]))
    with pytest.raises(InDoubt):
        books.settle("p", "20.00", key="s")
    assert books.to(SOON) == ["lapse refused"]
    assert [each.row.command for each in books.waiting().queue] == ["lapse"]
    clock.wait(600)
    books.recover()
    books.to(SOON + timedelta(hours=2))
    assert books.stands("p") == ("closed", 0, 0, 2000)
    assert not books.waiting()
    assert books.stuck().queue == ()


# --- several cards


def tender(books: Shop, until: datetime = SOON) -> str:
    books.sell_electronic("d", "50.00", "BRL", order="s", key="sale d")
    plan = books.plan(brl("70.00"), ["c", "d"])
    return books.authorize_all(plan, order="o", key="all", until=until).id


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


def held(books: Shop, tender: str) -> list[int]:
    return [part.held.minor for part in books.tender(tender).parts]


def test_all_parts_of_an_abandoned_order_are_freed(books: Shop) -> None:
    id = tender(books)
    assert held(books, id) == [5000, 2000]
    assert books.to(SOON - timedelta(seconds=1)) == []
    assert books.to(SOON) == ["lapse applied"] * 2
    assert (held(books, id), books.free()) == ([0, 0], 5000)
    with pytest.raises(GivenBack):
        tender(books)
    books.cancel_all(id, key="over")
    assert books.tender(id).state == "given_back"


def test_a_shipment_takes_the_date_away_from_all_parts(books: Shop) -> None:
    id = tender(books)
    books.settle_all(id, "50.00", key="ship")
    assert books.to(SOON) == ["lapse refused"], "it is dropped"
    assert held(books, id) == [0, 2000]
    books.settle_all(id, "20.00", key="ship the rest")
    assert (books.tender(id).state, books.waiting().queue) == ("paid", ())


def test_no_part_is_held_until_a_moment_that_has_passed(books: Shop) -> None:
    with pytest.raises(Refused, match="It would be given back at once"):
        tender(books, until=BEGINS - timedelta(days=1))
    assert (books.free(), books.tenders("o")) == (5000, [])


def test_what_follows_at_once_is_waited_for_even_if_the_clock_is_set_back(books: Shop) -> None:
    """What a page puts off is not waited for. What only looks put off, because it is earlier now, is."""
    id = tender(books)
    shares = {part.id: Money(1000, "BRL") for part in books.tender(id).parts}
    args = {"amount": Money(2000, "BRL"), "shares": shares}
    assert books.engine.try_execute(Command("tender", id, "settle", args, "ship")).follow_ups
    books.clock.wait(-5)
    refusal = books.engine.may("tender", id, "settle", args).refusal
    assert refusal is not None
    assert "A part is not done with what came before" in str(refusal)
    assert "settle applied" in books.to(BEGINS + timedelta(minutes=1))

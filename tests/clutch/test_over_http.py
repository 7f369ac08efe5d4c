"""Orders edited, cards taken back, moved and expired: at a sandbox in a process of its own, over real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest

from tallystick import Money, Refused
from tallystick.books.books import Books
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.settings import ClutchSettings
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.store.open import open_store

pytestmark = pytest.mark.slow  # it starts a process
GIVEN = ("api_key", "api_secret", "brand", "location", "terminal")


class Clock:
    """The time, and however much later a test has it."""

    later = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(timezone.utc) + self.later


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books(clock: Clock) -> Iterator[Books]:
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "tallystick.clutch.sandbox", "--port", "0", "--card-set", "GIFT:9", "--seed", "1"]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert served.stdout is not None
        known = json.loads(served.stdout.readline())
        settings = ClutchSettings(
            base_url=known["url"], card_sets={"gift": "GIFT"}, **{name: known[name] for name in GIVEN}
        )
        with closing(ClutchProvider(settings)) as provider:
            engine = Engine(reader.load(), open_store("memory:"), provider, clock=clock, pin_policy="optional")
            with Books(engine) as opened:
                yield opened
                assert opened.reconcile().findings == ()
                assert opened.verify().clean
                assert not opened.stuck()
    finally:
        served.terminate()
        served.wait(10)
        if served.stdout:
            served.stdout.close()


def usd(text: str) -> Money:
    return Money.parse(text, "USD")


def test_an_order_is_edited_and_its_cards_are_moved_and_taken_back(books: Books) -> None:
    for card, amount in (("a", "50.00"), ("b", "20.00")):
        books.sell_electronic(card, amount, "USD", order="sale", key=card)
    books.authorize("p", "a", "40.00", order="o", key="hold")
    books.reduce("p", "15.00", key="a line less")
    assert (books.card("a").available, books.payment("p").held) == (usd("25.00"), usd("25.00"))
    books.settle("p", "10.00", key="ship")
    books.reduce("p", "5.00", key="another line less")
    books.settle("p", "10.00", key="ship the rest", last=True)
    assert books.card("a").available == usd("30.00")
    books.move("a", "b", "10.00", key="move")
    assert (books.card("a").available, books.card("b").available) == (usd("20.00"), usd("30.00"))
    books.take_back("a", key="returned")
    assert (books.card("a").state, books.card("a").available) == ("taken_back", usd("0.00"))
    with pytest.raises(Refused, match="It was taken back"):
        books.refund("p", "1.00", key="to nowhere")
    books.refund_to("p", "1.00", "b", key="to the other card")
    assert books.card("b").available == usd("31.00")


def test_a_card_expires_and_what_comes_back_after_that(books: Books, clock: Clock) -> None:
    day = clock() + timedelta(days=1)
    books.sell_electronic("c", "30.00", "USD", order="sale", key="c", expires=day)
    books.authorize("forgotten", "c", "10.00", order="o", key="forgotten", until=day - timedelta(hours=1))
    books.authorize("kept", "c", "5.00", order="o", key="kept")
    clock.later = timedelta(days=2)
    with pytest.raises(Refused, match="It has expired"):
        books.authorize("late", "c", "1.00", order="o", key="late")
    books.run_due()
    assert (books.card("c").available, books.card("c").held) == (usd("0.00"), usd("5.00"))
    books.settle("kept", "2.00", key="ship", last=True)
    books.run_due()
    assert (books.card("c").available, books.card("c").held) == (usd("0.00"), usd("0.00"))


def test_a_card_is_delivered_on_its_day(books: Books, clock: Clock) -> None:
    day, pins = clock() + timedelta(days=9), list[str]()
    books.engine.on_pin = lambda card, pin: pins.append(card)
    owner = {"first_name": "Ana", "email": "ana@example.com"}
    sale = books.sell_electronic("c", "30.00", "USD", order="o", key="c", owner=owner, deliver=day)
    other = books.sell_electronic("d", "30.00", "USD", order="o", key="d", deliver=day)
    assert (sale.number is not None, sale.pin is not None, pins) == (True, True, ["c", "d"])
    books.deliver_on("d", None, key="odd", by="ann", reason="a stolen credit card?")
    clock.later = timedelta(days=8)
    assert books.run_due() == []
    clock.later = timedelta(days=10)
    books.run_due()
    assert (books.card("c").available, books.card("d").state) == (usd("30.00"), "activated")
    books.cancel_sale("d", key="it was", by="ann", reason="stolen")
    books.run_due()
    assert (other.number, books.card("d").available) == (books.card("d").number, usd("0.00"))
    books.authorize("p", "c", "10.00", order="o-2", key="hold")


def test_a_replacement_is_undone_when_the_old_card_is_found(books: Books) -> None:
    books.sell_electronic("a", "50.00", "USD", order="sale", key="a")
    books.authorize("p", "a", "20.00", order="o", key="hold")
    books.replace("a", "b", key="lost", card_set="GIFT")
    books.redeem("q", "b", "5.00", order="o-2", key="shop")
    books.undo_replacement("lost", key="found", by="ann", reason="it was in another coat")
    assert (books.card("a").state, books.card("a").available) == ("issued", usd("25.00"))
    assert (books.card("b").state, books.card("b").available) == ("replaced", usd("0.00"))
    books.settle("p", "20.00", key="ship")
    books.redeem("r", "a", "25.00", order="o-3", key="again")

"""Checkouts against the sandbox: one stage and two, every way to lose an answer, and what the record says then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest

from clutch_world import settings_of
from tallystick.clutch.checkout import Basket, Bought, Checkout, Checkouts, Product, _fit
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import Sandbox, Settings
from tallystick.clutch.transport import Answer, InProcess
from tallystick.provider.protocol import Ambiguous, Call, CardFacts, NotSeen, Outcome, Result

LOST = ["lost_after", "500_after", "broken_json", "truncated", "slow:900ms"]
NOT_DONE = ["lost_before", "500_before"]
DONE, NOT = "done", "not done"


class Till:
    """A card with 50.00 in a program that redeems at checkout; the clock stands still until it is moved."""

    def __init__(self, *, shows: bool = True, **more: Any) -> None:
        self.now = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)
        program = Settings(checkout_redeems=True, checkout_lookup_shows_products=shows)
        self.sandbox = Sandbox(program, {"GIFT": 3}, seed=5, clock=lambda: self.now.timestamp())
        self.inner, self.fault = InProcess(self.sandbox, read_timeout=0.2), "none"
        self.provider = ClutchProvider(settings_of(self.sandbox, **more), self, clock=lambda: self.now)
        self.checkouts = Checkouts(self.provider)
        card = CardFacts("c", "USD", card_set="GIFT", form="electronic")
        number = self.provider.perform(Call("a", "allocate", card, {})).number
        self.provider.perform(Call("b", "issue", attrs.evolve(card, number=number), {"amount": 5000}))
        self.basket = Basket("basket-1", "USD", [Product("shoe", 1, 300), Product("sock", 2, 100)], 500, number, "o-1")
        self.claimed: set[str] = set()

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        fault, self.fault = (self.fault, "none") if method == "checkout" else ("none", self.fault)
        return self.inner.send(method, {**headers, "x-sandbox-fault": fault}, body)

    def close(self) -> None: ...

    def available(self) -> int:
        return self.sandbox.balances(str(self.basket.card)).get("USD", 0)

    def look_up(self, basket: Basket | None = None, *, later: float = 60.0) -> Checkout | NotSeen | Ambiguous:
        asked, self.now = self.now, self.now + timedelta(seconds=later)
        return self.checkouts.look_up(basket or self.basket, asked, claimed=self.claimed)


def made(found: object) -> Checkout:
    assert isinstance(found, Checkout), found
    return found


def ended(found: object) -> Outcome:
    assert isinstance(found, Outcome), found
    return found


def test_one_stage() -> None:
    till = Till()
    done = made(till.checkouts.one_stage(till.basket))
    assert [(code, str(amount), discount) for _, code, amount, discount in done.mutations] == [("USD", "-5.00", True)]
    assert till.available() == 4500
    read = till.checkouts.read(str(done.reference))
    shown = (Bought("shoe", Decimal(1), Decimal(3)), Bought("sock", Decimal(2), Decimal(1)))
    assert (read.mutations, read.bought) == (done.mutations, shown)
    assert read.location == till.provider.settings.location


def test_two_stages() -> None:
    till = Till()
    set_up = made(till.checkouts.set_up(till.basket))
    assert till.available() == 5000
    assert [str(amount) for *_, amount, _ in set_up.mutations] == ["-5.00"]
    done = made(till.checkouts.complete(till.basket, str(set_up.reference)))
    assert till.available() == 4500
    assert made(till.checkouts.complete(till.basket, str(set_up.reference))) == done, "it has an id of its own"
    again = attrs.evolve(till.basket, id="another")
    assert ended(till.checkouts.complete(again, str(set_up.reference))).result is Result.DECLINED
    assert till.available() == 4500


def test_an_anonymous_one_has_no_card() -> None:
    till = Till()
    basket = attrs.evolve(till.basket, card=None)
    assert made(till.checkouts.one_stage(basket)).mutations == ()
    till.fault = "lost_after"
    assert ended(till.checkouts.one_stage(basket)).result is Result.UNKNOWN
    assert isinstance(till.look_up(basket), Ambiguous)


@pytest.mark.parametrize("stage", ["one", "second"])
@pytest.mark.parametrize("fault", [*LOST, *NOT_DONE])
def test_a_lost_one_is_found_if_it_was_done(fault: str, stage: str) -> None:
    till = Till()
    till.claimed.add(str(made(till.checkouts.one_stage(attrs.evolve(till.basket, id="earlier"))).reference))
    till.now += timedelta(seconds=1)
    set_up = made(till.checkouts.set_up(till.basket)) if stage == "second" else None
    till.fault = fault
    lost = (
        till.checkouts.one_stage(till.basket)
        if set_up is None
        else till.checkouts.complete(till.basket, str(set_up.reference))
    )
    assert ended(lost).result is Result.UNKNOWN
    assert isinstance(till.look_up(later=5), Ambiguous)  # it may still be on its way
    found = till.look_up()
    if fault in NOT_DONE:
        assert isinstance(found, NotSeen)
        assert till.available() == 4500
    else:
        assert till.available() == 4000
        assert [str(amount) for *_, amount, _ in made(found).mutations] == ["-5.00"]
        assert made(till.checkouts.read(str(made(found).reference))).bought[1].sku == "sock"


def test_a_set_up_applies_nothing_and_is_done_again() -> None:
    till = Till()
    till.fault = "lost_after"
    assert ended(till.checkouts.set_up(till.basket)).result is Result.UNKNOWN
    assert isinstance(till.checkouts.look_up(till.basket, till.now, sets_up=True), NotSeen)
    assert till.available() == 5000


def test_another_till_bought_the_same_and_a_person_decides() -> None:
    till = Till()
    till.fault = "lost_after"
    till.checkouts.one_stage(till.basket)
    made(till.checkouts.one_stage(attrs.evolve(till.basket, id="twin")))  # at our location, of nobody we know
    found = till.look_up()
    assert isinstance(found, Ambiguous)
    assert found.evidence.startswith("2 may be it: ")
    assert str(till.basket.card) not in found.evidence


def test_other_goods_or_another_location_are_not_it() -> None:
    till = Till()
    other = ClutchProvider(attrs.evolve(till.provider.settings, location="elsewhere"), till, clock=lambda: till.now)
    made(Checkouts(other).one_stage(attrs.evolve(till.basket, id="x")))
    made(till.checkouts.one_stage(attrs.evolve(till.basket, id="y", products=[Product("hat", 1, 500)])))
    till.fault = "lost_before"
    till.checkouts.one_stage(till.basket)
    assert isinstance(till.look_up(), NotSeen)


@pytest.mark.parametrize(
    "products",
    [[Product("shoe", 30, 300), Product("sock", 2, 100)], [Product("shoe", 1, 301), Product("sock", 2, 100)]],
)
@pytest.mark.parametrize(("shows", "found"), [(True, NotSeen), (False, Ambiguous)])
def test_other_quantities_or_prices_are_not_it(products: list[Product], shows: bool, found: type) -> None:
    """Another till at our location bought them while ours was lost. Where only SKUs are shown, it may be ours."""
    till = Till(shows=shows)
    till.fault = "lost_before"
    till.checkouts.one_stage(till.basket)
    made(till.checkouts.one_stage(attrs.evolve(till.basket, id="theirs", products=products)))
    assert isinstance(till.look_up(), found)


def test_a_lost_one_of_which_only_the_goods_are_shown_is_for_a_person() -> None:
    till = Till(shows=False)
    till.fault = "lost_after"
    till.checkouts.one_stage(till.basket)
    found = till.look_up()
    assert isinstance(found, Ambiguous)
    assert found.evidence.startswith("1 may be it: ")


ONE, TWO = Decimal(1), Decimal(2)
PAIR = [Product("a", 1, 100), Product("a", 2, 100), Product("b", 1, 200)]


@pytest.mark.parametrize(
    ("bought", "fit"),
    [
        ([("b", ONE, TWO), ("a", TWO, ONE), ("a", ONE, ONE)], 2),  # in whatever order
        ([("b", ONE, TWO), ("a", TWO, ONE), ("a", TWO, ONE)], 0),
        ([("a", ONE, ONE), ("b", ONE, TWO)], 0),
        ([("a",), ("a",), ("b",)], 1),
        ([("a", TWO), ("a", ONE), ("b",)], 1),
        ([("a", Decimal(30)), ("a",), ("b",)], 0),
        ([("a",), ("a",), ("b", None, ONE)], 0),
        ([("a",), ("b",)], 0),
        ([], 0),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_basket_is_compared(bought: list[tuple[Any, ...]], fit: int) -> None:
    shown = Checkout("t", None, None, (), tuple(Bought(*each) for each in bought))
    assert _fit(shown, Basket("b", "USD", PAIR, 500)) == fit


def test_a_record_that_cannot_be_read_decides_nothing() -> None:
    till = Till(read_attempts=1)
    till.fault = "lost_after"
    till.checkouts.one_stage(till.basket)
    down = {"cardHistory", "checkoutLookup"}
    inner = till.inner

    class Down:
        def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
            return Answer(500, b"") if method in down else inner.send(method, headers, body)

    till.inner = Down()  # type: ignore[assignment]
    assert isinstance(till.look_up(), Ambiguous)
    down.remove("cardHistory")
    assert isinstance(till.look_up(), Ambiguous)
    down.clear()
    assert isinstance(till.look_up(later=0), Checkout | Ambiguous)


@pytest.mark.parametrize(("fault", "result"), [("429", Result.UNAVAILABLE), ("lost_after", Result.UNKNOWN)])
def test_every_end_is_an_outcome(fault: str, result: Result) -> None:
    till = Till()
    till.fault = fault
    assert ended(till.checkouts.one_stage(till.basket, "0000")).result is result
    assert ended(till.checkouts.one_stage(attrs.evolve(till.basket, card="1"))).result is Result.DECLINED

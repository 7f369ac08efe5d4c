"""Two cards pay for an order at Clutch, and the second one is trouble: what is claimed is held now, and a try works."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import tallystick
from clutch_world import settings_of
from tallystick.books.books import Books
from tallystick.books.views import Plan
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import Sandbox
from tallystick.clutch.transport import Answer, InProcess
from tallystick.money import Money

TEN = Money.parse("10.00", "USD")
PLAN = Plan((("a", TEN), ("b", TEN)), Money.zero("USD"))


class Shop:
    """Two cards of 50.00 each. `faults` are those of the next requests that hold or redeem, one each."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
        self.faults: list[str] = []
        self.sandbox = Sandbox(card_sets={"GIFT": 4}, seed=3, clock=lambda: self.now.timestamp())
        self.inner = InProcess(self.sandbox)
        provider = ClutchProvider(settings_of(self.sandbox), self, clock=lambda: self.now, sleep=lambda seconds: None)
        self.pins: dict[str, str] = {}
        self.books: Books = tallystick.open("memory:", provider=provider, on_pin=self.pins.__setitem__)
        for card in ("a", "b"):
            self.books.sell_electronic(card, "50.00", "USD", order="s", card_set="GIFT", key=f"sell {card}")

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        spends = json.loads(body).get("action") in ("hold", "redeem")
        fault = self.faults.pop(0) if self.faults and spends else "none"
        return self.inner.send(method, {**headers, "x-sandbox-fault": fault}, body)

    def close(self) -> None: ...

    def hold(self, key: str, **more: Any) -> Any:
        return self.books.authorize_all(PLAN, order="o", key=key, **{"pins": self.pins, **more})

    @property
    def held(self) -> list[tuple[int, int]]:
        """By our books and by the provider's."""
        cards = [self.books.card(each) for each in ("a", "b")]
        return [(each.held.minor, sum(self.sandbox.holds(str(each.number)).values())) for each in cards]

    def is_sound(self) -> bool:
        at_rest = not self.books.stuck() and not self.books.waiting()
        return at_rest and self.books.verify().clean and self.books.reconcile().clean


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_mistyped_pin_holds_nothing_and_the_right_one_needs_a_new_key(shop: Shop) -> None:
    with pytest.raises(tallystick.Declined, match="Invalid card PIN"):
        shop.hold("one", pins={"a": shop.pins["a"], "b": "999"})
    assert shop.held == [(0, 0), (0, 0)]
    with pytest.raises(tallystick.GivenBack):
        shop.hold("one")
    assert shop.held == [(0, 0), (0, 0)]
    assert shop.hold("two").approved == TEN + TEN
    assert shop.held == [(1000, 1000), (1000, 1000)]
    assert shop.is_sound()


def test_a_card_that_was_turned_away_leaves_no_phantom(shop: Shop) -> None:
    shop.faults = ["none", "429"]
    with pytest.raises(tallystick.Unavailable):
        shop.hold("one")
    assert shop.held == [(0, 0), (0, 0)]
    with pytest.raises(tallystick.GivenBack):
        shop.hold("one")
    tender = shop.hold("two")
    assert [(part.state, part.held) for part in tender.parts] == [("authorized", TEN), ("authorized", TEN)]
    assert shop.hold("two") == tender, "said again, it tells of now"
    assert (shop.held, shop.is_sound()) == ([(1000, 1000), (1000, 1000)], True)


@pytest.mark.parametrize("fault", ["lost_before", "lost_after"])
def test_while_one_answer_is_lost_the_other_stays_and_then_both_are_what_is_said(shop: Shop, fault: str) -> None:
    shop.faults = ["none", fault]
    for _ in range(2):
        with pytest.raises(tallystick.InDoubt, match="o/a stays held until that is known"):
            shop.hold("one")
    assert (shop.books.payment("o/a").held, shop.books.payment("o/b").in_doubt) == (TEN, TEN)
    with pytest.raises(tallystick.Refused, match="its answer is not known yet"):
        shop.books.cancel("o/b", key="no")
    shop.now += timedelta(minutes=2)
    shop.books.recover()
    shop.books.run_due()
    held = shop.held
    if fault == "lost_after":
        assert (shop.hold("one").approved, held) == (TEN + TEN, [(1000, 1000), (1000, 1000)])
    else:  # a PIN is kept nowhere, so it cannot be sent again
        assert held == [(0, 0), (0, 0)]
        with pytest.raises(tallystick.GivenBack):
            shop.hold("one")
        assert shop.hold("two").approved == TEN + TEN
    assert shop.is_sound()


def test_what_is_approved_short_is_no_success(shop: Shop) -> None:
    shop.faults = ["short_approval"]
    with pytest.raises(tallystick.ShortApproval, match="is given back"):
        shop.books.authorize("p", "a", "20.00", order="o", key="p", pin=shop.pins["a"])
    shop.faults = ["short_approval"]
    with pytest.raises(tallystick.ShortApproval, match="is given back"):
        shop.books.redeem("q", "b", "20.00", order="o", key="q", pin=shop.pins["b"])
    payments = [shop.books.payment(each) for each in ("p", "q")]
    assert [(each.approved.minor, each.remaining) for each in payments] == [(0, TEN + TEN), (0, TEN + TEN)]
    assert [shop.books.card(each).available.minor for each in ("a", "b")] == [5000, 5000]
    assert (shop.held, shop.is_sound()) == ([(0, 0), (0, 0)], True)

"""A card that has a PIN, or may have one, is held and redeemed with it only; what is sent asks Clutch to check it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import tallystick
from clutch_world import settings_of
from tallystick.books.books import Books
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import CardSet, Sandbox
from tallystick.clutch.transport import Answer, InProcess, Lost
from tallystick.core.refusal import Code
from tallystick.engine.receipt import Command, Declined, Refused
from tallystick.engine.sealing import new_key
from tallystick.errors import Invalid
from tallystick.money import Money

SETS = {"GIFT": 9, "BARE": CardSet(3, pins=False), "PLASTIC": CardSet(3, physical=True)}


class Wire:
    def __init__(self, sandbox: Sandbox) -> None:
        self.inner, self.sent, self.down = InProcess(sandbox), list[dict[str, Any]](), False

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.sent.append(json.loads(body))
        if self.down:
            raise Lost
        return self.inner.send(method, headers, body)

    def close(self) -> None: ...


class Shop:
    def __init__(self, pin_policy: Any = None, seal_key: str | None = None, **settings: Any) -> None:
        self.sandbox = Sandbox(card_sets=SETS, seed=4)
        self.wire = Wire(self.sandbox)
        self.provider = ClutchProvider(settings_of(self.sandbox, **settings), self.wire)
        more: dict[str, Any] = {} if pin_policy is None else {"pin_policy": pin_policy}
        self.books: Books = tallystick.open("memory:", provider=self.provider, seal_key=seal_key, **more)

    def sell(self, card: str = "c", card_set: str = "GIFT") -> str | None:
        return self.books.sell_electronic(card, "50.00", "USD", order="o", card_set=card_set, key=f"sell {card}").pin

    def plastic(self) -> str:
        number = self.sandbox.inventory("PLASTIC")[0]
        self.books.ship_physical("c", number, "50.00", "USD", order="o", key="ship c")
        return number

    @property
    def held(self) -> int:
        return sum(self.sandbox.holds(str(self.books.card("c").number)).values())


@pytest.fixture
def shop() -> Shop:
    return Shop()


def refused(shop: Shop, **more: Any) -> str:
    sent = len(shop.wire.sent)
    with pytest.raises(Refused) as caught:
        shop.books.authorize("p", "c", "20.00", order="o", key="k", **more)
    refusal = caught.value.receipt.refusal
    assert refusal is not None
    assert refusal.code is Code.PIN_NEEDED
    assert len(shop.wire.sent) == sent, "before anything is sent"
    return str(caught.value)


@pytest.mark.parametrize("seal_key", [None, new_key()], ids=["readable", "sealed"])
def test_without_its_pin_a_card_is_neither_held_nor_redeemed(seal_key: str | None) -> None:
    shop = Shop(seal_key=seal_key)
    pin = shop.sell()
    assert "gift_card 'c' has a PIN, and none was given; it takes the PIN (pin), or the name" in refused(shop)
    with pytest.raises(Refused, match="has a PIN"):
        shop.books.redeem("p", "c", "20.00", order="o", key="k")
    with pytest.raises(Refused, match="has a PIN"):
        shop.books.engine.execute("gift_card", "c", "redeem", {"amount": "20.00"}, key="k")
    may = shop.books.may("payment", "new", "authorize", card="c", order="o", amount="20.00")
    assert may.refusal is not None
    assert may.refusal.code is Code.PIN_NEEDED
    assert shop.books.may("payment", "new", "authorize", card="c", order="o", amount="20.00", pin=pin).allowed

    with pytest.raises(Declined) as caught:
        shop.books.authorize("p", "c", "20.00", order="o", key="wrong", pin="0" if pin != "0" else "1")
    assert caught.value.receipt.outcome is not None
    assert caught.value.receipt.outcome.reason == "wrong_pin"
    assert shop.held == 0
    assert shop.books.authorize("q", "c", "20.00", order="o", key="k", pin=pin).applied
    assert (shop.held, shop.wire.sent[-1]["forcePinValidation"], shop.wire.sent[-1]["pin"]) == (2000, True, pin)
    assert shop.books.verify().findings == ()


def test_nor_is_it_paid_out_in_cash(shop: Shop) -> None:
    limits = {"cash_out_limit": "60.00"}
    pin = shop.books.sell_electronic("c", "50.00", "USD", order="o", card_set="GIFT", key="s", limits=limits).pin
    with pytest.raises(Refused, match="has a PIN"):
        shop.books.cash_out("c", key="cash")
    assert shop.books.cash_out("c", key="cash", pin=pin).applied
    assert (shop.wire.sent[-1]["forcePinValidation"], shop.books.card("c").available.minor) == (True, 0)


def test_what_takes_no_pin_goes_without(shop: Shop) -> None:
    pin = shop.sell()
    shop.books.authorize("p", "c", "20.00", order="o", key="k", pin=pin)
    assert shop.books.settle("p", "5.00", key="ship").applied
    assert shop.books.payment("p").state == "advanced_hold"
    assert "pin" not in shop.wire.sent[-1]
    assert shop.books.settle("p", "15.00", key="ship the rest").applied
    assert shop.books.refund("p", "1.00", key="refund").applied


def test_a_member_of_staff_goes_without(shop: Shop) -> None:
    shop.sell()
    assert shop.books.authorize("p", "c", "20.00", order="o", key="k", by="ann").applied
    assert shop.held == 2000


def test_a_key_that_is_said_again_needs_no_pin(shop: Shop) -> None:
    pin = shop.sell()
    shop.books.authorize("p", "c", "20.00", order="o", key="k", pin=pin)
    assert shop.books.authorize("p", "c", "20.00", order="o", key="k").replayed
    assert shop.held == 2000


def test_of_several_cards_each_needs_its_own(shop: Shop) -> None:
    pins = {"c": shop.sell("c"), "d": shop.sell("d")}
    tender = shop.books.plan(Money(8000, "USD"), ["c", "d"])
    sent = len(shop.wire.sent)
    with pytest.raises(Refused, match="gift_card 'd' has a PIN, and none was given"):
        shop.books.authorize_all(tender, order="o", key="all", pins={"c": str(pins["c"])})
    assert len(shop.wire.sent) == sent, "nothing was held of the first card either"
    shop.books.authorize_all(tender, order="o", key="all", pins={name: str(pin) for name, pin in pins.items()})
    assert shop.held == 5000


def test_a_card_that_was_drawn_without_a_pin_needs_none(shop: Shop) -> None:
    assert shop.sell(card_set="BARE") is None
    assert shop.books.authorize("p", "c", "20.00", order="o", key="k").applied
    assert "pin" not in shop.wire.sent[-1]


def test_of_a_card_that_came_by_its_number_it_is_not_known(shop: Shop) -> None:
    number = shop.plastic()
    assert "gift_card 'c' may have a PIN" in refused(shop)
    assert shop.books.authorize("p", "c", "20.00", order="o", key="k", pin=shop.sandbox.pin(number)).applied


@pytest.mark.parametrize("seal_key", [None, new_key()], ids=["readable", "sealed"])
def test_old_numbers_have_no_pin_by_rule(seal_key: str | None) -> None:
    shop = Shop(seal_key=seal_key, pinless_numbers="4831.*")
    shop.plastic()
    assert shop.books.authorize("p", "c", "20.00", order="o", key="k").applied


@pytest.mark.parametrize(
    ("policy", "drawn", "by_number"),
    [("required", True, True), ("if_known", True, False), ("optional", False, False)],
)
def test_what_a_shop_demands_is_its_choice(policy: str, drawn: bool, by_number: bool) -> None:
    for needed, sold in ((drawn, Shop.sell), (by_number, Shop.plastic)):
        shop = Shop(policy)
        sold(shop)
        if needed:
            refused(shop)
        else:
            assert shop.books.authorize("p", "c", "20.00", order="o", key="k").applied


def test_another_word_is_no_policy() -> None:
    with pytest.raises(Invalid, match=r"pin_policy is required, if_known, optional, not 'requird'\. Did you mean"):
        Shop("requird")


@pytest.mark.parametrize("provider", ["local", "scripted"])
def test_a_provider_without_pins_asks_for_none(provider: str) -> None:
    with tallystick.open("memory:", provider=provider) as books:
        books.sell_electronic("c", "50.00", "USD", order="o", key="sell")
        assert books.authorize("p", "c", "20.00", order="o", key="k").applied


def test_the_books_keep_that_there_is_a_pin_and_not_the_pin(tmp_path: Path) -> None:
    shop = Shop()
    shop.books = tallystick.open(str(tmp_path / "books.db"), provider=shop.provider)
    pin = shop.sell()
    shop.books.authorize("p", "c", "20.00", order="o", key="k", pin=pin)
    with shop.books.engine.store.reading() as reading:
        card = reading.entity("gift_card", "c")
        assert card is not None
        assert card.facts["has_pin"] is True
        kept = repr([card, list(reading.all_calls()), shop.books.history("gift_card", "c")])
    assert f"'{pin}'" not in kept
    assert f'"{pin}"' not in kept


def test_a_person_who_names_a_drawn_card_does_not_say_that_it_has_none(shop: Shop) -> None:
    number = shop.sandbox.post("allocate", {"cardSetId": "GIFT"}).json()["cardNumber"]
    engine = shop.books.engine
    engine.execute("gift_card", "c", "create", {"form": "electronic", "card_set": "GIFT", "currency": "USD"}, key="1")
    shop.wire.down = True
    call = engine.try_execute(Command("gift_card", "c", "allocate", {}, "2")).call
    assert call is not None
    engine.resolve(call, "confirmed", number=number, by="ann", reason="it is in the portal")
    with engine.store.reading() as reading:
        card = reading.entity("gift_card", "c")
    assert card is not None
    assert (card.state, card.facts["has_pin"]) == ("allocated", None)

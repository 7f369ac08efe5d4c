"""Cards come into a customer's hands, over HTTP: what is sent, in which order, for which order, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

import tallystick
from clutch_world import World, settings_of
from tallystick import Books, Declined, InDoubt, Invalid, Money, NotFound, Refused, Unavailable
from tallystick.books.views import Sale
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import CardSet, Sandbox
from tallystick.clutch.transport import Answer, HttpTransport
from tallystick.engine.engine import utc_now
from tallystick.engine.receipt import Answered, Ended

pytest.importorskip("httpx2")

ANA = {"first_name": "Ana", "email": "ana@example.com"}
RUI = {"first_name": "Rui", "last_name": "Reis"}


class Heard(HttpTransport):
    """Remembers what changes something: the method, the order's header and the body. `faults`: of the next of each."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.sent: list[tuple[str, str | None, dict[str, Any]]] = []
        self.faults: dict[str, str] = {}

    def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method not in ("search", "cardHistory"):
            self.sent.append((method, headers.get("externalTransactionId"), json.loads(body)))
        return super().send(method, {**headers, "x-sandbox-fault": self.faults.pop(method, "none")}, body)


class Shop:
    def __init__(self, books: Books, sandbox: Sandbox, heard: Heard) -> None:
        self.books, self.sandbox, self.heard = books, sandbox, heard

    def sent(self) -> list[tuple[str, str | None, dict[str, Any]]]:
        """What was sent since this was last asked."""
        told, self.heard.sent = self.heard.sent, []
        return told

    def account(self, card: str) -> dict[str, Any]:
        """What the provider knows of a card's owner."""
        number = self.books.card(card).number
        found = self.sandbox.post(
            "search", {"filters": {"cardNumber": number}, "returnFields": dict.fromkeys(FIELDS, True)}
        )
        (shown,) = found.json()["cards"]
        return {name: shown[name] for name in FIELDS if name in shown}

    def came_from(self, card: str) -> list[tuple[str, int]]:
        """Where what was put on a card came from, by our journal."""
        moves = [move for entry in self.books.history("gift_card", card) for move in entry.moves]
        return [(each.source, each.amount.minor) for each in moves if each.target == "in_doubt"]


FIELDS = ("customer", "alternateCustomer", "giverCustomer", "customCardNumber", "customData", "mailings")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, str]]:
    from tallystick.clutch.sandbox.server import Server

    sets = {"GIFT": 60, "CREDIT": 20, "PLASTIC": CardSet(12, physical=True)}
    with Sandbox(card_sets=sets, seed=9) as sandbox, Server(sandbox) as server:
        yield sandbox, f"{server.url}/merchant"
        assert sandbox.audit() == []


@pytest.fixture
def shop(served: tuple[Sandbox, str]) -> Iterator[Shop]:
    sandbox, url = served
    card_sets = {"gift": "GIFT", "promo": "GIFT", "merchandise_credit": "CREDIT"}
    settings = settings_of(sandbox, url, read_timeout=5.0, card_sets=card_sets)
    heard = Heard(settings)
    with closing(ClutchProvider(settings, heard)) as provider, tallystick.open("memory:", provider=provider) as books:
        yield Shop(books, sandbox, heard)
        assert books.verify().findings == ()


def usd(text: str) -> Money:
    return Money.parse(text, "USD")


# --- the documented order: allocate, updateAccount, updateBalance


def test_the_owner_is_told_before_the_value_is_put_on(shop: Shop) -> None:
    sale = shop.books.sell_electronic("c1", "50.00", "USD", order="o-1", key="s", owner=ANA, giver=RUI)
    assert (sale.receipt.state, shop.books.card("c1").available) == ("fulfilled", usd("50.00"))
    sent = shop.sent()
    assert [method for method, _, _ in sent] == ["allocate", "updateAccount", "updateAccount", "updateBalance"]
    assert {order for _, order, _ in sent} == {"o-1"}
    assert sent[1][2]["primaryCustomer"] == {"firstName": "Ana", "email": "ana@example.com"}
    assert sent[2][2]["giverCustomer"] == {"firstName": "Rui", "lastName": "Reis"}
    assert sale.pin == shop.sandbox.pin(str(sale.number))
    again = shop.books.sell_electronic("c1", "50.00", "USD", order="o-1", key="s", owner=ANA, giver=RUI)
    assert (again.number, shop.sent()) == (sale.number, [])


def test_the_value_is_put_on_after_the_capture(shop: Shop) -> None:
    sale = shop.books.sell_electronic("c1", "50.00", "USD", order="o-1", key="s", issue=False)
    assert (sale.receipt.state, shop.books.card("c1").state) == ("activated", "activated")
    assert (sale.pin, shop.sandbox.balances(str(sale.number))) == (shop.sandbox.pin(str(sale.number)), {})
    shop.books.run_due()
    assert shop.books.card("c1").state == "activated", "nothing follows by itself"
    shop.books.register("c1", ANA, order="o-1", key="a")
    assert shop.books.issue("s", key="captured").state == "fulfilled"
    assert [method for method, _, _ in shop.sent()] == ["allocate", "updateAccount", "updateBalance"]
    assert shop.sandbox.balances(str(sale.number)) == {"USD": 5000}
    with pytest.raises(Refused, match="It is over"):
        shop.books.issue("s", key="captured twice")


def test_a_sale_that_the_provider_leaves_half_way_goes_on(shop: Shop) -> None:
    """The owner cannot be told: no value is put on, and the PIN reaches the caller with the error."""

    def sell() -> Sale:
        return shop.books.sell_electronic("c1", "50.00", "USD", order="o-1", key="s", owner=ANA)

    shop.heard.faults["updateAccount"] = "429"
    with pytest.raises(Unavailable) as away:
        sell()
    assert away.value.receipt.pin == shop.sandbox.pin(str(shop.books.card("c1").number))
    assert shop.books.card("c1").state == "activated"
    assert sell().receipt.state == "fulfilled"
    assert shop.sandbox.balances(str(shop.books.card("c1").number)) == {"USD": 5000}


def test_names_are_not_kept_for_later(shop: Shop) -> None:
    for review, due in ((True, None), (False, utc_now())):
        with pytest.raises(Invalid, match="giver: names are not kept"):
            shop.books.sell_electronic("c1", "50.00", "USD", order="o", key="s", giver=RUI, review=review, due=due)
    with pytest.raises(NotFound):
        shop.books.card("c1")
    assert shop.sent() == []


def test_a_card_is_drawn_at_its_sale_and_gets_its_value_on_its_day(shop: Shop) -> None:
    day = utc_now() + timedelta(days=20)

    def sell() -> Sale:
        return shop.books.sell_electronic("c1", "50.00", "USD", order="o-1", key="s", owner=ANA, deliver=day)

    sale = sell()
    assert (sale.pin, shop.sandbox.balances(str(sale.number))) == (shop.sandbox.pin(str(sale.number)), {})
    assert [method for method, _, _ in shop.sent()] == ["allocate", "updateAccount"]
    assert shop.books.run_due() == []
    assert (sell().number, shop.sent()) == (sale.number, []), "said again, nothing is done twice"
    shop.books.deliver_on("s", utc_now(), key="today", by="ann", reason="the birthday is today")
    shop.books.run_due()
    assert [(method, order) for method, order, _ in shop.sent()] == [("updateBalance", "o-1")]
    assert shop.sandbox.balances(str(sale.number)) == {"USD": 5000}
    assert "Ana" not in str([list(shop.books.history(*each)) for each in (("gift_card", "c1"), ("fulfilment", "s"))])


def test_a_whole_sale_waits_for_its_day(shop: Shop) -> None:
    day = utc_now() + timedelta(days=20)
    sale = shop.books.sell_electronic("c1", "50.00", "USD", order="o-1", key="s", due=day)
    assert (sale.number, sale.receipt.result, shop.sent()) == (None, Ended.DEFERRED, [])
    pins: list[tuple[str, str]] = []
    shop.books.engine.on_pin = lambda card, pin: pins.append((card, pin))
    assert shop.books.run_due() == []
    shop.books.queue.reschedule("s/allocate", utc_now(), by="ann", reason="the birthday is today")
    shop.books.run_due()
    number = str(shop.books.card("c1").number)
    assert (pins, shop.sandbox.balances(number)) == ([("c1", shop.sandbox.pin(number))], {"USD": 5000})


# --- physical cards


def test_a_physical_card_is_activated_with_number_and_pin(shop: Shop) -> None:
    plastic = shop.sandbox.inventory("PLASTIC")[0]
    pin = shop.sandbox.pin(plastic)
    wrong = "0000" if pin != "0000" else "0001"

    def ship(card: str, pin: str | None) -> Sale:
        return shop.books.ship_physical(card, plastic, "25.00", "USD", order="o-2", key=f"sell-{card}", pin=pin)

    with pytest.raises(Declined, match="PIN"):
        ship("p0", wrong)
    assert (shop.books.card("p0").state, shop.sandbox.status(plastic)) == ("inventory", "inventory")
    shop.sent()
    assert ship("p1", pin).receipt.state == "fulfilled"  # a new try is a new sale, as a declined payment is over
    (allocated, issued) = shop.sent()
    assert allocated == ("allocate", "o-2", {"cardNumber": plastic, "forcePinValidation": True, "pin": pin})
    assert issued[:2] == ("updateBalance", "o-2")
    assert shop.sandbox.balances(plastic) == {"USD": 2500}
    assert str(pin) not in repr(list(shop.books.history("gift_card", "p1")))


@pytest.mark.parametrize(("fault", "kind"), [("429", Unavailable), ("lost_before", InDoubt), ("lost_after", InDoubt)])
def test_a_pin_that_was_not_kept_is_given_again(fault: str, kind: type[Answered]) -> None:
    """Whatever became of the activation: nothing waits that would need the PIN, and said again, the sale goes on."""
    world = World()
    books, plastic = Books(world.engine), world.sandbox.inventory("PLASTIC")[0]

    def ship() -> Sale:
        return books.ship_physical("p1", plastic, "25.00", "USD", order="o", key="s", pin=world.sandbox.pin(plastic))

    world.line.faults = [fault]
    with pytest.raises(kind):
        ship()
    assert not books.waiting().queue
    world.end()
    assert books.card("p1").state == ("issued" if fault == "lost_after" else "inventory")
    assert (ship().receipt.state, world.sandbox.balances(plastic)) == ("fulfilled", {"USD": 2500})
    world.agree()


@pytest.mark.parametrize("scanned", [True, False])
def test_a_physical_sale_waits_for_its_review(shop: Shop, scanned: bool) -> None:
    plastic = shop.sandbox.inventory("PLASTIC")[0]
    number = plastic if scanned else None
    sale = shop.books.ship_physical("p1", number, "25.00", "USD", order="o-2", key="s", review=True)
    assert (sale.receipt.state, sale.number, shop.sent()) == ("in_review", None, [])
    with pytest.raises(Refused, match="It waits for its review"):
        shop.books.ship_physical("p1", plastic, "25.00", "USD", order="o-2", key="s")
    sale = shop.books.approve("s", key="ok", by="rui")
    if not scanned:
        assert (sale.receipt.state, shop.sent()) == ("approved", [])
        sale = shop.books.ship_physical("p1", plastic, "25.00", "USD", order="o-2", key="s")
    assert (sale.receipt.state, sale.number) == ("fulfilled", plastic)
    assert [method for method, _, _ in shop.sent()] == ["allocate", "updateBalance"]


def test_a_rejected_physical_sale_touches_no_card(shop: Shop) -> None:
    plastic = shop.sandbox.inventory("PLASTIC")[0]
    shop.books.ship_physical("p1", plastic, "25.00", "USD", order="o-2", key="s", review=True)
    assert shop.books.reject("s", key="no", by="rui", reason="stolen").state == "rejected"
    assert (shop.books.card("p1").state, shop.sent()) == ("inventory", [])
    with pytest.raises(Invalid, match="PIN is not kept"):
        shop.books.ship_physical("p2", plastic, "1.00", "USD", order="o", key="t", review=True, pin="1234")


# --- what comes back, and what is given away


def test_credit_for_an_order_that_no_gift_card_paid(shop: Shop) -> None:
    sale = shop.books.credit_to_new("mc", "30.00", "USD", order="o-cc", key="return", owner=ANA)
    assert (shop.books.card("mc").kind, shop.books.card("mc").available) == ("merchandise_credit", usd("30.00"))
    (allocated, _, issued) = shop.sent()
    assert allocated == ("allocate", "o-cc", {"cardSetId": "CREDIT"})
    assert (issued[1], issued[2]["isReturnRelated"]) == ("o-cc", True)
    assert shop.came_from("mc") == [("returned", 3000)]
    assert sale.pin == shop.sandbox.pin(str(sale.number))

    shop.books.credit("mc", "12.50", order="o-cc2", key="second return")
    ((method, order, body),) = shop.sent()
    assert (method, order, body["isReturnRelated"]) == ("updateBalance", "o-cc2", True)
    assert shop.came_from("mc")[1:] == [("returned", 1250)]
    assert shop.sandbox.balances(str(sale.number)) == {"USD": 4250}


def test_a_card_sold_as_merchandise_credit_is_credit_too(shop: Shop) -> None:
    shop.books.sell_electronic("mc", "30.00", "USD", order="o", key="s", kind="merchandise_credit")
    assert shop.came_from("mc") == [("returned", 3000)]
    assert shop.sent()[-1][2]["isReturnRelated"] is True


def test_a_card_that_is_given_away_is_not_sold(shop: Shop) -> None:
    shop.books.sell_electronic("gift", "10.00", "USD", order="o", key="a")
    shop.books.sell_electronic("promo", "10.00", "USD", order="o", key="b", kind="promo")
    assert shop.came_from("gift") == [("issuance", 1000)]
    assert shop.came_from("promo") == [("promotion", 1000)]
    assert [body.get("isReturnRelated") for method, _, body in shop.sent() if method == "updateBalance"] == [False] * 2


def test_a_refund_to_another_card_that_is_in_use(shop: Shop) -> None:
    pin = shop.books.sell_electronic("c1", "50.00", "USD", order="o", key="c1").pin
    shop.books.sell_electronic("c2", "50.00", "USD", order="o", key="c2")
    shop.books.redeem("p", "c1", "40.00", order="o-1", key="p", pin=pin)
    shop.sent()
    shop.books.refund_to("p", "10.00", "c2", key="back")
    ((_, order, body),) = shop.sent()
    assert (order, body["isReturnRelated"]) == ("o-1", True)
    assert (shop.books.payment("p").redeemed, shop.books.card("c2").available) == (usd("30.00"), usd("60.00"))
    with pytest.raises(Refused, match="No more than was earned"):
        shop.books.refund_to("p", "30.01", "c2", key="too much")


def test_what_a_promo_card_paid_stays_promotional(shop: Shop) -> None:
    pin = shop.books.sell_electronic("promo", "50.00", "USD", order="o", key="s", kind="promo").pin
    shop.books.redeem("p", "promo", "40.00", order="o-1", key="p", pin=pin)
    shop.books.refund_to_new("p", "15.00", "back", key="r")
    assert shop.books.card("back").kind == "promo"
    with pytest.raises(Refused, match="promotional card is not paid out"):
        shop.books.cash_out("back", key="cash")


@pytest.mark.parametrize(("amount", "says"), [("0.00", "more than zero"), ("50.01", "not put so much on it")])
def test_credit_that_cannot_be(shop: Shop, amount: str, says: str) -> None:
    shop.books.sell_electronic("c1", "50.00", "USD", order="o", key="s", limits={"limit": "100.00"})
    shop.sent()
    with pytest.raises(Refused, match=says):
        shop.books.credit("c1", amount, key="c")
    with pytest.raises(Refused, match="more than zero"):
        shop.books.credit_to_new("c2", "0.00", "USD", order="o", key="n")
    with pytest.raises(NotFound):
        shop.books.card("c2")
    assert shop.sent() == []


# --- what is known of an owner


def test_everything_that_can_be_said_of_an_owner(shop: Shop) -> None:
    shop.books.sell_electronic("c1", "50.00", "USD", order="o", key="s")
    shop.sent()
    shop.books.register(
        "c1", {"first_name": "Ana"}, custom_number="SHOP-0001-777", custom_data="{\"tier\": 2}",
        opt_ins={"email": True, "sms": False, "post": True}, enrolls=True, order="o-7", key="r",
    )  # fmt: skip
    ((method, order, body),) = shop.sent()
    assert (method, order) == ("updateAccount", "o-7")
    assert {name: body[name] for name in body if name != "cardNumber"} == {
        "primaryCustomer": {"firstName": "Ana"}, "countAsEnrollment": True, "customCardNumber": "SHOP-0001-777",
        "customData": "{\"tier\": 2}", "thirdPartyUpdates": [
            {"thirdParty": "email", "optIn": True}, {"thirdParty": "post", "optIn": True},
            {"thirdParty": "sms", "optIn": False},
        ],
    }  # fmt: skip
    known = shop.account("c1")
    assert (known["customCardNumber"], known["customData"]) == ("SHOP-0001-777", '{"tier": 2}')
    found = shop.sandbox.post("search", {"filters": {"customCardNumber": "SHOP-0001-777"}, "returnFields": {}})
    assert found.json()["cards"][0]["cardNumber"] == shop.books.card("c1").number
    kept = [entry.args for entry in shop.books.history("gift_card", "c1")]
    assert not any("SHOP-0001-777" in repr(each) or "Ana" in repr(each) for each in kept)


def test_one_person_at_a_time(shop: Shop) -> None:
    shop.books.sell_electronic("c1", "50.00", "USD", order="o", key="s")
    shop.books.register("c1", RUI, giver=True, key="g")
    shop.books.register("c1", ANA, alternate=True, key="a")
    known = shop.account("c1")
    assert (known["giverCustomer"]["firstName"], known["alternateCustomer"]["firstName"]) == ("Rui", "Ana")
    with pytest.raises(Refused, match="One person at a time"):
        shop.books.register("c1", RUI, giver=True, alternate=True, key="both")


# --- for which order


def test_every_call_says_for_which_order_it_is(shop: Shop) -> None:
    books = shop.books
    pin = books.sell_electronic("c1", "50.00", "USD", order="o-1", key="s").pin
    books.reload("c1", "5.00", order="o-2", key="reload")
    books.adjust("c1", "-1.00", order="o-3", key="adjust", by="ann", reason="typing")
    books.redeem("p", "c1", "20.00", order="o-4", key="pay", pin=pin)
    books.refund_to_new("p", "5.00", "back", key="back")
    assert [(method, order) for method, order, _ in shop.sent()] == [
        ("allocate", "o-1"), ("updateBalance", "o-1"), ("updateBalance", "o-2"), ("updateBalance", "o-3"),
        ("updateBalance", "o-4"), ("allocate", "o-4"), ("updateBalance", "o-4"),
    ]  # fmt: skip
    books.suspend("c1", key="lost")
    shop.sent()
    books.replace("c1", "c2", order="o-5", key="replace")
    assert [(method, order) for method, order, _ in shop.sent()] == [
        ("updateBalance", "o-5"), ("allocate", "o-5"), ("updateBalance", "o-5")
    ]  # fmt: skip
    books.replace("c2", "c3", order="o-6", key="again")
    assert {order for _, order, _ in shop.sent()} == {"o-6"}, "the suspension too"

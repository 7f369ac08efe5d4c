"""How little and how much goes onto a card, and off it at once: refused before anything is drawn or asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

import tallystick
from tallystick import Invalid, Money, Refused
from tallystick.books.books import Books
from tallystick.provider.scripted import ScriptedProvider

RULES: dict[tuple[str, str], dict[str, Money | str]] = {
    ("gift", "electronic"): {"smallest": "10.00", "limit": "500.00"},
    ("gift", "physical"): {"smallest": "25.00", "use_limit": "40.00"},
    ("merchandise_credit", "electronic"): {"limit": "30.00"},
}


TOMORROW = datetime.now(timezone.utc) + timedelta(days=1)


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def books(provider: ScriptedProvider) -> Books:
    return tallystick.open("memory:", provider=provider, limits=RULES)


def sold(books: Books, card: str, amount: str, **more: Any) -> str:
    books.sell_electronic(card, amount, "BRL", order="o", key=f"sell {card}", **more)
    return card


SALES: dict[str, tuple[Callable[[Books], object], str]] = {
    "little": (
        lambda books: sold(books, "c", "9.99"),
        r"not put so little on it \(here amount 9\.99, smallest 10\.00\)",
    ),
    "much": (lambda books: sold(books, "c", "500.01"), "not put so much on it .*amount 500.01, limit 500.00"),
    "physical": (
        lambda books: books.ship_physical("c", "6006490000000281", "24.99", "BRL", order="o", key="k"),
        "amount 24.99, smallest 25.00",
    ),
    "of its own": (
        lambda books: sold(books, "c", "20.00", limits={"smallest": "20.01"}),
        "amount 20.00, smallest 20.01",
    ),
}


@pytest.mark.parametrize("sale", SALES)
def test_a_sale_of_an_amount_that_may_not_be_is_refused_before_a_card_is_drawn(
    books: Books, provider: ScriptedProvider, sale: str
) -> None:
    sell, says = SALES[sale]
    with pytest.raises(Refused, match=says):
        sell(books)
    assert provider.contacts == []
    with pytest.raises(tallystick.NotFound):
        books.card("c")


def test_the_smallest_and_the_largest_amount_may_be(books: Books) -> None:
    sold(books, "least", "10.00")
    sold(books, "most", "500.00")
    assert books.card("most").available == brl("500.00")
    sold(books, "promo", "0.01", kind="promo")  # no rule is for this kind
    assert books.verify().clean


@pytest.mark.parametrize(
    "later",
    [{"review": True}, {"issue": False}, {"due": TOMORROW}, {"deliver": TOMORROW}, {"owner": {"first_name": "Ann"}}],
    ids=lambda later: next(iter(later)),
)
def test_a_sale_that_waits_is_refused_at_once_too(
    books: Books, provider: ScriptedProvider, later: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="so little"):
        sold(books, "c", "3.00", **later)
    assert not books.would(lambda dry: sold(dry, "c", "3.00", **later)).allowed
    assert provider.contacts == []
    with pytest.raises(tallystick.NotFound):
        books.card("c")
    sold(books, "c", "30.00", **later)
    assert sold(books, "c", "30.00", **later) == "c", "said again"


def test_a_merchandise_credit_has_limits_of_its_own(books: Books, provider: ScriptedProvider) -> None:
    sold(books, "c", "50.00")
    books.redeem("p", "c", "40.00", order="o", key="pay")
    before = len(provider.contacts)
    with pytest.raises(Refused, match=r"amount 30\.01, .*limit 30\.00"):
        books.refund_to_new("p", "30.01", "credit", key="back")
    assert len(provider.contacts) == before
    books.refund_to_new("p", "30.00", "credit", key="back")
    assert books.card("credit").available == brl("30.00")


def test_the_limit_is_for_sale_and_reload_and_what_comes_back_may_add_to_it(books: Books) -> None:
    sold(books, "c", "480.00")
    books.redeem("p", "c", "100.00", order="o", key="pay")
    with pytest.raises(Refused, match=r"not put so little on it .*amount 9\.99"):
        books.reload("c", "9.99", key="little")
    with pytest.raises(Refused, match=r"not put so much on it .*amount 120\.01.*limit 500\.00"):
        books.reload("c", "120.01", key="much")
    books.reload("c", "120.00", key="just")
    books.refund("p", "100.00", key="back")
    assert books.card("c").available == brl("600.00")
    says = books.engine.machines["gift_card"].facts["limit"].says
    assert says == "The most that it may carry after a sale, a reload or a credit; refunds may add to that."


def test_one_payment_uses_no_more_than_it_may(books: Books, provider: ScriptedProvider) -> None:
    sold(books, "c", "100.00", limits={"use_limit": "50.00"})
    for verb in (books.authorize, books.redeem):
        with pytest.raises(Refused, match=r"One payment may not use so much of it.*amount 50\.01.*use_limit 50\.00"):
            verb("p", "c", "50.01", order="o", key=f"{verb.__name__}")
    with pytest.raises(Refused, match="It carries less"):
        books.authorize("p", "c", "100.01", order="o", key="more than all")
    assert books.authorize("p", "c", "80.00", order="o", key="part", allow_partial=True).money("held") == brl("50.00")
    assert provider.contacts[-1][0].args["amount"] == 5000, "the provider is asked for no more"
    assert books.redeem("q", "c", "50.00", order="o2", key="rest").money("redeemed") == brl("50.00")
    with pytest.raises(Refused, match="It carries nothing that can be spent"):
        books.redeem("r", "c", "1.00", order="o3", key="none", allow_partial=True)
    assert books.verify().clean


def test_with_less_on_the_card_than_one_use_may_take_it_gives_what_it_has(books: Books) -> None:
    sold(books, "c", "30.00", limits={"use_limit": "50.00"})
    assert books.redeem("p", "c", "80.00", order="o", key="k", allow_partial=True).money("redeemed") == brl("30.00")


def test_a_card_of_which_nothing_may_be_used_gives_nothing(books: Books) -> None:
    sold(books, "c", "30.00", limits={"use_limit": "0.00"})
    for key, allow_partial in (("all", False), ("part", True)):
        with pytest.raises(Refused):
            books.redeem("p", "c", "30.00", order="o", key=key, allow_partial=allow_partial)


def test_a_plan_keeps_to_it(books: Books) -> None:
    books.ship_physical("c", "6006490000000281", "100.00", "BRL", order="o", key="k")
    sold(books, "d", "60.00")
    plan = books.plan(brl("120.00"), ["c", "d"])
    assert (plan.parts, plan.remaining) == ((("c", brl("40.00")), ("d", brl("60.00"))), brl("20.00"))


def test_an_advanced_hold_is_within_it(books: Books) -> None:
    sold(books, "c", "100.00", limits={"use_limit": "50.00"})
    books.authorize("p", "c", "50.00", order="o", key="hold")
    assert books.settle("p", "20.00", key="ship", keep_hold=False).last.money("held") == brl("30.00")


def test_a_replacement_takes_the_limits_along(books: Books) -> None:
    sold(books, "c", "100.00", limits={"use_limit": "50.00", "smallest": "5.00"})
    books.replace("c", "new", key="lost")
    assert books.card("new").use_limit == brl("50.00")
    with pytest.raises(Refused, match=r"amount 4\.99, kind gift, smallest 5\.00"):
        books.reload("new", "4.99", key="more")


def test_a_sale_said_again_means_the_limits_of_then(provider: ScriptedProvider) -> None:
    """The rules may change between two tries."""
    books = tallystick.open("memory:", provider=provider, limits=RULES)
    sold(books, "c", "50.00")
    later = Books(books.engine, limits={("gift", "electronic"): {"smallest": "11.00", "limit": "600.00"}})
    assert later.sell_electronic("c", "50.00", "BRL", order="o", key="sell c").receipt.replayed
    with pytest.raises(Refused, match=r"smallest 11\.00"):
        sold(later, "d", "10.00")


def test_a_rule_in_money_is_for_cards_of_its_currency(provider: ScriptedProvider) -> None:
    books = tallystick.open("memory:", provider=provider, limits={("gift", "electronic"): {"smallest": brl("10.00")}})
    with pytest.raises(Refused, match=r"smallest 10\.00"):
        sold(books, "c", "9.00")
    books.sell_electronic("usd", "9.00", "USD", order="o", key="usd")


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({("gft", "electronic"): {}}, "'gft' is no kind of a card. Did you mean 'gift'?"),
        ({("gift", "plastic"): {}}, "'plastic' is no form of a card."),
        ({("gift", "physical"): {"largest": "1.00"}}, "'largest' is no limit of a card."),
        ({("gift", "physical"): {"kind": "promo"}}, "'kind' is no limit of a card."),
    ],
)
def test_a_rule_for_no_card_is_said_at_once(limits: dict[tuple[str, str], dict[str, str]], says: str) -> None:
    with pytest.raises(Invalid) as told:
        tallystick.open("memory:", limits=limits)
    assert says in str(told.value)


# A hard limit: nothing comes back beyond it


@pytest.fixture
def full(books: Books) -> Books:
    """A card of 100.00 that may never carry more, full again after it has paid 60.00."""
    sold(books, "c", "100.00", limits={"limit": "100.00", "hard_limit": True})
    books.redeem("p", "c", "60.00", order="o", key="pay")
    books.reload("c", "60.00", key="reload")
    return books


BEYOND: dict[str, Callable[[Books], object]] = {
    "refund": lambda books: books.refund("p", "0.01", key="k"),
    "void": lambda books: books.void("p", key="k"),
    "adjust": lambda books: books.adjust("c", "0.01", key="k", by="ann", reason="goodwill"),
    "reload": lambda books: books.reload("c", "10.00", key="k"),
    "credit": lambda books: books.credit("c", "0.01", key="k"),
    "refund_to": lambda books: books.refund_to("p", "0.01", "c", key="k"),
    "move": lambda books: books.move("d", "c", "0.01", key="k"),
}


@pytest.mark.parametrize("verb", BEYOND)
def test_nothing_is_put_on_a_full_card_with_a_hard_limit(full: Books, verb: str) -> None:
    sold(full, "d", "20.00")
    with pytest.raises(Refused, match=r"[Ll]imit"):
        BEYOND[verb](full)
    assert full.card("c").available == brl("100.00")
    full.refund_to("p", "60.00", "d", key="to another card")
    assert full.card("d").available == brl("80.00"), "what cannot come back to it goes to another card"


def test_what_is_held_and_what_is_on_its_way_count(full: Books, provider: ScriptedProvider) -> None:
    full.authorize("q", "c", "30.00", order="o", key="hold")
    with pytest.raises(Refused):
        full.refund("p", "0.01", key="while it is held")
    full.settle("q", "30.00", key="ship")
    full.refund("p", "30.00", key="there is room")
    full.engine.execute("replacement", "m", "create", {"old": "c", "new": sold(full, "d", "20.00"), "form": "in_use",
                                                       "currency": "BRL"}, key="m")  # fmt: skip
    full.engine.execute("replacement", "m", "move", {"amount": "50.00", "like": "gift"}, key="move")
    for verb in (full.credit, full.reload, partial(full.adjust, by="ann", reason="goodwill")):
        with pytest.raises(Refused):
            verb("c", "50.00", key="it may come back")
    full.engine.execute("replacement", "m", "cancel", {}, key="back")
    assert full.card("c").available == brl("100.00")


def test_of_any_other_card_refunds_may_add_to_the_limit(books: Books) -> None:
    sold(books, "c", "100.00", limits={"limit": "100.00"})
    books.redeem("p", "c", "60.00", order="o", key="pay")
    books.reload("c", "60.00", key="reload")
    books.refund("p", "60.00", key="refund")
    assert books.card("c").available == brl("160.00")


def test_a_hard_limit_goes_with_the_value_to_a_new_card(full: Books) -> None:
    full.replace("c", "n", key="lost")
    with pytest.raises(Refused, match="Nothing goes beyond its limit"):
        full.adjust("n", "0.01", key="k", by="ann", reason="goodwill")

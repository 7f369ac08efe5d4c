"""What was given to a customer stands apart of what was bought: it is spent first, given back last, and is no cash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tallystick
from tallystick import InDoubt, Money, Refused
from tallystick.books.books import Books
from tallystick.engine.receipt import ShortApproval
from tallystick.provider.scripted import Reply, ScriptedProvider


def brl(amount: str) -> Money:
    return Money.parse(amount, "BRL")


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def books(provider: ScriptedProvider, tmp_path: Path) -> Iterator[Books]:
    with tallystick.open(f"sqlite:///{tmp_path}/books.db", provider=provider) as books:
        sell(books, "c")
        books.give("c", "10.00", key="give")
        yield books
        assert books.verify().findings == ()


def sell(books: Books, card: str, amount: str = "50.00", **more: object) -> None:
    books.sell_electronic(card, amount, "BRL", order=f"sale-{card}", key=f"sell-{card}", **more)  # type: ignore[arg-type]


def on(books: Books, card: str = "c") -> tuple[str, str, str]:
    """What may be spent of a card, what of that was given, and what it holds for orders."""
    found = books.card(card)
    return tuple(str(each).removesuffix(" BRL") for each in (found.available, found.given, found.held))  # type: ignore[return-value]


def pays(books: Books, payment: str = "p") -> tuple[str, str, str, str]:
    """What a payment holds, what of that was given, what it has earned, and what of that was given."""
    found = books.payment(payment)
    amounts = (found.held, found.given_held, found.redeemed, found.given_redeemed)
    return tuple(str(each).removesuffix(" BRL") for each in amounts)  # type: ignore[return-value]


def test_the_card_has_both_in_one_balance(books: Books) -> None:
    assert on(books) == ("60.00", "10.00", "0.00")
    assert books.find(str(books.card("c").number)) == books.card("c")


def test_what_was_given_is_spent_first(books: Books) -> None:
    receipt = books.authorize("p", "c", "40.00", order="o", key="a")
    assert receipt.money("held") == brl("40.00")
    assert receipt.money("given_held") == brl("10.00")
    assert on(books) == ("20.00", "0.00", "40.00")
    books.settle("p", "15.00", key="s", keep_hold=True)
    assert pays(books) == ("25.00", "0.00", "15.00", "10.00")
    books.cancel("p", key="c")
    assert on(books) == ("45.00", "0.00", "0.00")


def test_what_is_given_back_of_a_hold_is_what_it_was(books: Books) -> None:
    books.authorize("p", "c", "30.00", order="o", key="a")
    books.cancel("p", key="c")
    assert on(books) == ("60.00", "10.00", "0.00")


def test_a_bonus_larger_than_the_order(books: Books) -> None:
    books.redeem("p", "c", "4.00", order="o", key="r")
    assert pays(books) == ("0.00", "0.00", "4.00", "4.00")
    assert on(books) == ("56.00", "6.00", "0.00")


def test_a_refund_in_part_is_of_what_was_bought_first(books: Books) -> None:
    books.redeem("p", "c", "40.00", order="o", key="r")
    books.refund("p", "25.00", key="f1")
    assert on(books) == ("45.00", "0.00", "0.00")
    books.refund("p", "10.00", key="f2")
    assert on(books) == ("55.00", "5.00", "0.00")
    books.refund("p", "5.00", key="f3")
    assert on(books) == ("60.00", "10.00", "0.00")
    assert pays(books) == ("0.00", "0.00", "0.00", "0.00")


def test_a_void_gives_all_back_to_where_it_came_from(books: Books) -> None:
    books.redeem("p", "c", "40.00", order="o", key="r")
    books.void("p", key="v")
    assert on(books) == ("60.00", "10.00", "0.00")


def test_what_was_given_stays_given_on_another_card(books: Books) -> None:
    sell(books, "d", "1.00", limits={"cash_out_limit": "100.00"})
    books.redeem("p", "c", "40.00", order="o", key="r")
    books.refund_to("p", "35.00", "d", key="f")
    assert on(books, "d") == ("36.00", "5.00", "0.00")
    books.refund_to_new("p", "5.00", "e", key="n")
    assert on(books, "e") == ("5.00", "5.00", "0.00")
    books.cash_out("d", key="cash")
    assert on(books, "d") == ("5.00", "5.00", "0.00")
    with pytest.raises(Refused, match="given away is not paid out"):
        books.cash_out("d", key="again")


def test_the_rest_is_held_again_as_the_card_is_then(books: Books) -> None:
    books.authorize("p", "c", "40.00", order="o", key="a")
    books.settle("p", "5.00", key="s", keep_hold=False)  # the other 5.00 of the bonus are let go, and held again
    assert pays(books) == ("35.00", "5.00", "5.00", "5.00")
    books.settle("p", "35.00", key="l", last=True)
    assert pays(books) == ("0.00", "0.00", "40.00", "10.00")
    assert on(books) == ("20.00", "0.00", "0.00")


def test_a_lost_hold_puts_both_back(books: Books) -> None:
    books.authorize("p", "c", "40.00", order="o", key="a")
    books.mark_hold_lost("p", key="lost", by="ann", reason="gone in the portal")
    assert on(books) == ("60.00", "10.00", "0.00")
    books.hold_again("p", "40.00", key="again")
    assert pays(books) == ("40.00", "10.00", "0.00", "0.00")


@pytest.mark.parametrize(("there", "given"), [(700, "7.00"), (1000, "10.00"), (2500, "10.00")])
def test_if_less_is_approved_what_was_given_counts_first(
    books: Books, provider: ScriptedProvider, there: int, given: str
) -> None:
    provider.reply_with([Reply("confirmed", there)])
    books.authorize("p", "c", "40.00", order="o", key="a", allow_partial=True)
    assert pays(books)[:2] == (f"{there / 100:.2f}", given)
    assert on(books)[2] == f"{there / 100:.2f}"


def test_a_short_approval_is_given_back_as_it_was(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed", 2500)])
    with pytest.raises(ShortApproval, match=r"25.00 BRL of 40.00"):
        books.authorize("p", "c", "40.00", order="o", key="a")
    assert on(books) == ("60.00", "10.00", "0.00")


def test_a_use_limit_is_of_both(books: Books) -> None:
    sell(books, "d", "50.00", limits={"use_limit": "12.00"})
    books.give("d", "10.00", key="d")
    books.authorize("p", "d", "40.00", order="o", key="a", allow_partial=True)
    assert pays(books)[:2] == ("12.00", "10.00")


def test_a_bonus_whose_answer_is_lost_is_on_no_account_until_it_is_known(
    books: Books, provider: ScriptedProvider
) -> None:
    provider.reply_with([Reply("lost_after")])
    with pytest.raises(InDoubt):
        books.give("c", "5.00", key="second")
    assert on(books) == ("60.00", "10.00", "0.00")
    assert books.card("c").in_doubt == brl("5.00")
    provider.wait(3600)
    books.recover()
    assert books.card("c").in_doubt == brl("0.00")


def test_several_bonuses_are_one(books: Books) -> None:
    books.give("c", "2.50", key="second")
    assert on(books) == ("62.50", "12.50", "0.00")
    assert books.give("c", "2.50", key="second").replayed
    assert on(books) == ("62.50", "12.50", "0.00")


def test_a_suspended_card_takes_no_bonus(books: Books) -> None:
    books.suspend("c", key="lost")
    with pytest.raises(Refused, match="suspended"):
        books.give("c", "5.00", key="second")


def test_no_bonus_above_the_limit_of_the_card(books: Books) -> None:
    sell(books, "d", "50.00", limits={"limit": "55.00"})
    with pytest.raises(Refused, match="may not put so much"):
        books.give("d", "10.00", key="d")
    books.give("d", "5.00", key="d2")
    assert on(books, "d") == ("55.00", "5.00", "0.00")


def test_cash_is_only_what_was_bought(books: Books) -> None:
    sell(books, "d", "8.00", limits={"cash_out_limit": "10.00"})
    books.give("d", "30.00", key="d")
    moved = {(each.source, each.target): str(each.amount) for each in books.cash_out("d", key="cash").moves}
    assert moved == {("available", "in_doubt"): "8.00 BRL", ("in_doubt", "cashed_out"): "8.00 BRL"}
    assert on(books, "d") == ("30.00", "30.00", "0.00")


def test_a_promo_card_is_given_from_its_first_cent_to_its_last(books: Books) -> None:
    sell(books, "promo", kind="promo", limits={"cash_out_limit": "100.00"})
    assert on(books, "promo") == ("50.00", "50.00", "0.00")
    with pytest.raises(Refused, match="Only a gift card can be reloaded"):
        books.reload("promo", "5.00", key="x")
    books.redeem("p", "promo", "50.00", order="o", key="r")
    books.refund_to_new("p", "20.00", "mc", key="f")
    assert books.card("mc").kind == "promo"
    assert on(books, "mc") == ("20.00", "20.00", "0.00")
    books.refund("p", "30.00", key="f2")
    with pytest.raises(Refused, match="given away is not paid out"):
        books.cash_out("promo", key="cash")
    books.adjust("promo", "1.00", key="adjust", by="ann", reason="miscounted")
    assert on(books, "promo") == ("31.00", "31.00", "0.00")


def test_a_replacement_carries_both_apart(books: Books) -> None:
    books.authorize("p", "c", "15.00", order="o", key="a")
    books.replace("c", "new", key="lost")
    assert on(books, "new") == ("45.00", "0.00", "0.00")
    books.cancel("p", key="c")
    books.run_due()
    assert on(books, "new") == ("60.00", "10.00", "0.00")
    assert on(books, "c") == ("0.00", "0.00", "0.00")
    assert books.card("c").state == "replaced"


def test_a_tender_counts_both(books: Books) -> None:
    sell(books, "d")
    books.authorize_all(books.plan(brl("80.00"), ["c", "d"]), order="o", key="a")
    tender = books.tender("o")
    assert tender.approved == brl("80.00")
    assert [(str(each.held), str(each.given_held)) for each in tender.parts] == [
        ("60.00 BRL", "10.00 BRL"), ("20.00 BRL", "0.00 BRL")
    ]  # fmt: skip
    books.settle_all("o", "80.00", key="s", last=True)
    books.refund_all("o", "75.00", key="f", how="first")
    assert on(books) == ("60.00", "10.00", "0.00")
    assert on(books, "d") == ("45.00", "0.00", "0.00")


def test_what_went_elsewhere_was_given_first(books: Books) -> None:
    books.engine.execute("gift_card", "c", "observe", {"balance": brl("56.00")}, key="seen")
    assert on(books) == ("56.00", "6.00", "0.00")
    books.engine.execute("gift_card", "c", "observe", {"balance": brl("57.00")}, key="more")
    assert on(books) == ("57.00", "6.00", "0.00")
    books.engine.execute("gift_card", "c", "observe", {"balance": brl("20.00")}, key="less")
    assert on(books) == ("20.00", "0.00", "0.00")


def test_two_orders_hold_of_each_sort_what_they_took(books: Books) -> None:
    books.authorize("p", "c", "6.00", order="o", key="a")
    books.authorize("q", "c", "20.00", order="o2", key="b")
    assert pays(books, "p")[:2] == ("6.00", "6.00")
    assert pays(books, "q")[:2] == ("20.00", "4.00")
    books.settle("q", "20.00", key="s", last=True)
    books.cancel("p", key="c")
    assert on(books) == ("40.00", "6.00", "0.00")


def test_revenue_and_discounts_are_told_apart(books: Books) -> None:
    from tallystick import reports

    books.redeem("p", "c", "40.00", order="o", key="r")
    books.refund("p", "35.00", key="f")
    (row,) = reports.rollforward(books, by=["kind"]).rows
    figures = {name: row[name] for name in ("issued", "given_away", "spent", "refunded", "discounted",
                                            "discount_refunded", "closing")}  # fmt: skip
    assert figures == {"issued": 5000, "given_away": 1000, "spent": -3000, "refunded": 3000, "discounted": -1000,
                       "discount_refunded": 500, "closing": 5500}  # fmt: skip
    (owed,) = reports.liability(books, by=["kind"]).rows
    assert (owed["available"], owed["given"], owed["total"]) == (5500, 500, 5500)

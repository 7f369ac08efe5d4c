"""What a verb of several steps says is true of the books at that moment, at each of its edges."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

import tallystick
from tallystick import (
    Declined,
    InDoubt,
    Invalid,
    KeyReused,
    Money,
    Plan,
    Refused,
    TallystickError,
    Unavailable,
    Unfinished,
)
from tallystick.books.books import Books
from tallystick.engine.receipt import GivenBack, ShortApproval
from tallystick.provider.scripted import Crash, Reply, ScriptedProvider

CARDS = ("a", "b", "c")


def brl(amount: str) -> Money:
    return Money.parse(amount, "BRL")


def plan(*parts: tuple[str, str]) -> Plan:
    return Plan(tuple((card, brl(amount)) for card, amount in parts), brl("0.00"))


TENDER = plan(("a", "10.00"), ("b", "10.00"), ("c", "10.00"))


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def books(provider: ScriptedProvider) -> Iterator[Books]:
    with tallystick.open("memory:", provider=provider) as books:
        for card in CARDS:
            books.sell_electronic(card, "50.00", "BRL", order="s", key=f"sell-{card}")
        yield books


def held(books: Books, card: str) -> str:
    return str(books.card(card).held).removesuffix(" BRL")


def everything(books: Books) -> list[object]:
    """All that the books hold, to see that nothing was changed."""
    with books.engine.store.reading() as reading:
        return [*reading.journal(), *reading.queue(), *reading.all_calls()]


# One card


def test_less_than_was_asked_for_is_given_back(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed", 300)])
    with pytest.raises(ShortApproval, match=r"3\.00 BRL of 20\.00 BRL was approved on card 'a', and is given back"):
        books.authorize("p", "a", "20.00", order="o", key="k")
    assert (books.payment("p").state, held(books, "a")) == ("reversed", "0.00")
    with pytest.raises(GivenBack, match="a new key holds anew"):
        books.authorize("p", "a", "20.00", order="o", key="k")
    assert books.authorize("p2", "a", "20.00", order="o", key="k2").applied
    assert books.verify().clean


def test_less_than_was_asked_for_is_given_back_in_one_step_too(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed", 300)])
    with pytest.raises(ShortApproval):
        books.redeem("p", "a", "20.00", order="o", key="k")
    assert (books.payment("p").redeemed, books.card("a").available) == (brl("0.00"), brl("50.00"))
    with pytest.raises(GivenBack):
        books.redeem("p", "a", "20.00", order="o", key="k")


def test_giving_back_may_be_in_doubt_and_that_is_said(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed", 300), Reply("lost_after")])
    with pytest.raises(InDoubt, match="whether it is back is not known of p"):
        books.authorize("p", "a", "20.00", order="o", key="k")
    with pytest.raises(GivenBack):
        books.authorize("p", "a", "20.00", order="o", key="k")
    provider.wait(120)
    books.recover()
    assert (books.payment("p").state, held(books, "a")) == ("reversed", "0.00")


def test_partial_approval_is_kept_where_it_is_wanted(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed", 300)])
    receipt = books.authorize("p", "a", "20.00", order="o", key="k", allow_partial=True)
    assert (str(receipt.money("held")), held(books, "a")) == ("3.00 BRL", "3.00")
    assert books.authorize("p", "a", "20.00", order="o", key="k", allow_partial=True).replayed


def test_a_key_whose_hold_was_cancelled_holds_nothing(books: Books) -> None:
    books.authorize("p", "a", "20.00", order="o", key="k")
    books.cancel("p", key="x")
    with pytest.raises(GivenBack):
        books.authorize("p", "a", "20.00", order="o", key="k")


def test_a_key_whose_hold_was_settled_is_told_as_it_was(books: Books) -> None:
    books.authorize("p", "a", "20.00", order="o", key="k")
    books.settle("p", "20.00", key="s")
    assert books.authorize("p", "a", "20.00", order="o", key="k").replayed


# A tender


def test_a_card_that_is_named_twice_has_one_part(books: Books) -> None:
    made = books.authorize_all(plan(("a", "5.00"), ("b", "1.00"), ("a", "5.00")), order="o", key="k")
    assert [(part.card, str(part.held)) for part in made.parts] == [("a", "10.00 BRL"), ("b", "1.00 BRL")]


def test_parts_are_in_the_order_of_the_plan(books: Books) -> None:
    made = books.authorize_all(plan(("c", "1.00"), ("a", "2.00"), ("b", "3.00")), order="o", key="k")
    assert [part.id for part in made.parts] == ["o/c", "o/a", "o/b"]
    books.settle_all(made.id, "2.00", key="s")
    assert [str(part.redeemed) for part in books.tender("o").parts] == ["1.00 BRL", "1.00 BRL", "0.00 BRL"]


def test_keys_may_be_as_long_as_keys_can_be(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed"), Reply("declined")])
    with pytest.raises(Declined):
        books.authorize_all(TENDER, order="o" * 190, key="k" * 200)
    assert [held(books, card) for card in CARDS] == ["0.00"] * 3


def test_a_new_key_for_the_same_order_holds_anew(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed"), Reply("unavailable")])
    with pytest.raises(Unavailable):
        books.authorize_all(TENDER, order="o", key="k")
    with pytest.raises(GivenBack):
        books.authorize_all(TENDER, order="o", key="k")
    again = books.authorize_all(TENDER, order="o", key="k2")
    assert [held(books, card) for card in CARDS] == ["10.00"] * 3
    assert books.authorize_all(TENDER, order="o", key="k2") == again
    assert {each.id: each.state for each in books.tenders("o")} == {"o": "given_back", "o/2": "active"}
    assert [part.id for part in again.parts] == ["o/a/2", "o/b/2", "o/c/2"]
    assert [each.id for each in books.payments("o") if each.held.minor] == [part.id for part in again.parts]


def test_the_others_stay_held_while_one_is_in_doubt(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed"), Reply("lost_after")])
    with pytest.raises(InDoubt, match=r"o/a, o/c stay held until that is known"):
        books.authorize_all(TENDER, order="o", key="k")
    provider.wait(120)
    books.recover()
    assert books.authorize_all(TENDER, order="o", key="k").approved == brl("30.00")
    assert [held(books, card) for card in CARDS] == ["10.00"] * 3


def test_a_giving_back_in_doubt_hides_neither_the_answer_nor_the_others(
    books: Books, provider: ScriptedProvider
) -> None:
    provider.reply_with([Reply("confirmed"), Reply("confirmed"), Reply("declined"), Reply("lost_before")])
    with pytest.raises(InDoubt, match=r"declined hold.*whether it is back is not known of o/a"):
        books.authorize_all(TENDER, order="o", key="k")
    (now,) = books.tenders("o")
    assert (now.state, [part.state for part in now.parts]) == ("giving_back", ["authorized", "reversed", "declined"])
    provider.wait(120)
    books.recover()
    assert [held(books, card) for card in CARDS] == ["0.00"] * 3


def test_giving_back_waits_for_a_provider_that_is_not_there(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed"), Reply("declined"), Reply("confirmed"), Reply("unavailable")])
    with pytest.raises(Declined, match=r"giving back o/a waits for the provider"):
        books.authorize_all(TENDER, order="o", key="k")
    with pytest.raises(GivenBack):
        books.authorize_all(TENDER, order="o", key="k")
    provider.wait(3600)
    books.run_due()
    assert [held(books, card) for card in CARDS] == ["0.00"] * 3


ODD = "x\ud800"  # no text that can be stored


@pytest.mark.parametrize("store", ["memory:", "file"])
def test_what_cannot_be_a_key_an_order_a_card_or_a_pin_is_said_and_changes_nothing(store: str, tmp_path: Path) -> None:
    where = store if store == "memory:" else str(tmp_path / "books.db")
    with tallystick.open(where, provider=ScriptedProvider()) as books:
        for card in CARDS:
            books.sell_electronic(card, "50.00", "BRL", order="s", key=f"sell-{card}")
        made = books.authorize_all(TENDER, order="o", key="k")
        part = made.parts[0].id
        before = everything(books)
        one = plan(("a", "1.00"))
        for wrong in (
            lambda: books.authorize_all(one, order="o", key=ODD),
            lambda: books.authorize_all(one, order=ODD, key="q"),
            lambda: books.authorize_all(one, order=None, key="q"),  # type: ignore[arg-type]
            lambda: books.authorize_all(plan((ODD, "1.00")), order="o", key="q"),
            lambda: books.authorize_all(one, order="o", key="q", pins={"a": ODD}),
            lambda: books.settle_all(made.id, "1.00", key="q", how="most"),  # type: ignore[arg-type]
            lambda: books.settle_all(made.id, "1.00", key=ODD),
            lambda: books.exchange(part, "b", key=ODD),
            lambda: books.exchange(part, ODD, key="q"),
            lambda: books.exchange(part, "b", key="k"),
            lambda: books.authorize("p", "a", "1.00", order="o", key="k"),
        ):
            with pytest.raises((Invalid, KeyReused)):
                wrong()
        assert (books.tenders(ODD), books.payments(ODD)) == ([], [])
        assert everything(books) == before


def test_a_part_is_added_to_a_tender_of_its_order_that_is_not_given_back(books: Books) -> None:
    made = books.authorize_all(plan(("a", "5.00")), order="o", key="k")
    assert books.authorize("more", "b", "2.00", order="o", key="m", tender=made.id).applied
    assert books.tender(made.id).approved == brl("7.00")
    with pytest.raises(Refused, match="the order of its tender 'o' is 'o', not 'other'"):
        books.authorize("p2", "b", "2.00", order="other", key="m2", tender=made.id)
    books.cancel_all(made.id, key="c")
    with pytest.raises(Refused, match="its tender 'o' is given_back and takes no more; make a new one"):
        books.authorize("p3", "b", "2.00", order="o", key="m3", tender=made.id)
    with pytest.raises(GivenBack):  # its own key still tells what became of it
        books.authorize("more", "b", "2.00", order="o", key="m", tender=made.id)
    assert [held(books, card) for card in CARDS] == ["0.00"] * 3


def test_what_is_earned_from_one_part_while_the_others_are_held_stays_earned(
    books: Books, provider: ScriptedProvider
) -> None:
    """Then not all that was wanted is held, so the rest is given back; the tender still says what was paid."""
    provider.reply_with([Reply("confirmed"), Reply("lost_after")])
    with pytest.raises(InDoubt):
        books.authorize_all(TENDER, order="o", key="k")
    (begun,) = books.tenders("o")
    books.settle(begun.parts[0].id, "4.00", key="alone", last=True)
    provider.wait(7200)
    books.recover()
    books.run_due()
    provider.wait(7200)
    books.run_due()
    now = books.tender(begun.id)
    assert (now.state, str(now.approved), str(now.remaining)) == ("paid", "4.00 BRL", "26.00 BRL")
    assert [held(books, card) for card in CARDS] == ["0.00"] * 3
    with pytest.raises(GivenBack, match="was given back since"):
        books.authorize_all(TENDER, order="o", key="k")
    assert books.refund_all(now.id, "4.00", key="r").applied
    assert books.stuck().queue == ()


KINDS = ("declined", "unavailable", "lost_before", "lost_after", "crash_before", "crash_after", "short")


# Less than all of a release would be an answer that only a person can judge, so only holds are approved in part.
@pytest.mark.parametrize(
    ("at", "kind"), [(at, kind) for at, kind in product(range(5), KINDS) if at < 3 or kind != "short"]
)
@pytest.mark.parametrize("then", ["same key", "recover, same key", "recover, new key"])
def test_what_is_said_of_a_tender_is_so(
    at: int, kind: str, then: str, books: Books, provider: ScriptedProvider
) -> None:
    """One contact goes wrong, the third card declines or not; whatever is answered then is so, and both halves agree."""
    fault = Reply("confirmed", 400) if kind == "short" else Reply(kind)
    provider.reply_with([*[Reply("confirmed")] * at, fault] if at < 3 else [
        Reply("confirmed"), Reply("confirmed"), Reply("declined"), *[Reply("confirmed")] * (at - 3), fault,
    ])  # fmt: skip
    with suppress(TallystickError, Crash):
        books.authorize_all(TENDER, order="o", key="k")
    provider.reply_with([])
    if "recover" in then:
        provider.wait(120)
        books.recover()
        provider.wait(7200)
        books.run_due()
    try:
        now = books.authorize_all(TENDER, order="o", key="k2" if "new" in then else "k")
    except GivenBack:
        pass
    except InDoubt:
        assert "recover" not in then
    except (Declined, Unavailable, ShortApproval):
        assert [part.held.minor for each in books.tenders("o") for part in each.parts if part.state != "authorized"]
    else:
        assert [books.payment(part.id).held for part in now.parts] == [brl("10.00")] * 3
    provider.wait(120)
    books.recover()
    provider.wait(7200)
    books.run_due()
    assert books.verify().clean
    assert max((done.times for done in provider.done.values()), default=1) == 1
    for card in CARDS:  # what the books hold, the provider holds
        lines = [done for done in provider.done.values() if done.card == card and done.amount is not None]
        theirs = sum(done.amount or 0 for done in lines if done.verb == "hold")
        theirs -= sum(done.amount or 0 for done in lines if done.verb == "release_hold")
        assert books.card(card).held.minor == theirs
        assert not books.card(card).in_doubt.minor


# A refused verb has changed nothing


@pytest.mark.parametrize("amount", ["0.00", "-1.00", "60.00"])
def test_a_sale_that_is_refused_has_changed_nothing(books: Books, provider: ScriptedProvider, amount: str) -> None:
    before, asked = everything(books), len(provider.contacts)
    with pytest.raises((Refused, Invalid)):
        books.sell_electronic("new", amount, "BRL", order="o", key="k", limits={"limit": "55.00"})
    with pytest.raises((Refused, Invalid)):
        books.ship_physical("new", "6006490000000011", amount, "BRL", order="o", key="k", limits={"limit": "55.00"})
    assert (everything(books), len(provider.contacts)) == (before, asked)


def test_a_replacement_that_is_refused_has_changed_nothing(books: Books, provider: ScriptedProvider) -> None:
    before, asked = everything(books), len(provider.contacts)
    with pytest.raises(Refused, match="exists already"):
        books.replace("a", "b", key="k")
    with pytest.raises(Invalid, match="cannot replace itself"):
        books.replace("a", "a", key="k")
    assert (everything(books), len(provider.contacts)) == (before, asked)


def test_a_credit_that_is_refused_draws_no_card(books: Books, provider: ScriptedProvider) -> None:
    books.authorize("p", "a", "20.00", order="o", key="h")
    books.settle("p", "20.00", key="s")
    before, asked = everything(books), len(provider.contacts)
    with pytest.raises(Refused):
        books.refund_to_new("p", "30.00", "credit", key="k")
    with pytest.raises(Refused):
        books.refund_to_new("p", "3.00", "b", key="k")
    assert (everything(books), len(provider.contacts)) == (before, asked)
    assert books.refund_to_new("p", "20.00", "credit", key="k").number


def test_a_hold_that_is_refused_leaves_no_payment(books: Books) -> None:
    before = everything(books)
    with pytest.raises(Refused):
        books.authorize("p", "a", "60.00", order="o", key="k")
    with pytest.raises(Refused):
        books.redeem("p", "a", "60.00", order="o", key="k")
    with pytest.raises(Refused):
        books.authorize_all(plan(("a", "10.00"), ("b", "60.00")), order="o", key="k")
    assert everything(books) == before


def test_cash_out_under_the_key_of_another_verb(books: Books) -> None:
    with pytest.raises(TallystickError):
        books.cash_out("a", key="sell-a/card")
    assert books.recover(timedelta(0)) == []


# A tender, after it is held


@pytest.fixture
def paid(books: Books) -> str:
    """A tender of three parts of 10.00."""
    return books.authorize_all(TENDER, order="o", key="k").id


def parts(books: Books, tender: str, account: str) -> list[str]:
    return [str(getattr(part, account)).removesuffix(" BRL") for part in books.tender(tender).parts]


@pytest.mark.parametrize(
    ("how", "earned"),
    [("first", ["10.00", "5.01", "0.00"]), ("last", ["0.00", "5.01", "10.00"]), ("ratio", ["5.01", "5.00", "5.00"])],
)
def test_a_shipment_and_a_refund_are_shared(books: Books, paid: str, how: str, earned: list[str]) -> None:
    books.settle_all(paid, "15.01", key="ship", how=how)  # type: ignore[arg-type]
    assert parts(books, paid, "redeemed") == earned
    books.settle_all(paid, "14.99", key="rest", last=True)
    assert parts(books, paid, "redeemed") == ["10.00"] * 3
    books.refund_all(paid, "15.01", key="back", how=how)  # type: ignore[arg-type]
    assert [str(brl("10.00") - brl(each)) for each in parts(books, paid, "redeemed")] == [
        f"{each} BRL" for each in earned
    ]
    assert (books.tender(paid).requested, books.tender(paid).remaining) == (brl("14.99"), brl("0.00"))
    assert books.verify().clean


def test_what_the_last_shipment_leaves_goes_back(books: Books, paid: str) -> None:
    books.settle_all(paid, "12.00", key="ship", last=True)
    assert (parts(books, paid, "redeemed"), parts(books, paid, "held")) == (["10.00", "2.00", "0.00"], ["0.00"] * 3)
    assert [held(books, card) for card in CARDS] == ["0.00"] * 3
    assert books.tender(paid).remaining == brl("0.00")


def test_what_is_left_goes_back_only_when_the_last_shipment_is_earned(
    books: Books, paid: str, provider: ScriptedProvider
) -> None:
    provider.reply_with([Reply("unavailable")])
    with pytest.raises(Unfinished, match="is not done for every part"):
        books.settle_all(paid, "12.00", key="ship", last=True)
    assert books.tender(paid).state == "closing"
    provider.wait(7200)
    books.run_due()
    provider.wait(90000)
    books.run_due()
    assert (parts(books, paid, "redeemed"), parts(books, paid, "held")) == (["10.00", "2.00", "0.00"], ["0.00"] * 3)


def test_more_than_is_held_is_refused_and_nothing_is_changed(books: Books, paid: str) -> None:
    before = everything(books)
    with pytest.raises(Refused, match=r"No more than is held can be settled \(here amount 30.01"):
        books.settle_all(paid, "30.01", key="ship")
    with pytest.raises(Refused, match="No more than was earned"):
        books.refund_all(paid, "0.01", key="back")
    with pytest.raises(Invalid, match="more than zero"):
        books.settle_all(paid, "0.00", key="ship")
    assert everything(books) == before


def test_a_part_that_would_refuse_its_share_stops_the_whole_command(books: Books, paid: str) -> None:
    books.settle_all(paid, "30.00", key="ship")
    books.suspend("c", key="lost")
    before = everything(books)
    with pytest.raises(Refused, match="It is suspended"):
        books.refund_all(paid, "30.00", key="back")
    assert everything(books) == before
    books.refund_all(paid, "20.00", key="back", how="first")


def test_a_part_is_added_and_another_exchanged(books: Books, paid: str) -> None:
    books.sell_electronic("d", "50.00", "BRL", order="s", key="sell-d")
    books.authorize("more", "d", "5.00", order="o", key="more", tender=paid)
    assert (len(books.tender(paid).parts), books.tender(paid).approved) == (4, brl("35.00"))
    now = books.exchange(books.payment("more").id, "a", key="swap")
    assert (now.approved, held(books, "d"), held(books, "a")) == (brl("35.00"), "0.00", "15.00")
    assert books.exchange("more", "a", key="swap") == now


def test_a_key_whose_tender_lost_a_part_says_so(books: Books, paid: str) -> None:
    books.cancel(books.tender(paid).parts[1].id, key="x")
    with pytest.raises(GivenBack, match=r"10\.00 BRL was given back since"):
        books.authorize_all(TENDER, order="o", key="k")
    assert books.tender(paid).remaining == brl("10.00")


def test_as_much_as_there_is(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed", 400), Reply("declined")])
    made = books.authorize_all(TENDER, order="o", key="k", allow_partial=True)
    assert (made.approved, made.remaining) == (brl("14.00"), brl("16.00"))
    assert books.authorize_all(TENDER, order="o", key="k", allow_partial=True) == made


def test_a_cancelled_order_gives_all_parts_back(books: Books, paid: str) -> None:
    books.cancel_all(paid, key="x")
    assert (books.tender(paid).state, books.tender(paid).remaining) == ("given_back", brl("0.00"))
    assert [held(books, card) for card in CARDS] == ["0.00"] * 3
    with pytest.raises(GivenBack):
        books.authorize_all(TENDER, order="o", key="k")


def test_a_shipment_in_the_callers_own_transaction(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with tallystick.open(f"sqlite:///{path}") as books, closing(sqlite3.connect(path, isolation_level=None)) as own:
        for card in CARDS:
            books.sell_electronic(card, "50.00", "BRL", order="s", key=f"sell-{card}")
        paid = books.authorize_all(TENDER, order="o", key="k").id
        own.execute("BEGIN IMMEDIATE")
        books.settle_all(paid, "15.00", key="ship", connection=own)
        own.execute("ROLLBACK")
        assert parts(books, paid, "redeemed") == ["0.00"] * 3
        own.execute("BEGIN IMMEDIATE")
        receipt = books.settle_all(paid, "15.00", key="ship", connection=own)
        own.execute("COMMIT")
        books.send(receipt)
        assert parts(books, paid, "redeemed") == ["10.00", "5.00", "0.00"]
        assert books.verify().clean

"""How a tender ends, and that nobody's money is lost between two of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

import tallystick
from tallystick import Books, Command, GivenBack, InDoubt, Money, Plan, Refused, ShortApproval, Unfinished
from tallystick.engine.engine import Engine
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.open import open_store

CARDS = ("a", "b", "c")


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


WHOLE = Plan(tuple((card, brl("10.00")) for card in CARDS), brl("0.00"))


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def books(provider: ScriptedProvider) -> Iterator[Books]:
    machines = tallystick.definition.reader.load()
    books = Books(Engine(machines, open_store("memory:"), provider, clock=provider.clock))
    for card in CARDS:
        books.sell_electronic(card, "50.00", "BRL", order="s", key=f"sell-{card}")
    yield books
    assert books.verify().findings == ()


@pytest.fixture
def paid(books: Books) -> str:
    """A tender of three parts of 10.00."""
    return books.authorize_all(WHOLE, order="o", key="k").id


def queued(books: Books, key: str) -> str:
    with books.engine.store.reading() as reading:
        return reading.queued([key])[key].state


# It is paid


@pytest.mark.parametrize("last", [False, True])
def test_a_tender_of_which_all_is_earned_is_paid_and_what_was_put_off_ends_with_it(
    books: Books, paid: str, provider: ScriptedProvider, last: bool
) -> None:
    due = provider.clock() + timedelta(days=1)
    books.settle_all(paid, "5.00", key="later", due=due)
    books.settle_all(paid, "20.00" if last else "30.00", key="ship", last=last)
    assert books.tender(paid).state == "paid"
    assert queued(books, "later") == "withdrawn"
    with pytest.raises(Refused, match="Nothing of it is held any more"):
        books.settle_all(paid, "5.00", key="more")
    assert (books.authorize_all(WHOLE, order="o", key="k").id, bool(books.stuck()), bool(books.waiting())) == (
        paid, False, False,
    )  # fmt: skip
    assert books.refund_all(paid, "20.00", key="back").applied
    assert (books.tender(paid).state, books.tender(paid).remaining) == ("paid", brl("0.00"))


def test_a_shipment_that_is_due_when_all_is_earned_is_refused_at_once(
    books: Books, paid: str, provider: ScriptedProvider
) -> None:
    books.settle_all(paid, "30.00", key="ship")
    books.settle_all(paid, "5.00", key="later", due=provider.clock() + timedelta(days=1))
    provider.wait(90000)
    books.run_due()
    assert [each.row.key for each in books.stuck().queue] == ["later"]


def test_a_tender_that_lacks_something_still_takes_a_part(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed"), Reply("declined"), Reply("confirmed")])
    made = books.authorize_all(WHOLE, order="o", key="k", allow_partial=True)
    books.settle_all(made.id, "20.00", key="ship")
    assert (books.tender(made.id).state, books.tender(made.id).remaining) == ("active", brl("10.00"))
    books.authorize("more", "b", "10.00", order="o", key="m", tender=made.id)
    books.settle_all(made.id, "10.00", key="ship-2")
    assert (books.tender(made.id).state, books.tender(made.id).remaining) == ("paid", brl("0.00"))


def test_what_was_paid_is_kept_when_the_rest_is_cancelled(books: Books, paid: str) -> None:
    books.settle_all(paid, "12.00", key="ship")
    books.cancel_all(paid, key="x")
    now = books.tender(paid)
    assert (now.state, now.requested, now.approved) == ("paid", brl("12.00"), brl("12.00"))
    assert books.authorize_all(WHOLE, order="o", key="k") == now


def test_the_key_that_has_held_it_tells_how_it_stands_while_the_last_shipment_waits(
    books: Books, paid: str, provider: ScriptedProvider
) -> None:
    provider.reply_with([Reply("unavailable")])
    with pytest.raises(Unfinished) as told:
        books.settle_all(paid, "12.00", key="ship", last=True)
    assert "tender" not in str(told.value).split(":", 1)[1], "only what a part says"
    assert books.authorize_all(WHOLE, order="o", key="k").state == "closing"


# What was wanted, and what is there


def test_the_order_wants_less_only_once_a_refund_is_on_the_cards(
    books: Books, paid: str, provider: ScriptedProvider
) -> None:
    books.settle_all(paid, "30.00", key="ship")
    provider.reply_with([Reply("confirmed"), Reply("declined")])
    with pytest.raises(Unfinished):
        books.refund_all(paid, "15.00", key="back")
    now = books.tender(paid)
    assert (now.requested, now.approved, now.remaining) == (brl("20.00"), brl("20.00"), brl("0.00"))


def test_a_refund_that_waits_is_not_counted_before_it_is_done(
    books: Books, paid: str, provider: ScriptedProvider
) -> None:
    books.settle_all(paid, "30.00", key="ship")
    provider.reply_with([Reply("unavailable")])
    with pytest.raises(Unfinished):
        books.refund_all(paid, "5.00", key="back")
    assert books.tender(paid).requested == brl("30.00")
    provider.wait(7200)
    books.run_due()
    assert (books.tender(paid).requested, books.tender(paid).approved) == (brl("25.00"), brl("25.00"))


def test_what_was_missing_before_a_refund_is_missing_after_it(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed"), Reply("confirmed"), Reply("declined")])
    made = books.authorize_all(WHOLE, order="o", key="k", allow_partial=True)
    books.settle_all(made.id, "20.00", key="ship")
    books.refund_all(made.id, "4.00", key="back")
    now = books.tender(made.id)
    assert (now.requested, now.approved, now.remaining) == (brl("26.00"), brl("16.00"), brl("10.00"))


# A part ends, and somebody relied on it


@pytest.mark.parametrize("how", ["cancel", "settle"])
def test_a_share_of_a_shipment_that_is_never_earned_is_told(
    books: Books, paid: str, provider: ScriptedProvider, how: str
) -> None:
    provider.reply_with([Reply("unavailable")])
    with pytest.raises(Unfinished):
        books.settle_all(paid, "15.00", key="ship")
    part = books.tender(paid).parts[0].id
    if how == "cancel":
        books.cancel(part, key="by hand")
    else:
        books.settle(part, "1.00", key="by hand", last=True)
    (told,) = books.stuck().queue
    assert (told.row.entity, told.amount) == (part, brl("10.00"))
    assert told.why.startswith("settle, which follows 'ship', was not done: payment 'o/a' is ")
    with pytest.raises(Unfinished, match="settle, which follows 'ship', was not done"):
        books.settle_all(paid, "15.00", key="ship")
    books.queue.dismiss(told.row.key, by="ana", reason="written off")
    assert not books.stuck()


def test_a_refund_that_a_part_cannot_take_any_more_is_told(books: Books, paid: str, provider: ScriptedProvider) -> None:
    books.settle_all(paid, "30.00", key="ship")
    provider.reply_with([Reply("unavailable")])
    with pytest.raises(Unfinished):
        books.refund_all(paid, "5.00", key="back")
    books.refund(books.tender(paid).parts[-1].id, "8.00", key="by hand")
    provider.wait(7200)
    books.run_due()
    assert [each.row.command for each in books.stuck().queue] == ["refund"]


# A part is added


def test_no_part_is_added_to_a_tender_that_takes_none_at_that_moment(books: Books, paid: str) -> None:
    """Asked inside the transaction: no check before it can be overtaken."""
    facts = {"order": "o", "card": "a", "currency": "BRL", "tender": paid}
    books.cancel_all(paid, key="x")
    with pytest.raises(Refused, match="its tender 'o' is given_back and takes no more"):
        books.engine.execute("payment", "late", "create", facts, key="late")
    assert not books.may("payment", "late", "authorize", amount="1.00", **{**facts, "currency": "BRL"})
    other = books.authorize_all(WHOLE, order="o", key="k2").id
    with pytest.raises(Refused, match="the order of its tender 'o/2' is 'o', not 'p'"):
        books.engine.execute("payment", "late", "create", {**facts, "order": "p", "tender": other}, key="late")


# Nobody has to look


def test_a_short_redemption_that_its_caller_has_voided_needs_nobody(books: Books, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("confirmed", 300), Reply("unavailable")])
    with pytest.raises(ShortApproval):
        books.redeem("p", "a", "5.00", order="o", key="k")
    books.void("p", key="by hand")
    provider.wait(7200)
    books.run_due()
    assert (queued(books, "k>void"), bool(books.stuck()), bool(books.waiting())) == ("withdrawn", False, False)
    assert books.card("a").available == brl("50.00")


def test_a_short_redemption_of_which_a_part_was_refunded_needs_somebody(
    books: Books, provider: ScriptedProvider
) -> None:
    provider.reply_with([Reply("confirmed", 300), Reply("unavailable")])
    with pytest.raises(ShortApproval):
        books.redeem("p", "a", "5.00", order="o", key="k")
    books.refund("p", "1.00", key="by hand")
    provider.wait(7200)
    books.run_due()
    assert [each.row.key for each in books.stuck().queue] == ["k>void"]


@pytest.mark.parametrize("then", ["cover_elsewhere", "cancel", "hold_again"])
def test_an_advanced_hold_that_was_refused_needs_nobody_once_it_is_covered(
    books: Books, provider: ScriptedProvider, then: str
) -> None:
    books.authorize("p", "a", "50.00", order="o", key="a")
    books.suspend("a", key="lost")
    books.settle("p", "20.00", key="s")
    assert [each.row.key for each in books.stuck().queue] == ["s>hold_again"]
    if then == "cover_elsewhere":
        books.cover_elsewhere("p", "10.00", key="part")
        (left,) = books.stuck().uncovered
        assert (left.amount, books.stuck().queue) == (brl("20.00"), ())
        books.cover_elsewhere("p", "20.00", key="all")
    elif then == "cancel":
        books.cancel("p", key="x")
    else:
        books.reinstate("a", key="found", reason="found")
        books.hold_again("p", "30.00", key="again")
    assert not books.stuck()


def test_a_tender_of_which_nothing_is_left_was_given_back(books: Books, paid: str) -> None:
    books.settle_all(paid, "30.00", key="ship")
    books.refund_all(paid, "30.00", key="back")
    assert (books.tender(paid).state, books.tender(paid).requested) == ("paid", brl("0.00"))
    with pytest.raises(GivenBack):
        books.authorize_all(WHOLE, order="o", key="k")


def test_a_part_in_doubt_is_no_part_that_is_done(books: Books, paid: str, provider: ScriptedProvider) -> None:
    books.settle_all(paid, "30.00", key="ship")
    provider.reply_with([Reply("lost_after")])
    with pytest.raises(InDoubt):
        books.refund_all(paid, "5.00", key="back")
    provider.wait(7200)
    books.recover()
    books.run_due()
    assert (books.tender(paid).requested, books.tender(paid).approved) == (brl("25.00"), brl("25.00"))


# In the declared order


def test_what_is_due_is_done_in_the_order_of_the_shares(books: Books, provider: ScriptedProvider) -> None:
    """Eleven parts, so that a key ends in 10 and one in 2; and the tender goes on only when all are done."""
    for number in range(11):
        books.sell_electronic(f"x{number}", "5.00", "BRL", order="s", key=f"sell-x{number}")
    many = Plan(tuple((f"x{number}", brl("1.00")) for number in range(11)), brl("0.00"))
    made = books.authorize_all(many, order="many", key="k")
    books.engine.try_execute(
        Command("tender", made.id, "settle", {"amount": "11.00", "shares": {part.id: "1.00" for part in made.parts}},
                key="ship")
    ).or_raise()  # fmt: skip
    done = [(each.machine, each.id) for each in books.run_due()]
    assert done == [*(("payment", part.id) for part in made.parts), ("tender", made.id), ("tender", made.id)]
    assert books.tender(made.id).state == "paid"


def test_said_again_it_goes_on_in_the_declared_order(books: Books, paid: str, provider: ScriptedProvider) -> None:
    provider.reply_with([Reply("unavailable")])
    with pytest.raises(Unfinished):
        books.settle_all(paid, "12.00", key="ship", last=True)
    again = books.settle_all(paid, "12.00", key="ship", last=True)
    assert [each.command for each in again.followed] == ["settle", "settle", "close", "cancel", "end"]
    assert (books.tender(paid).state, books.card("a").held, books.card("b").held) == ("paid", brl("0.00"), brl("0.00"))


# What a refusal says would be taken


def test_a_refusal_names_only_what_the_parts_take_too(books: Books, paid: str) -> None:
    def allowed() -> tuple[str, ...]:
        refusal = books.may("tender", paid, "confirm").refusal
        assert refusal is not None
        assert f"It would take: {', '.join(refusal.allowed)}." in refusal.why
        return tuple(each for each in refusal.allowed if each != "want_less")  # which changes no part

    assert allowed() == ("settle", "reduce", "change", "cancel")
    books.settle_all(paid, "12.00", key="ship")
    assert allowed() == ("settle", "refund", "reduce", "change", "cancel")
    books.suspend("a", key="a is lost")
    assert "refund" in allowed(), "b has paid, too"
    books.suspend("b", key="b is lost")
    assert allowed() == ("settle", "reduce", "change", "cancel")
    books.reinstate("b", key="b is found", reason="found")
    books.cancel_all(paid, key="x")
    refusal = books.may("tender", paid, "cancel").refusal
    assert refusal is not None
    assert refusal.allowed == ("refund", "want_less")
    books.suspend("b", key="b is lost again")
    refusal = books.may("tender", paid, "cancel").refusal
    assert refusal is not None
    assert refusal.allowed == ("want_less",)


def test_a_tender_that_was_not_asked_for_names_authorize(books: Books, provider: ScriptedProvider) -> None:
    for id, card in (("p", "a"), ("q", "b")):
        facts = {"order": "o", "card": card, "currency": "BRL", "tender": "t", "requested": "10.00"}
        if id == "p":
            books.engine.execute(
                "tender", "t", "create", {"order": "o", "requested": "20.00", "currency": "BRL"}, key="t"
            )
        books.engine.execute("payment", id, "create", facts, key=id)
    refusal = books.may("tender", "t", "confirm").refusal
    assert refusal is not None
    assert refusal.allowed == ("authorize", "cancel")
    for card in ("a", "b"):
        books.suspend(card, key=f"lost {card}")
    refusal = books.may("tender", "t", "confirm").refusal
    assert refusal is not None
    assert refusal.allowed == ("cancel",)


def test_who_comes_second_with_a_key_is_told_that_it_is_being_done(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread has taken what follows; nothing is in doubt."""
    monkeypatch.setattr(type(books.engine.queue), "follow", lambda self, receipt, secrets=None: receipt)
    with pytest.raises(InDoubt) as told:
        books.authorize_all(WHOLE, order="o", key="k")
    assert str(told.value) == "tender 'o' is still being held: o/a, o/b, o/c have no answer yet; say it again"
    assert (told.value.receipt.state, told.value.receipt.call) == ("authorizing", None)
    monkeypatch.undo()
    assert books.authorize_all(WHOLE, order="o", key="k").state == "active"

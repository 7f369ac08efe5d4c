"""An order wants less, or more, before and after a shipment: what it still wants is held all the while.

Cases of other systems: one line is cancelled before anything ships, or one of the remaining lines after a shipment, and
there was no way but to give all back and hold anew, from whoever was faster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

import tallystick
from clutch_world import World
from tallystick import Books, Command, InDoubt, Money, Plan, Refused
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.open import open_store


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


def stands(books: Books, payment: str = "p") -> tuple[str, str, str, str]:
    """The payment's state, and what of it is held, uncovered and redeemed."""
    found = books.payment(payment)
    return found.state, *(str(each).split()[0] for each in (found.held, found.uncovered, found.redeemed))  # type: ignore[return-value]


def scripted(provider: ScriptedProvider) -> Books:
    return Books(Engine(reader.load(), open_store("memory:"), provider, clock=provider.clock))


def sold(books: Books) -> Books:
    books.sell_electronic("c", "60.00", "BRL", order="sale", key="sale")
    books.authorize("p", "c", "40.00", order="o", key="hold")
    return books


def on_two_cards(books: Books) -> str:
    """The order `two`, of which each of two cards holds 30.00; the id of its tender."""
    for card in ("c", "d"):
        books.sell_electronic(card, "30.00", "BRL", order="sale", key=card)
    plan = Plan((("c", brl("30.00")), ("d", brl("30.00"))), brl("0.00"))
    return books.authorize_all(plan, order="two", key="both").id


@pytest.fixture(params=["local", "remote"])
def books(request: pytest.FixtureRequest) -> Iterator[Books]:
    """Our own books, where a part of a hold is released; and a provider that can only release all of it."""
    remote = {} if request.param == "local" else {"provider": ScriptedProvider()}
    with tallystick.open("memory:", **remote) as opened:
        yield sold(opened)
        assert opened.verify().clean
        assert not opened.stuck()


def test_a_line_is_cancelled_before_anything_ships(books: Books) -> None:
    books.reduce("p", "15.00", key="line 2")
    assert stands(books)[1:] == ("25.00", "0.00", "0.00")
    assert (books.card("c").available, books.card("c").held) == (brl("35.00"), brl("25.00"))
    assert books.reduce("p", "15.00", key="line 2").replayed
    books.settle("p", "25.00", key="ship")
    assert stands(books) == ("closed", "0.00", "0.00", "25.00")


def test_one_of_the_lines_that_are_left_is_cancelled_after_a_shipment(books: Books) -> None:
    books.settle("p", "20.00", key="ship")
    books.reduce("p", "5.00", key="line 3")
    assert stands(books)[1:] == ("15.00", "0.00", "20.00")
    assert books.card("c").available == brl("25.00")
    books.settle("p", "15.00", key="ship 2")
    assert stands(books) == ("closed", "0.00", "0.00", "35.00")


def test_what_is_uncovered_goes_first() -> None:
    with tallystick.open("memory:", provider=ScriptedProvider()) as books:
        sold(books)
        books.redeem("other", "c", "20.00", order="other", key="other")
        books.engine.execute("payment", "p", "settle", {"amount": "10.00"}, key="ship")
        books.redeem("faster", "c", "12.00", order="another", key="faster")
        books.run_due()
        assert stands(books) == ("advanced_hold", "18.00", "12.00", "10.00")
        books.reduce("p", "7.00", key="less")
        assert stands(books) == ("advanced_hold", "18.00", "5.00", "10.00")
        books.reduce("p", "6.00", key="and less", release_part=True)
        assert stands(books) == ("partially_settled", "17.00", "0.00", "10.00")
        assert books.card("c").available == brl("1.00")
        assert books.verify().clean


def test_an_advanced_hold_that_waits_is_for_what_is_left() -> None:
    """The provider is away after a shipment; meanwhile the order wants less. What waited is not for too much."""
    provider = ScriptedProvider()
    with scripted(provider) as books:
        sold(books)
        provider.reply_with([Reply("confirmed"), Reply("unavailable"), Reply("unavailable")])
        books.settle("p", "10.00", key="ship")
        books.reduce("p", "20.00", key="less")
        assert stands(books) == ("partially_settled", "0.00", "10.00", "10.00")
        provider.wait(7200)
        books.run_due()
        assert stands(books) == ("advanced_hold", "10.00", "0.00", "10.00")
        assert not books.queue.waiting()
        assert books.verify().clean


@pytest.mark.parametrize("amount", ["40.00", "40.01", "0.00", "-1.00"])
def test_all_of_it_or_more_or_nothing_is_refused_and_changes_nothing(books: Books, amount: str) -> None:
    with pytest.raises(
        Refused, match="cancel gives it back" if amount == "40.00" else "can be taken off|more than zero"
    ):
        books.reduce("p", amount, key="less")
    assert stands(books) == ("authorized", "40.00", "0.00", "0.00")


def test_what_was_earned_cannot_be_taken_off(books: Books) -> None:
    books.settle("p", "30.00", key="ship")
    with pytest.raises(Refused, match="No more than is held or uncovered"):
        books.reduce("p", "11.00", key="less")
    books.settle("p", "10.00", key="ship 2")
    with pytest.raises(Refused, match="can only be refunded"):
        books.reduce("p", "1.00", key="too late")


def test_of_a_suspended_card_a_part_is_released_and_where_that_cannot_be_all_stays_held(books: Books) -> None:
    """Released and held again, the rest could not be held: nothing is held anew on a suspended card."""
    books.suspend("c", key="stolen")
    if books.engine.provider.local:
        books.reduce("p", "15.00", key="less")
        assert stands(books) == ("authorized", "25.00", "0.00", "0.00")
    else:
        with pytest.raises(Refused, match="could not be held again"):
            books.reduce("p", "15.00", key="less")
        assert stands(books) == ("authorized", "40.00", "0.00", "0.00")


@pytest.mark.parametrize("fault", ["declined", "unavailable", "lost_before", "lost_after"])
@pytest.mark.parametrize("release_part", [True, False])
def test_whatever_the_provider_answers_nothing_is_lost(fault: str, release_part: bool) -> None:
    provider = ScriptedProvider()
    with scripted(provider) as books:
        sold(books)
        provider.reply_with([Reply(fault)])
        with pytest.raises(tallystick.TallystickError):
            books.reduce("p", "15.00", key="less", release_part=release_part)
        provider.wait(7200)
        books.recover()
        books.run_due()
        done = fault.startswith("lost")  # what the record does not show is sent once more
        assert stands(books)[1] == ("25.00" if done else "40.00")
        half = provider.halves["c"]
        assert (half.available, half.held) == ((3500, 2500) if done else (2000, 4000))
        assert books.verify().clean


# Over several cards


@pytest.fixture
def tender(books: Books) -> str:
    """40.00 of c and 20.00 of d, of which 25.00 has shipped."""
    books.cancel("p", key="not this one")
    books.sell_electronic("d", "50.00", "BRL", order="sale", key="another sale")
    plan = Plan((("c", brl("40.00")), ("d", brl("20.00"))), brl("0.00"))
    tender = books.authorize_all(plan, order="two", key="both").id
    books.settle_all(tender, "25.00", key="ship")
    return tender


def held(books: Books) -> list[str]:
    return [str(each.held).split()[0] for each in books.payments("two")]


def test_the_card_that_comes_last_goes_first(books: Books, tender: str) -> None:
    books.reduce_all(tender, "12.00", key="line 2")
    assert held(books) == ["15.00", "8.00"]
    assert (books.tender(tender).requested, books.tender(tender).remaining) == (brl("48.00"), brl("0.00"))
    books.settle_all(tender, "23.00", key="ship the rest")
    assert books.tender(tender).state == "paid"


def test_a_card_of_which_all_goes_is_given_back(books: Books, tender: str) -> None:
    books.reduce_all(tender, "25.00", key="line 2")
    assert [(each.state, str(each.held)) for each in books.payments("two")][1] == ("reversed", "0.00 BRL")
    assert (books.card("d").available, books.tender(tender).requested) == (brl("50.00"), brl("35.00"))
    assert held(books) == ["10.00", "0.00"]
    assert books.reduce_all(tender, "25.00", key="line 2").replayed
    books.settle_all(tender, "10.00", key="ship the rest")
    assert (books.tender(tender).state, books.card("d").available) == ("paid", brl("50.00"))


@pytest.mark.parametrize(("how", "left"), [("first", ["5.00", "20.00"]), ("ratio", ["10.71", "14.29"])])
def test_whoever_wants_it_otherwise_says_so(books: Books, tender: str, how: str, left: list[str]) -> None:
    books.reduce_all(tender, "10.00", key="line 2", how=how)  # type: ignore[arg-type]
    assert held(books) == left


@pytest.mark.parametrize("amount", ["35.00", "35.01"])
def test_all_that_is_held_is_refused(books: Books, tender: str, amount: str) -> None:
    with pytest.raises(Refused, match="for all of it there is cancel"):
        books.reduce_all(tender, amount, key="less")
    assert held(books) == ["15.00", "20.00"]


def test_an_order_that_wants_more_after_a_shipment_holds_one_part_more(books: Books, tender: str) -> None:
    """Of the same card or of another; what the order wants is what was said, so a larger last shipment is whole."""
    books.engine.execute("tender", tender, "change", {"amount": "75.00"}, key="more")
    books.authorize("more", "d", "15.00", order="two", key="more/d", tender=tender)
    assert books.tender(tender).remaining == brl("0.00")
    books.reduce_all(tender, "5.00", key="less again")
    assert (books.payment("more").held, books.tender(tender).requested) == (brl("10.00"), brl("70.00"))
    books.settle_all(tender, "45.00", key="ship the rest")
    assert (books.tender(tender).state, sum(each.redeemed.minor for each in books.payments("two"))) == ("paid", 7000)


def test_what_is_uncovered_on_any_card_goes_before_what_is_held() -> None:
    provider = ScriptedProvider()
    with scripted(provider) as books:
        tender = on_two_cards(books)
        first = books.payments("two")[0].id
        books.engine.execute("payment", first, "mark_hold_lost", {}, key="lost", by="ann", reason="seen in the portal")
        books.reduce_all(tender, "20.00", key="line 2")
        assert held(books) == ["10.00", "30.00"]


def test_while_a_card_has_no_answer_nothing_more_is_taken_off() -> None:
    provider = ScriptedProvider()
    with scripted(provider) as books:
        tender = on_two_cards(books)
        provider.reply_with([Reply("lost_after")])
        with pytest.raises(InDoubt):
            books.reduce_all(tender, "20.00", key="line 2")
        with pytest.raises(Refused, match="not done with what came before"):
            books.reduce_all(tender, "5.00", key="line 3")
        provider.wait(7200)
        books.recover()
        books.run_due()
        assert (held(books), books.tender(tender).requested) == (["30.00", "10.00"], brl("40.00"))
        books.reduce_all(tender, "5.00", key="line 3")
        assert (held(books), books.tender(tender).requested) == (["30.00", "5.00"], brl("35.00"))
        assert books.verify().clean


# A shipment that was put off


def test_a_shipment_for_tomorrow_is_called_off_today(books: Books) -> None:
    """It is withdrawn, or it ends with its payment: it never earns, and nobody has to look after it."""
    now = datetime.now(timezone.utc)
    books.settle("p", "10.00", key="tomorrow", due=now + timedelta(days=1))
    books.settle("p", "30.00", key="the day after", due=now + timedelta(days=2))
    books.queue.withdraw("tomorrow", by="ann", reason="the customer does not want it")
    books.reduce("p", "10.00", key="line 2")
    assert [each.key for each in books.queue.waiting()] == ["the day after"]
    books.cancel("p", key="nothing of it")
    assert not books.queue.waiting()
    assert (books.card("c").available, books.payment("p").redeemed) == (brl("60.00"), brl("0.00"))


# At Clutch, of which nobody knows that it could release a part of a hold


def test_at_clutch_all_is_released_and_the_rest_is_held_again() -> None:
    world = World()
    world.card()
    world.payment(amount="40.00")
    receipt = world.sure("payment", "p1", "reduce", amount="15.00")
    (again,) = world.engine.queue.follow(receipt).followed
    assert (receipt.transition, again.transition) == ("reduce_and_hold_again", "hold_again")
    assert world.entity("payment", "p1").accounts["held"] == 2500
    world.agree()
    receipt = world.do("payment", "p1", "reduce", amount="5.00", release_part=True)
    assert "a part of a hold" in receipt.why
    assert json.loads(world.calls()[-1].args)["rest"] == 2000
    assert world.entity("payment", "p1").accounts["held"] == 2500
    world.agree()


@pytest.mark.parametrize("fault", ["429", "lost_before", "lost_after", "500_after"])
def test_at_clutch_with_a_fault_at_either_step(fault: str) -> None:
    for at in range(2):
        world = World()
        world.card()
        world.payment(amount="40.00")
        world.line.faults = [*["none"] * at, fault]
        receipt = world.do("payment", "p1", "reduce", amount="15.00", key="less")
        if receipt.applied:
            world.engine.queue.follow(receipt)
        world.end()
        if world.entity("payment", "p1").state == "authorized":  # it was surely not done
            world.try_execute(Command("payment", "p1", "reduce", {"amount": "15.00"}, "less"))
            world.end()
        assert world.entity("payment", "p1").accounts["held"] == 2500
        world.agree()

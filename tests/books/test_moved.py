"""Value moves from a card in use to another, in part or whole: never on both, never lost, and only to its own kind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

import tallystick
from clutch_world import World
from tallystick import Books, Money, Refused
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.open import open_store


def brl(text: str) -> Money:
    return Money.parse(text, "BRL")


@pytest.fixture(params=["local", "remote"])
def books(request: pytest.FixtureRequest) -> Iterator[Books]:
    remote = {} if request.param == "local" else {"provider": ScriptedProvider()}
    with tallystick.open("memory:", **remote) as opened:
        for card, amount in (("a", "50.00"), ("b", "20.00")):
            opened.sell_electronic(card, amount, "BRL", order="sale", key=card)
        yield opened
        assert opened.verify().clean


def on(books: Books, *cards: str) -> list[str]:
    return [str(books.card(each).available).split()[0] for each in cards]


def test_a_part_moves_and_both_stay_in_use(books: Books) -> None:
    receipt = books.move("a", "b", "15.00", key="m")
    assert receipt.last.state == "moved"
    assert on(books, "a", "b") == ["35.00", "35.00"]
    assert [books.card(each).state for each in "ab"] == ["issued", "issued"]
    assert books.move("a", "b", "15.00", key="m").replayed
    assert on(books, "a", "b") == ["35.00", "35.00"]


def test_two_cards_become_one(books: Books) -> None:
    books.authorize("p", "a", "10.00", order="o", key="hold")
    books.move("a", "b", key="m")
    assert on(books, "a", "b") == ["0.00", "60.00"]
    assert books.card("a").held == brl("10.00"), "what an order holds stays where it is"
    books.settle("p", "10.00", key="ship")
    assert books.move("a", "b", key="m").replayed, "about the amount of then"


@pytest.mark.parametrize("amount", ["0.00", "-1.00", "50.01"])
def test_no_more_than_there_is_and_not_nothing(books: Books, amount: str) -> None:
    with pytest.raises(Refused, match=r"more than zero|It carries less"):
        books.move("a", "b", amount, key="m")
    assert on(books, "a", "b") == ["50.00", "20.00"]


def test_a_card_cannot_give_to_itself(books: Books) -> None:
    with pytest.raises(Refused, match="cannot give to itself"):
        books.move("a", "a", "5.00", key="m")


@pytest.mark.parametrize(("gives", "takes"), [("promo", "gift"), ("gift", "promo"), ("merchandise_credit", "gift")])
def test_what_was_given_never_becomes_what_was_sold(books: Books, gives: str, takes: str) -> None:
    for kind in {gives, takes}:
        books.sell_electronic(kind, "10.00", "BRL", order="k", key=kind, kind=kind)
    with pytest.raises(Refused, match="another kind of card"):
        books.move(gives, takes, "5.00", key="m")
    assert on(books, gives, takes) == ["10.00", "10.00"]


def test_another_currency_is_refused(books: Books) -> None:
    books.sell_electronic("usd", "10.00", "USD", order="k", key="usd")
    with pytest.raises(tallystick.TallystickError, match="USD"):
        books.move("a", "usd", "5.00", key="m")
    assert on(books, "a", "usd") == ["50.00", "10.00"]


@pytest.mark.parametrize("takes", ["never", "later"])
def test_a_move_lets_nothing_live_longer(books: Books, takes: str) -> None:
    """Nor shorter: both cards expire at the same time."""
    soon = datetime.now(timezone.utc) + timedelta(days=30)
    dates = {"soon": soon, "as soon": soon, "later": soon + timedelta(days=1), "never": None}
    for card, expires in dates.items():
        books.sell_electronic(card, "10.00", "BRL", order="d", key=card, expires=expires)
    for gives, to in (("soon", takes), (takes, "soon")):
        with pytest.raises(Refused, match="expire at the same time"):
            books.move(gives, to, "4.00", key="m")
    for _ in range(2):
        books.move("soon", "as soon", "4.00", key="m")
    assert on(books, "soon", "as soon", takes) == ["6.00", "14.00", "10.00"]


def test_its_limit_is_respected(books: Books) -> None:
    books.sell_electronic("l", "10.00", "BRL", order="k", key="l", limits={"limit": "12.00"})
    with pytest.raises(Refused, match="limit"):
        books.move("a", "l", "2.01", key="m")
    books.move("a", "l", "2.00", key="less")
    assert on(books, "a", "l") == ["48.00", "12.00"]


@pytest.mark.parametrize("which", ["a", "b"])
def test_a_suspended_card_neither_gives_nor_takes(books: Books, which: str) -> None:
    books.suspend(which, key="stolen")
    with pytest.raises(Refused, match="suspended"):
        books.move("a", "b", "5.00", key="m")
    assert on(books, "a", "b") == ["50.00", "20.00"]


def test_what_the_other_card_does_not_take_any_more_waits_for_a_person_and_comes_back() -> None:
    provider = ScriptedProvider()
    books = Books(Engine(reader.load(), open_store("memory:"), provider, clock=provider.clock))
    for card in "ab":
        books.sell_electronic(card, "50.00", "BRL", order="sale", key=card)
    provider.reply_with([Reply("confirmed"), Reply("declined")])
    with pytest.raises(tallystick.Declined):
        books.move("a", "b", "15.00", key="m")
    assert on(books, "a", "b") == ["35.00", "50.00"]
    (waits,) = books.stuck().queue
    assert (waits.row.machine, waits.row.command) == ("replacement", "put_on")
    with pytest.raises(Refused, match="on its way"):
        books.take_back("a", key="return")
    books.engine.execute("replacement", "m", "cancel", {}, key="back")
    assert on(books, "a", "b") == ["50.00", "50.00"]
    books.queue.dismiss(waits.row.key, by="ann", reason="it came back")
    assert not books.stuck()
    assert books.verify().clean


def test_at_clutch_it_is_taken_off_one_card_and_put_on_the_other() -> None:
    for fault in ("none", "lost_after", "429"):
        world = World()
        world.card("c1")
        world.card("c2")
        world.sure("replacement", "m", "create", old="c1", new="c2", form="in_use", currency="USD")
        world.line.faults = ["none", fault]
        receipt = world.sure("replacement", "m", "move", amount="15.00", like="gift")
        world.engine.queue.follow(receipt)
        world.end()
        assert world.entity("replacement", "m").state == "moved"
        assert [world.entity("gift_card", each).accounts["available"] for each in ("c1", "c2")] == [3500, 6500]
        world.agree()


# What comes back to a card that was replaced


def test_what_an_order_gives_back_follows_to_the_new_card(books: Books) -> None:
    books.authorize("p", "a", "40.00", order="o", key="hold")
    books.replace("a", "n", key="lost")
    books.cancel("p", key="cancel")
    books.run_due()
    assert (on(books, "n"), books.card("a").state) == (["50.00"], "replaced")
    assert not books.stuck()


def test_what_cannot_follow_waits_for_a_person_at_once(books: Books) -> None:
    """The new card is suspended, too. When it is found, a person says so, and it follows."""
    books.authorize("p", "a", "40.00", order="o", key="hold")
    books.replace("a", "n", key="lost")
    books.suspend("n", key="lost as well")
    books.cancel("p", key="cancel")
    books.run_due()
    (waits,) = books.stuck().queue
    assert "suspended" in waits.why
    books.reinstate("n", key="found")
    books.queue.retry(waits.row.key, by="ann", reason="it was found")
    books.run_due()
    assert on(books, "n") == ["50.00"]
    assert not books.stuck()


def test_a_refund_goes_to_the_card_that_paid_to_its_replacement_or_to_any_card_in_use(books: Books) -> None:
    books.redeem("p", "a", "30.00", order="o", key="pay")
    books.refund("p", "5.00", key="to the card that paid")
    books.replace("a", "n", key="lost")
    with pytest.raises(Refused, match="Another card carries its value"):
        books.refund("p", "5.00", key="to the lost card")
    books.refund_to("p", "6.00", "n", key="to its replacement")
    books.refund_to("p", "7.00", "b", key="to any other")
    books.refund_to_new("p", "8.00", "credit", key="to a new one")
    books.refund_to("p", "4.00", "credit", key="and that again")
    assert on(books, "n", "b", "credit") == ["31.00", "27.00", "12.00"]

"""Refusals say what is so now: what is in doubt, by which call, and what would be taken instead. `may` says the same."""

from __future__ import annotations

import pytest

import tallystick
from tallystick.core.refusal import Code, Refusal
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Refused
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.open import open_store


@pytest.fixture
def scripted() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def books(scripted: ScriptedProvider) -> tallystick.Books:
    """A card that carries 50.00, another whose 50.00 are held, and a third whose 50.00 are in doubt."""
    books = tallystick.Books(Engine(reader.load(), open_store("memory:"), scripted, clock=scripted.clock))
    for card in ("full", "held", "doubt", "spent"):
        books.sell_electronic(card, "50.00", "BRL", order="o", key=f"sell-{card}")
    books.authorize("cart", "held", "50.00", order="other", key="cart")
    books.redeem("gone", "spent", "50.00", order="other", key="gone")
    scripted.reply_with([Reply("lost_after")])
    with pytest.raises(tallystick.InDoubt):
        books.redeem("lost", "doubt", "50.00", order="other", key="lost")
    return books


def call_in_doubt(books: tallystick.Books) -> str:
    with books.engine.store.reading() as reading:
        (row,) = reading.calls()
    return row.id


def refusal(books: tallystick.Books, machine: str, id: str, command: str, **args: object) -> Refusal:
    answer = books.may(machine, id, command, **args)
    assert answer.refusal is not None
    return answer.refusal


def test_what_is_spent_held_or_in_doubt_is_told_apart(books: tallystick.Books) -> None:
    says = {}
    for number, card in enumerate(("held", "doubt", "spent")):
        with pytest.raises(Refused) as caught:
            books.authorize(f"p{number}", card, "10.00", order="o2", key=f"k{number}")
        says[card] = str(caught.value)
        assert "It carries less" in says[card]
    assert says["held"].endswith("available 0.00; beside that, held 50.00)")
    call = call_in_doubt(books)
    assert says["doubt"].endswith(f"in doubt 50.00). The provider has not answered redeem (call {call}) yet.")
    assert says["spent"].endswith("available 0.00)")


def test_a_void_in_doubt_names_the_call(books: tallystick.Books, scripted: ScriptedProvider) -> None:
    call = call_in_doubt(books)
    no = refusal(books, "payment", "lost", "void")
    assert (no.code, no.calls, no.allowed) == (Code.IN_DOUBT, (call,), ())
    assert no.why.endswith(f"redeem was sent to the provider and its answer is not known yet (call {call})")
    assert "authorized" not in no.why
    scripted.wait(600)
    books.recover()
    assert books.may("payment", "lost", "void")


def test_a_void_said_while_a_void_is_in_doubt_names_the_call(
    books: tallystick.Books, scripted: ScriptedProvider
) -> None:
    scripted.reply_with([Reply("lost_after")])
    with pytest.raises(tallystick.InDoubt) as caught:
        books.void("gone", key="void")
    no = refusal(books, "payment", "gone", "void")
    assert no.calls == (caught.value.receipt.call,)
    assert f"void (call {caught.value.receipt.call})" in no.why


def test_allowed_is_what_would_be_taken(books: tallystick.Books) -> None:
    books.authorize("p", "full", "5.00", order="o", key="p")
    books.settle("p", "5.00", key="s")
    no = refusal(books, "payment", "p", "void")
    assert no.allowed == ("refund", "refund_to")
    assert books.may("payment", "p", "refund", amount="5.00")
    books.suspend("full", key="x")
    assert refusal(books, "payment", "p", "void").allowed == ("refund_to",)
    with pytest.raises(Refused, match=r"It would take: adjust, take_back, observe, register, reinstate\.$"):
        books.authorize("p2", "full", "5.00", order="o", key="p2")


def test_may_answers_for_a_payment_that_does_not_exist_yet(books: tallystick.Books) -> None:
    yes = books.may("payment", "new", "authorize", card="full", amount="50.00")
    assert (yes.allowed, yes.state, yes.transition) == (True, "authorized", "authorize")
    no = refusal(books, "payment", "new", "authorize", card="full", amount="60.00")
    assert no.code is Code.LINKED
    assert "It carries less" in no.why
    assert call_in_doubt(books) in refusal(books, "payment", "new", "redeem", card="doubt", amount="1.00").why
    with pytest.raises(tallystick.NotFound, match=r"its card, gift_card 'nobody', does not exist$"):
        books.may("payment", "new", "authorize", card="nobody", amount="1.00")
    with pytest.raises(tallystick.NotFound, match="create it first"):
        books.may("payment", "new", "authorize", amount="1.00")
    with books.engine.store.reading() as reading:
        assert reading.entity("payment", "new") is None


def test_may_takes_the_facts_that_a_payment_has(books: tallystick.Books) -> None:
    assert books.may("payment", "cart", "settle", card="held", order="other", currency="BRL", amount="5.00")
    for other in ({"card": "full"}, {"order": "mine"}, {"currency": "USD"}):
        with pytest.raises(tallystick.Invalid, match="takes no argument"):
            books.may("payment", "cart", "settle", amount="5.00", **other)


def test_may_says_what_is_missing_of_something_that_does_not_exist(books: tallystick.Books) -> None:
    assert books.may("gift_card", "new", "allocate", form="electronic", currency="BRL")
    with pytest.raises(tallystick.Invalid, match="currency"):
        books.may("gift_card", "new", "allocate", form="electronic")
    with pytest.raises(tallystick.Invalid, match="takes no argument 'colour'"):
        books.may("payment", "new", "authorize", card="full", amount="1.00", colour="red")

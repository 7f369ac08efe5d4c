"""A whole verb is asked about: which of its steps would say no, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import tallystick
from tallystick import Answer, Money, Plan
from tallystick.books.books import Books
from tallystick.provider.scripted import ScriptedProvider


def brl(amount: str) -> Money:
    return Money.parse(amount, "BRL")


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def books(provider: ScriptedProvider) -> Iterator[Books]:
    with tallystick.open("memory:", provider=provider) as books:
        for card in ("a", "b"):
            books.sell_electronic(card, "50.00", "BRL", order="s", key=f"sell-{card}")
        books.authorize("p", "a", "20.00", order="o", key="hold")
        yield books


Verb = Callable[[Books], object]
TAKEN: list[Verb] = [
    lambda books: books.authorize("q", "a", "30.00", order="o", key="k"),
    lambda books: books.redeem("q", "a", "30.00", order="o", key="k"),
    lambda books: books.authorize_all(
        Plan((("a", brl("30.00")), ("b", brl("50.00"))), brl("0.00")), order="o", key="k"
    ),
    lambda books: books.settle("p", "20.00", key="k"),
    lambda books: books.replace("a", "new", key="k"),
    lambda books: books.sell_electronic("new", "5.00", "BRL", order="o", key="k"),
    lambda books: books.suspend("a", key="k"),
    lambda books: books.authorize("p", "a", "20.00", order="o", key="hold"),  # it is done
]
REFUSED: list[tuple[Verb, str, str]] = [
    (lambda books: books.authorize("q", "a", "30.01", order="o", key="k"), "authorize", "carries less"),
    (lambda books: books.authorize_all(Plan((("b", brl("1.00")), ("a", brl("31.00"))), brl("0.00")), order="o", key="k"),
     "authorize", "carries less"),
    (lambda books: books.replace("a", "b", key="k"), "create", "exists already"),
    (lambda books: books.sell_electronic("new", "0.00", "BRL", order="o", key="k"), "issue", "more than zero"),
    (lambda books: books.settle("p", "21.00", key="k"), "settle", "No more than is held"),
    (lambda books: books.refund_to_new("p", "1.00", "new", key="k"), "refund_to", "Nothing has shipped"),
]  # fmt: skip


def everything(books: Books, provider: ScriptedProvider) -> list[object]:
    with books.engine.store.reading() as reading:
        return [*reading.journal(), *reading.queue(), *reading.all_calls(), len(provider.contacts)]


@pytest.mark.parametrize("verb", TAKEN)
def test_a_verb_that_would_be_taken(books: Books, provider: ScriptedProvider, verb: Verb) -> None:
    before = everything(books, provider)
    answer = books.would(verb)
    assert isinstance(answer, Answer)
    assert answer
    assert everything(books, provider) == before
    verb(books)


@pytest.mark.parametrize(("verb", "step", "says"), REFUSED)
def test_the_step_that_says_no_is_named(
    books: Books, provider: ScriptedProvider, verb: Verb, step: str, says: str
) -> None:
    before = everything(books, provider)
    answer = books.would(verb)
    assert not answer
    assert answer.refusal is not None
    assert answer.refusal.command == step
    assert says in answer.refusal.why
    assert everything(books, provider) == before

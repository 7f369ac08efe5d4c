"""What a caller may get wrong ends as Invalid, never as somebody else's exception, and ends nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import tallystick
from tallystick import Command, Invalid
from tallystick.books.books import Books
from tallystick.engine.receipt import Receipt

LONE = "\ud800"  # half of a character: it cannot be written as UTF-8
CARD = {"form": "electronic", "currency": "BRL"}


@pytest.fixture(params=["memory:", "sqlite"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    with tallystick.open("memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/books.db") as books:
        books.sell_electronic("c", "50.00", "BRL", order="o", key="s")
        books.authorize("p", "c", "5.00", order="o", key="p")
        yield books


def test_one_bad_line_does_not_end_the_others(books: Books) -> None:
    poison = {"order": "o", "card": LONE, "currency": "BRL"}
    answers = books.engine.try_execute_many([
        Command("gift_card", "x", "create", CARD, key="1"),
        Command("payment", "q", "create", poison, key="2"),
        Command("gift_card", "y", "create", CARD, key="3"),
    ])  # fmt: skip
    assert [isinstance(each, Receipt) and each.applied for each in answers] == [True, False, True]
    assert isinstance(answers[1], Invalid)


@pytest.mark.parametrize(
    "due", ["2027-01-01", 5, datetime(2027, 1, 1), datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))]
)
def test_a_due_that_is_no_moment(books: Books, due: Any) -> None:
    with pytest.raises(Invalid):
        books.settle("p", "1.00", key="d", due=due)


@pytest.mark.parametrize("grace", [0, "1h", None, timedelta.max, timedelta.min])
def test_a_grace_that_is_no_length_of_time(books: Books, grace: Any) -> None:
    with pytest.raises(Invalid, match="grace is a timedelta"):
        books.recover(grace)


def test_a_call_by_the_beginning_of_its_id(books: Books) -> None:
    for text in (LONE, "", "ab", "nothing like this"):
        with pytest.raises(Invalid, match="there is no call"):
            books.engine.send(text)


def test_a_key_that_cannot_be_was_never_seen(books: Books) -> None:
    assert books.engine.seen(LONE) is None


@pytest.mark.parametrize("odd", [LONE, "", "a\nb", 5, None])
def test_what_cannot_be_a_name_is_not_found(books: Books, odd: Any) -> None:
    assert books.find(odd) is None
    for look in (books.card, books.payment):
        with pytest.raises(tallystick.NotFound):
            look(odd)
    with pytest.raises(Invalid):
        books.settle(odd, "1.00", key="k")

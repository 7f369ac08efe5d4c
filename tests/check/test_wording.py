"""How findings speak: lists in words, and amounts as people read them."""

from __future__ import annotations

import pytest

from tallystick import money
from tallystick.check.wording import CURRENCY, amount, joined


@pytest.mark.parametrize("minor", [0, 1, -1, 99, -100, 123456, money.LIMIT, -money.LIMIT])
def test_an_amount_reads_as_everywhere_else(minor: int) -> None:
    assert amount(minor) == money.to_text(minor, CURRENCY)


def test_an_amount_of_the_solver_may_be_larger_than_any_money() -> None:
    assert amount(-(money.LIMIT * 1000) - 5) == f"-{money.LIMIT * 10}.05"


def test_a_list_is_joined_in_words() -> None:
    assert [joined(["a"]), joined("ab"), joined("abc", "or")] == ["a", "a and b", "a, b or c"]

"""Where the choices of a walk come from: one seed decides all of them, so a walk can be gone again."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


class Dice:
    """Where choices come from, made of one seed: drawing each from Hypothesis would take most of a step's time."""

    def __init__(self, seed: int | str) -> None:
        self._random = Random(seed)  # noqa: S311  # a walk, no secret

    def below(self, number: int) -> int:
        """A whole number from 0 up, less than `number`."""
        return self._random.randrange(number)


def pick(dice: Dice, items: Sequence[Item]) -> Item:
    return items[dice.below(len(items))]


def rotated(dice: Dice, items: Sequence[Item]) -> list[Item]:
    """The items, begun somewhere."""
    start = dice.below(len(items)) if len(items) > 1 else 0
    return [*items[start:], *items[:start]]


def rarely(dice: Dice, one_in: int) -> bool:
    return dice.below(one_in) == one_in - 1

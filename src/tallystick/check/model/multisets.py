"""Multisets with numbers for names: the calls in flight of a state, or the follow-ups that wait in it."""

from __future__ import annotations

from typing import Any


class Multisets:
    """Each multiset of items has a number, the empty one 0. An item is `number * count + member`."""

    def __init__(self, count: int) -> None:
        """`count`: of the members of the world."""
        self.items: list[tuple[int, ...]] = [()]  # by the number of the multiset, sorted
        self.size = [0]
        self._count = count
        self._numbers: dict[tuple[int, ...], int] = {(): 0}
        self._known: dict[tuple[Any, ...], int] = {}

    def put(self, multiset: int, item: int) -> int:
        """The number of the multiset with one more item."""
        known = self._known.get((multiset, item, True))
        if known is None:
            known = self._known[multiset, item, True] = self._number((*self.items[multiset], item))
        return known

    def take(self, multiset: int, item: int) -> int:
        """The number of the multiset with one item less."""
        known = self._known.get((multiset, item, False))
        if known is None:
            rest = list(self.items[multiset])
            rest.remove(item)
            known = self._known[multiset, item, False] = self._number(tuple(rest))
        return known

    def renamed(self, multiset: int, names: tuple[int, ...]) -> int:
        """The number of the multiset in which member n is called `names[n]`."""
        known = self._known.get((multiset, names))
        if known is None:
            items = (divmod(item, self._count) for item in self.items[multiset])
            renamed = tuple(number * self._count + names[member] for number, member in items)
            known = self._known[multiset, names] = self._number(renamed)
        return known

    def _number(self, items: tuple[int, ...]) -> int:
        multiset = tuple(sorted(items))
        if multiset not in self._numbers:
            self._numbers[multiset] = len(self.items)
            self.items.append(multiset)
            self.size.append(len(multiset))
        return self._numbers[multiset]

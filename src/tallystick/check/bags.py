"""What waits in a search, with numbers for names: bags of calls and follow-ups, and states by their sort."""

from __future__ import annotations

from collections import Counter, deque
from heapq import heappop, heappush
from typing import Any

Sort = tuple[object, ...]  # of states that are alike for the one who looks for something rare


class Sorts:
    """States that wait, by their sort; one of the sort least often taken from comes first."""

    def __init__(self) -> None:
        self._waiting: dict[Sort, deque[int]] = {}
        self._order: list[tuple[int, int, Sort]] = []  # how often taken from, when first met, the sort
        self._taken: Counter[Sort] = Counter()
        self._met: dict[Sort, int] = {}

    def put(self, sort: Sort, number: int) -> None:
        waiting = self._waiting.setdefault(sort, deque())
        if not waiting:
            heappush(self._order, (self._taken[sort], self._met.setdefault(sort, len(self._met)), sort))
        waiting.append(number)

    def take(self) -> int | None:
        if not self._order:
            return None
        _, met, sort = heappop(self._order)
        number = self._waiting[sort].popleft()
        self._taken[sort] += 1
        if self._waiting[sort]:
            heappush(self._order, (self._taken[sort], met, sort))
        return number


class Bags:
    """Things that may be there more than once, such as calls in flight: each bag has a number, the empty one 0.

    A thing is `number * count + member`.
    """

    def __init__(self, count: int) -> None:
        self.bags: list[tuple[int, ...]] = [()]
        self.size = [0]
        self._count = count
        self._numbers: dict[tuple[int, ...], int] = {(): 0}
        self._known: dict[tuple[Any, ...], int] = {}

    def put(self, bag: int, thing: int) -> int:
        known = self._known.get((bag, thing, True))
        if known is None:
            known = self._known[bag, thing, True] = self._number((*self.bags[bag], thing))
        return known

    def take(self, bag: int, thing: int) -> int:
        known = self._known.get((bag, thing, False))
        if known is None:
            rest = list(self.bags[bag])
            rest.remove(thing)
            known = self._known[bag, thing, False] = self._number(tuple(rest))
        return known

    def renamed(self, bag: int, names: tuple[int, ...]) -> int:
        known = self._known.get((bag, names))
        if known is None:
            things = (divmod(thing, self._count) for thing in self.bags[bag])
            known = self._known[bag, names] = self._number(
                tuple(number * self._count + names[member] for number, member in things)
            )
        return known

    def _number(self, things: tuple[int, ...]) -> int:
        bag = tuple(sorted(things))
        if bag not in self._numbers:
            self._numbers[bag] = len(self.bags)
            self.bags.append(bag)
            self.size.append(len(bag))
        return self._numbers[bag]

"""A queue of states in which what is rare comes first."""

from __future__ import annotations

from collections import Counter, deque
from heapq import heappop, heappush

Sort = tuple[object, ...]  # states of one sort are alike for a search that looks for what is rare


class RarestFirst:
    """States that wait, by their sort. The next one is of the sort that was least often taken."""

    def __init__(self) -> None:
        self._waiting: dict[Sort, deque[int]] = {}
        self._order: list[tuple[int, int, Sort]] = []  # how often taken, when first met, the sort
        self._taken: Counter[Sort] = Counter()
        self._met: dict[Sort, int] = {}

    def put(self, sort: Sort, number: int) -> None:
        waiting = self._waiting.setdefault(sort, deque())
        if not waiting:
            heappush(self._order, (self._taken[sort], self._met.setdefault(sort, len(self._met)), sort))
        waiting.append(number)

    def take(self) -> int | None:
        """The next state; None if none waits."""
        if not self._order:
            return None
        _, met, sort = heappop(self._order)
        number = self._waiting[sort].popleft()
        self._taken[sort] += 1
        if self._waiting[sort]:
            heappush(self._order, (self._taken[sort], met, sort))
        return number

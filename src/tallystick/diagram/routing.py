"""Wires find their way between boxes, on a grid, without ever lying on each other.

The grid's lines are `UNIT` apart, and boxes stand on them. A wire is a path along grid lines from a side of one box to
a side of another. It is found by A*: a step costs 1, a bend and a crossing cost more, and a way above the boxes more
again. Two wires may cross but not share a piece of a line. A bus is routed source by source; the next source may end
anywhere on what lies already.

Labels are placed as soon as their wire lies, beside a straight piece of it: the first line above it, the second below.
Later wires keep away from them. If no piece has room, a free place is looked for and the wire led past it.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import attrs

UNIT = 12  # pixels between two grid lines
BEND, CROSSING, ABOVE, BESIDE = 4.0, 6.0, 0.6, 0.5  # what they cost, in grid steps
Point = tuple[int, int]  # (column, row) of the grid
_STEPS = {"E": (1, 0), "W": (-1, 0), "S": (0, 1), "N": (0, -1)}
_BACK = {"E": "W", "W": "E", "S": "N", "N": "S"}


@attrs.frozen
class Rect:
    """A rectangle on the grid; its sides belong to it."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    def has(self, point: Point, margin: int = 0) -> bool:
        x, y = point
        return (self.left - margin <= x <= self.right + margin) and (self.top - margin <= y <= self.bottom + margin)

    def meets(self, other: Rect) -> bool:
        return (
            self.left <= other.right and other.left <= self.right
            and self.top <= other.bottom and other.top <= self.bottom
        )  # fmt: skip


@attrs.define
class Routed:
    """A wire that lies: one path for each source, ending at the target or, of a bus, on an earlier path."""

    paths: list[list[Point]]
    label: Rect | None = None
    sideways: bool = False  # the label stands beside an upright piece, not above and below a level one


@attrs.define
class Board:
    """What lies where."""

    width: int
    height: int
    boxes: Mapping[str, Rect]
    spine: int  # the row of the usual way
    pieces: dict[tuple[Point, Point], int] = attrs.field(factory=dict)  # of the grid → the wire that lies there
    through: dict[Point, dict[int, str]] = attrs.field(factory=dict)  # point → wire → "-", "|" or "+" (a bend)
    labels: list[Rect] = attrs.field(factory=list)
    blocked: set[Point] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        for box in self.boxes.values():
            self.blocked |= {(x, y) for x in range(box.left, box.right + 1) for y in range(box.top, box.bottom + 1)}

    def ports(self, name: str, *, leaving: bool, straight: bool) -> Iterator[tuple[Point, str, float]]:
        """Where a wire may leave or enter a box: (point, outward direction, what it costs)."""
        box = self.boxes[name]
        level = self.spine if box.has((box.left, self.spine)) else box.top + min(2, box.height // 2)
        if straight:
            yield ((box.right, level), "E", 0.0) if leaving else ((box.left, level), "W", 0.0)
            return
        cost = {"E": 0.0, "S": 1.0, "N": 3.0, "W": 9.0} if leaving else {"W": 0.0, "S": 2.0, "N": 2.0, "E": 7.0}
        for y in range(box.top + 1, box.bottom):
            for x, side in ((box.right, "E"), (box.left, "W")):
                yield (x, y), side, cost[side] + abs(y - level) * 0.1
        middle = box.left + box.width / 2
        for x in range(box.left + 1, box.right):
            for y, side in ((box.bottom, "S"), (box.top, "N")):
                yield (x, y), side, cost[side] + abs(x - middle) * 0.1

    def taken(self, wire: int, point: Point) -> bool:
        return any(other != wire for other in self.through.get(point, ()))

    def lay(self, wire: int, path: Sequence[Point]) -> None:
        """Remember where a wire lies."""
        for before, after in pairwise(path):
            self.pieces[min(before, after), max(before, after)] = wire
        for index, point in enumerate(path):
            near = [path[other] for other in (index - 1, index + 1) if 0 <= other < len(path)]
            level, upright = ({each[axis] for each in (*near, point)} for axis in (1, 0))
            way = "-" if len(level) == 1 else "|" if len(upright) == 1 else "+"
            here = self.through.setdefault(point, {})
            here[wire] = way if here.get(wire, way) == way else "+"

    # A*

    def way(
        self, wire: int, starts: Iterable[tuple[Point, str, float]], goals: Mapping[Point, tuple[str, float]]
    ) -> list[Point] | None:
        """The cheapest path from one of the starts to one of the goals: point → (side it is entered from, cost)."""
        left, right = min(x for x, _ in goals), max(x for x, _ in goals)
        top, bottom = min(y for _, y in goals), max(y for _, y in goals)

        def ahead(point: Point) -> float:
            x, y = point
            return float(max(left - x, 0, x - right) + max(top - y, 0, y - bottom))

        cost: dict[tuple[Point, str], float] = {}
        came: dict[tuple[Point, str], tuple[Point, str] | None] = {}
        heap: list[tuple[float, float, Point, str]] = []
        for point, side, price in starts:
            if not self.taken(wire, point):
                cost[point, side], came[point, side] = price, None
                heapq.heappush(heap, (price + ahead(point), price, point, side))
        while heap:
            _, so_far, point, heading = heapq.heappop(heap)
            if so_far > cost[point, heading]:
                continue
            if point in goals and came[point, heading] is not None and goals[point][0] == "":
                return _walked(came, (point, heading))
            if point in goals and came[point, heading] is not None and heading == _BACK[goals[point][0]]:
                return _walked(came, (point, heading))
            for turned, price in self._onward(wire, point, heading, goals, came[point, heading] is None):
                x, y = point[0] + _STEPS[turned][0], point[1] + _STEPS[turned][1]
                total = so_far + price + (goals[x, y][1] if (x, y) in goals else 0.0)
                if total < cost.get(((x, y), turned), 1e9):
                    cost[(x, y), turned], came[(x, y), turned] = total, (point, heading)
                    heapq.heappush(heap, (total + ahead((x, y)), total, (x, y), turned))
        return None

    def _onward(
        self, wire: int, point: Point, heading: str, goals: Mapping[Point, tuple[str, float]], first: bool
    ) -> Iterator[tuple[str, float]]:
        """Directions to go on in, with what the step costs."""
        crossing = self.taken(wire, point)
        for turned, (dx, dy) in _STEPS.items():
            if turned == _BACK[heading] or (turned != heading and (first or crossing)):
                continue
            after = (point[0] + dx, point[1] + dy)
            if not (0 <= after[0] <= self.width and 0 <= after[1] <= self.height):
                continue
            if after in self.blocked and after not in goals:
                continue
            if after in goals and goals[after][0] not in ("", _BACK[turned]):
                continue
            if self.pieces.get((min(point, after), max(point, after)), wire) != wire:
                continue
            others = {way for other, way in self.through.get(after, {}).items() if other != wire}
            if others - {"|" if turned in "EW" else "-"} or (others and after in goals):
                continue
            price = 1.0 + (BEND if turned != heading else 0.0) + (CROSSING if others else 0.0)
            price += BESIDE if self._beside(wire, after, turned) else 0.0
            yield turned, price + (ABOVE if after[1] < self.spine - 1 else 0.0)

    def _beside(self, wire: int, point: Point, heading: str) -> bool:
        """Whether another wire runs along, one grid line away: it is not forbidden, but hard to read."""
        dx, dy = (0, 1) if heading in "EW" else (1, 0)
        way = "-" if heading in "EW" else "|"
        near = ((point[0] + dx, point[1] + dy), (point[0] - dx, point[1] - dy))
        return any(other != wire and its == way for each in near for other, its in self.through.get(each, {}).items())

    # Labels

    def room(self, wire: int, paths: Sequence[Sequence[Point]], size: Point) -> tuple[Rect, bool] | None:
        """A free place for a label beside one of these paths: on a level piece, else beside an upright one."""
        width, height = size
        best: tuple[float, Rect, bool] | None = None
        for path in paths:
            for start, end in _straight(path):
                level = start[1] == end[1]
                low, high = sorted((start[0], end[0]) if level else (start[1], end[1]))
                middle = (low + high) / 2
                if level:
                    places = [Rect(x, start[1] - 2, width, 2 * height) for x in range(low + 1, high - width)] or (
                        [Rect(low, start[1] - 2, width, 2 * height)] if high - low == width + 1 else []
                    )
                else:
                    tall = 2 * height
                    places = [
                        Rect(x, y, width, tall) for y in range(low + 1, high - tall)
                        for x in (start[0] + 1, start[0] - 1 - width)
                    ]  # fmt: skip
                for place in places:
                    centre = place.left + width / 2 if level else place.top + height
                    price = abs(centre - middle) * 0.5 + (0 if level else 30) - min(high - low, 20) * 0.2
                    line = start[1] if level else None
                    if (best is None or price < best[0]) and self.is_free(wire, place, line):
                        best = (price, place, not level)
        return best and (best[1], best[2])

    def is_free(self, wire: int, place: Rect, line: int | None) -> bool:
        """Whether nothing lies in a place for a label but the wire itself, in the row `line`."""
        if place.left < 0 or place.top < 0 or place.right > self.width or place.bottom > self.height:
            return False
        if any(place.meets(box) for box in self.boxes.values()) or any(place.meets(label) for label in self.labels):
            return False
        return not any(
            bool(self.through.get((x, y))) if y != line else self.through.get((x, y)) not in (None, {wire: "-"})
            for x in range(place.left, place.right + 1)
            for y in range(place.top, place.bottom + 1)
        )

    def keep(self, place: Rect) -> None:
        """Later wires keep away from a label."""
        self.labels.append(place)
        self.blocked |= {
            (x, y) for x in range(place.left, place.right + 1) for y in range(place.top, place.bottom + 1)
        }  # fmt: skip


def _walked(came: Mapping[tuple[Point, str], tuple[Point, str] | None], last: tuple[Point, str]) -> list[Point]:
    path = [last[0]]
    before = came[last]
    while before is not None:
        path.append(before[0])
        before = came[before]
    return path[::-1]


def _straight(path: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """The straight pieces of a path, each from corner to corner."""
    found = corners(path)
    yield from pairwise(found)


def corners(path: Sequence[Point]) -> list[Point]:
    """The ends of a path and where it bends."""
    kept = [path[0]]
    for before, here, after in zip(path, path[1:], path[2:], strict=False):
        if (after[0] - here[0], after[1] - here[1]) != (here[0] - before[0], here[1] - before[1]):
            kept.append(here)
    return [*kept, path[-1]]


def route(board: Board, wire: int, sources: Collection[str], target: str, size: Point, *, usual: bool) -> Routed | None:
    """Lay a wire and its label. None if there is no way or no room."""
    goals = {point: (side, price) for point, side, price in board.ports(target, leaving=False, straight=usual)}
    goals = {point: goal for point, goal in goals.items() if not board.taken(wire, point)}
    paths: list[list[Point]] = []
    trunk: dict[Point, tuple[str, float]] = {}
    near = board.boxes[target]
    for source in sorted(sources, key=lambda name: abs(board.boxes[name].left - near.left) + board.boxes[name].top):
        starts = board.ports(source, leaving=True, straight=usual)
        found = board.way(wire, starts, trunk or goals) if trunk or goals else None
        if found is None and usual:  # something stands between: not straight, then
            return route(board, wire, sources, target, size, usual=False)
        if found is None:
            return None
        board.lay(wire, found)
        paths.append(found)
        for point in found[2:-1]:
            if list(board.through[point]) == [wire] and point not in board.blocked:
                trunk[point] = ("", 0.0)
    if size[0] == 0:
        return Routed(paths)
    place = board.room(wire, paths[:1], size) or board.room(wire, paths, size)
    if place is None:
        return Routed(paths)
    board.keep(place[0])
    return Routed(paths, *place)

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
BEND, CROSSING, ABOVE, BESIDE, SPINE = 4.0, 6.0, 3.0, 0.5, 30.0  # what they cost, in grid steps
Point = tuple[int, int]  # (column, row) of the grid
_HASTE = 1.15  # above 1, the search looks less to the sides: it is quicker, and a way may be a little longer
_TRIES = 4  # free places for a label that are tried when the straightest way has none
EAST, WEST, SOUTH, NORTH, ANY = range(5)  # directions; one and its opposite differ in the last bit


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
    """What lies where. Points of the grid are numbered row by row, so that the search runs over plain lists."""

    width: int
    height: int
    boxes: Mapping[str, Rect]
    spine: int  # the row of the usual way
    labels: list[Rect] = attrs.field(factory=list)
    across: int = attrs.field(init=False)  # points in a row, with two of the edge on each side
    blocked: bytearray = attrs.field(init=False)  # by a box, a label or the edge
    level: bytearray = attrs.field(init=False)  # how many finished wires run through a point from left to right
    upright: bytearray = attrs.field(init=False)  # or from top to bottom; a bend counts in both
    own: dict[int, int] = attrs.field(
        factory=dict
    )  # of the wire that is being laid: point → 1 level, 2 upright, 3 both

    def __attrs_post_init__(self) -> None:
        self.across = self.width + 3
        size = self.across * (self.height + 3)
        self.blocked, self.level, self.upright = bytearray(size), bytearray(size), bytearray(size)
        for x in range(-1, self.width + 2):
            for y in (-1, 0, self.height, self.height + 1):
                self.blocked[self.at((x, y))] = 1
        for y in range(-1, self.height + 2):
            for x in (-1, 0, self.width, self.width + 1):
                self.blocked[self.at((x, y))] = 1
        for box in self.boxes.values():
            self.block(box)

    def at(self, point: Point) -> int:
        return (point[1] + 1) * self.across + point[0] + 1

    def _point(self, at: int) -> Point:
        return at % self.across - 1, at // self.across - 1

    def block(self, place: Rect) -> None:
        for y in range(max(place.top, 0), min(place.bottom, self.height) + 1):
            for x in range(max(place.left, 0), min(place.right, self.width) + 1):
                self.blocked[self.at((x, y))] = 1

    def is_taken(self, point: Point) -> bool:
        """Whether a finished wire is there."""
        at = self.at(point)
        return bool(self.level[at] or self.upright[at])

    def ports(self, name: str, *, leaving: bool, straight: bool) -> Iterator[tuple[Point, int, float]]:
        """Where a wire may leave or enter a box: (point, outward direction, what it costs)."""
        box = self.boxes[name]
        level = self.spine if box.has((box.left, self.spine)) else box.top + min(2, box.height // 2)
        if straight:
            yield ((box.right, level), EAST, 0.0) if leaving else ((box.left, level), WEST, 0.0)
            return
        cost = (0.0, 14.0, 1.0, 5.0) if leaving else (12.0, 0.0, 2.0, 2.0)
        for y in range(box.top + 1, box.bottom):
            for x, side in ((box.right, EAST), (box.left, WEST)):
                yield (x, y), side, cost[side] + abs(y - level) * 0.1
        middle = box.left + box.width / 2
        for x in range(box.left + 1, box.right):
            for y, side in ((box.bottom, SOUTH), (box.top, NORTH)):
                yield (x, y), side, cost[side] + abs(x - middle) * 0.1

    def lay(self, path: Sequence[Point]) -> None:
        """Remember where the wire that is being laid lies."""
        for before, after in pairwise(path):
            way = 1 if before[1] == after[1] else 2
            for point in (before, after):
                at = self.at(point)
                self.own[at] = self.own.get(at, 0) | way

    def finish(self) -> None:
        """The wire lies, and others keep off it."""
        for at, way in self.own.items():
            self.level[at] += way & 1
            self.upright[at] += way >> 1
        self.own = {}

    # A*

    def way(
        self, starts: Iterable[tuple[Point, int, float]], goals: Mapping[Point, tuple[int, float]]
    ) -> list[Point] | None:
        """The cheapest path from one of the starts to one of the goals: point → (side it is entered from, cost).

        A goal with side `ANY` is a point of the wire itself.
        """
        left, right = min(x for x, _ in goals), max(x for x, _ in goals)
        top, bottom = min(y for _, y in goals), max(y for _, y in goals)
        ends = {self.at(point): goal for point, goal in goals.items()}
        across, blocked, level, upright = self.across, self.blocked, self.level, self.upright
        moves = (1, -1, across, -across)
        cost: dict[int, float] = {}
        came: dict[int, int] = {}
        heap: list[tuple[float, float, int]] = []

        def ahead(at: int) -> float:
            y, x = divmod(at, across)
            dx = left - x + 1 if x <= left else x - 1 - right if x > right else 0
            dy = top - y + 1 if y <= top else y - 1 - bottom if y > bottom else 0
            return (dx + dy) * _HASTE + (BEND if dx and dy else 0.0)

        for point, side, price in starts:
            at = self.at(point)
            if not (level[at] or upright[at]):
                cost[at * 4 + side], came[at * 4 + side] = price, -1
                heapq.heappush(heap, (price + ahead(at), price, at * 4 + side))
        while heap:
            _, so_far, here = heapq.heappop(heap)
            if so_far > cost[here]:
                continue
            at, heading = here >> 2, here & 3
            first = came[here] < 0
            if at in ends and not first:
                return self._walked(came, here)
            for turned in range(4):
                after = at + moves[turned]
                goal = ends.get(after)
                if turned != heading and (first or turned == heading ^ 1 or level[at] or upright[at]):
                    continue
                if blocked[after] if goal is None else goal[0] not in (ANY, turned ^ 1):
                    continue
                step = self._price(after, turned, goal)
                if step is None:
                    continue
                total = so_far + step + (BEND if turned != heading else 0.0)
                key = after * 4 + turned
                if total < cost.get(key, 1e9):
                    cost[key], came[key] = total, here
                    heapq.heappush(heap, (total + ahead(after), total, key))
        return None

    def _price(self, after: int, heading: int, goal: tuple[int, float] | None) -> float | None:
        """What a step to a point costs, coming in this direction; None if another wire is in the way."""
        along, cut = (self.level, self.upright) if heading < 2 else (self.upright, self.level)
        if along[after] or (cut[after] and (goal is not None or after in self.own)):
            return None
        aside = self.across if heading < 2 else 1
        beside = along[after + aside] or along[after - aside]
        crossing = SPINE if after // self.across == self.spine + 1 else CROSSING
        price = 1.0 + (crossing if cut[after] else 0.0) + (BESIDE if beside else 0.0) + (goal[1] if goal else 0.0)
        return price + (ABOVE if after < self.spine * self.across else 0.0)

    def _walked(self, came: Mapping[int, int], last: int) -> list[Point]:
        path = []
        while last >= 0:
            path.append(self._point(last >> 2))
            last = came[last]
        return path[::-1]

    # Labels

    def room(self, paths: Sequence[Sequence[Point]], size: Point) -> tuple[Rect, bool] | None:
        """A free place for a label beside one of these paths: on a level piece, else beside an upright one.

        `size` is its width and its number of lines, of two units each.
        """
        width, lines = size
        best: tuple[float, Rect, bool] | None = None
        for start, end in (piece for path in paths for piece in pairwise(corners(path))):
            level = start[1] == end[1]
            low, high = sorted((start[0], end[0]) if level else (start[1], end[1]))
            if level:
                places = [Rect(x, start[1] - 2, width, 2 * lines) for x in range(low, high - width)]
            else:
                tall = 2 * lines
                places = [Rect(x, y, width, tall) for y in range(low + 1, high - tall)
                          for x in (start[0] + 1, start[0] - 1 - width)]  # fmt: skip
            for place in places:
                centre = place.left + width / 2 if level else place.top + lines
                price = abs(centre - (low + high) / 2) * 0.5 + (0 if level else 30) - min(high - low, 20) * 0.2
                if (best is None or price < best[0]) and self.is_free(place, start[1] if level else None):
                    best = (price, place, not level)
        return best and (best[1], best[2])

    def is_free(self, place: Rect, line: int | None) -> bool:
        """Whether nothing lies in a place for a label but the wire itself, straight through the row `line`."""
        if place.left < 0 or place.top < 0 or place.right > self.width or place.bottom > self.height:
            return False
        if any(place.meets(box) for box in self.boxes.values()) or any(place.meets(label) for label in self.labels):
            return False
        for y in range(place.top, place.bottom + 1):
            for at in range(self.at((place.left, y)), self.at((place.right, y)) + 1):
                if self.level[at] or self.upright[at] or self.own.get(at, 0) > (1 if y == line else 0):
                    return False
        return True

    def keep(self, place: Rect) -> None:
        """Later wires keep away from a label."""
        self.labels.append(place)
        self.block(place)


def corners(path: Sequence[Point]) -> list[Point]:
    """The ends of a path and where it bends."""
    kept = [path[0]]
    for before, here, after in zip(path, path[1:], path[2:], strict=False):
        if (after[0] - here[0], after[1] - here[1]) != (here[0] - before[0], here[1] - before[1]):
            kept.append(here)
    return [*kept, path[-1]]


def route(board: Board, sources: Collection[str], target: str, size: Point, *, usual: bool) -> Routed | None:
    """Lay a wire and its label. None if there is no way."""
    near = board.boxes[target]
    ordered = sorted(sources, key=lambda name: -abs(board.boxes[name].left - near.left))
    paths = _paths(board, ordered, target, straight=usual)
    if paths is None and usual:  # something stands between: not straight, then
        paths = _paths(board, ordered, target, straight=False)
    if paths is None:
        return None
    place = board.room(paths[:1], size) or board.room(paths, size) if size[0] else None
    if place is None and size[0]:
        board.own = {}
        past = _past_a_free_place(board, ordered[0], target, size)
        kept = bytes(board.blocked)
        if past:
            board.block(past[1])
        again = past and _paths(board, ordered, target, straight=False, first=past[0])
        board.blocked[:] = kept
        if past and again:
            paths, place = again, (past[1], False)
        else:
            board.own = {}
            for path in paths:
                board.lay(path)
    board.finish()
    if place is None:
        return Routed(paths)
    board.keep(place[0])
    return Routed(paths, *place)


def _paths(
    board: Board, sources: Sequence[str], target: str, *, straight: bool, first: list[Point] | None = None
) -> list[list[Point]] | None:
    """A path from each source, laid; the ones after the first end on those before. None if one has no way."""
    ports = board.ports(target, leaving=False, straight=straight)
    goals = {point: (side, price) for point, side, price in ports if not board.is_taken(point)}
    paths: list[list[Point]] = []
    for source in sources:
        starts = board.ports(source, leaving=True, straight=straight)
        found = first if first and not paths else board.way(starts, goals) if goals else None
        if found is None:
            board.own = {}
            return None
        board.lay(found)
        goals = {} if not paths else goals
        paths.append(found)
        goals |= {point: (ANY, 0.0) for point in found[2:-1] if not board.is_taken(point)}
    return paths


def _past_a_free_place(board: Board, source: str, target: str, size: Point) -> tuple[list[Point], Rect] | None:
    """A path that runs level through a free place for its label, and that place: of the nearest ones that work."""
    begin, end = board.boxes[source], board.boxes[target]
    width, lines = size
    places = [
        (abs(x - begin.left) + abs(x + width - end.left) + abs(y - begin.bottom) + abs(y - end.bottom), x, y)
        for y in range(3, board.height - 1)
        for x in range(1, board.width - width)
    ]
    tried = 0
    for _, x, y in sorted(places):
        place = Rect(x, y - 2, width, 2 * lines)
        if not board.is_free(place, None):
            continue
        tried += 1
        for heading in (EAST, WEST):
            path = _through(board, source, target, place, y, heading)
            if path:
                return path, place
        if tried == _TRIES:
            return None
    return None


def _through(board: Board, source: str, target: str, place: Rect, y: int, heading: int) -> list[Point] | None:
    """A path that runs level through a place, in this direction."""
    into, out = ((place.left, y), (place.right, y)) if heading == EAST else ((place.right, y), (place.left, y))
    kept = bytes(board.blocked)
    board.block(place)
    before = board.way(board.ports(source, leaving=True, straight=False), {into: (heading ^ 1, 0.0)})
    after = None
    if before:
        for point in before:
            board.blocked[board.at(point)] = 1
        goals = {point: (side, price) for point, side, price in board.ports(target, leaving=False, straight=False)
                 if not board.is_taken(point)}  # fmt: skip
        after = board.way([(out, heading, 0.0)], goals) if goals else None
    board.blocked[:] = kept
    if not before or not after:
        return None
    step = 1 if heading == EAST else -1
    return [*before, *((x, y) for x in range(into[0] + step, out[0], step)), *after]

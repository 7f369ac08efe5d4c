"""Where boxes stand: the usual way in the first row from left to right, the rest below it, ends in the last column.

A state stands one column right of the last one that leads to it; ways back and two-headed wires do not count. Sizes are
in grid units (`routing.UNIT`). Gaps grow until every label has room; of the
tries that fit the budget, the one with the shortest and straightest wires is taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import attrs

from tallystick.diagram.routing import BEND, CROSSING, SPINE, UNIT, Board, Rect, Routed, corners, route
from tallystick.diagram.sketch import Box, Sketch, Text, Wire
from tallystick.diagram.text_width import text_width

SIZE = 14.7  # of text, in pixels: 11 pt
LARGE = 18  # of titles and counts
LINE = 18  # pixels from one line of a box to the next
PAD = 8  # pixels around the text of a box
WIDE, HIGH = 1100, 500  # the budget, in pixels
BOLD = ("name", "command", "title", "count")  # kinds of text
_GAPS = (
    (4, 4),
    (5, 6),
    (6, 8),
    (4, 5),
    (8, 6),
    (8, 8),
    (4, 2),
    (12, 12),
    (18, 16),
)  # grid units between columns and between rows
_ENOUGH = 3  # of these are tried in any case; the picture with the straightest wires is taken
_NAME = 11  # characters; a longer name stands in two lines


@attrs.frozen
class Placed:
    """A picture with places, in grid units."""

    boxes: Mapping[str, Rect]
    lines: Mapping[str, tuple[Text, ...]]  # of each box: as written, with a long name in two lines
    wires: tuple[Routed | None, ...]
    groups: tuple[tuple[str, Rect], ...]  # headings over states that stand together, with room for the heading
    width: int
    height: int
    top: int  # the first row that is used
    spine: int
    crossed: int  # how often a wire crosses the usual way
    price: float  # how long and crooked its wires are

    @property
    def wide(self) -> int:
        """Pixels, with a small margin at the right."""
        return self.width * UNIT - 4


def fits(sketch: Sketch, wide: int = WIDE, high: int = HIGH) -> bool:
    """Whether a sketch can be placed within so many pixels, with every wire and label."""
    placed = place(sketch, wide, high)
    return not lost(sketch, placed) and placed.wide <= wide and placed.height * UNIT <= high


def lost(sketch: Sketch, placed: Placed) -> int:
    """How many wires and labels have found no place."""
    return sum(wire is None or (wire.label is None and len(sketch.wires[at].label) > 0)
               for at, wire in enumerate(placed.wires))  # fmt: skip


@lru_cache(maxsize=256)
def place(sketch: Sketch, wide: int = WIDE, high: int = HIGH) -> Placed:
    """Find places for everything, within so many pixels if that can be done."""
    found = place_within(sketch, wide, high)
    if found is not None and not lost(sketch, found):
        return found
    tried = _gaps_within(sketch, wide, high)
    others = _best(sketch, wide, high, [gaps for gaps in _GAPS if gaps not in tried])
    both = [each for each in (found, others) if each is not None]
    return min(both, key=lambda each: _rank(sketch, each, wide, high))


@lru_cache(maxsize=256)
def place_within(sketch: Sketch, wide: int, high: int) -> Placed | None:
    """The best of those whose boxes do not need more pixels than that; None if all do, which is told without a wire."""
    return _best(sketch, wide, high, _gaps_within(sketch, wide, high))


def _gaps_within(sketch: Sketch, wide: int, high: int) -> list[tuple[int, int]]:
    lines = {box.name: _lines(box) for box in sketch.boxes}
    columns = _columns(sketch)
    rows = _rows(sketch, columns)
    found = []
    for gaps in _GAPS:
        boxes = _boxes(sketch, lines, columns, rows, *gaps)[0].values()
        if max(box.right for box in boxes) * UNIT <= wide and max(box.bottom for box in boxes) * UNIT <= high:
            found.append(gaps)
    return found


def _best(sketch: Sketch, wide: int, high: int, tries: Sequence[tuple[int, int]]) -> Placed | None:
    """The best with one of these gaps."""
    lines = {box.name: _lines(box) for box in sketch.boxes}
    columns = _columns(sketch)
    rows = _rows(sketch, columns)
    best: tuple[tuple[int, int, float], Placed] | None = None
    for index, gaps in enumerate(tries):
        placed = _try(sketch, lines, columns, rows, *gaps)
        rank = _rank(sketch, placed, wide, high)
        if best is None or rank < best[0]:
            best = (rank, placed)
        if best[0][:2] == (0, 0) and index + 1 >= _ENOUGH:
            break
    return best and best[1]


def _rank(sketch: Sketch, placed: Placed, wide: int, high: int) -> tuple[int, int, float]:
    over = max(placed.wide - wide, 0) + max(placed.height * UNIT - high, 0)
    return lost(sketch, placed), over, placed.price + SPINE * placed.crossed


def _boxes(
    sketch: Sketch, lines: Mapping[str, tuple[Text, ...]], columns: Mapping[str, int], rows: Mapping[str, int],
    across: int, down: int,
) -> tuple[dict[str, Rect], int]:  # fmt: skip
    """Where the boxes stand, and the top of the first row."""
    sizes = {name: box_size(each) for name, each in lines.items()}
    gaps = _gaps(sketch, columns, rows, across)
    lefts, x = {}, 2
    for column in range(max(columns.values()) + 1):
        lefts[column] = x
        x += max((sizes[name][0] for name in columns if columns[name] == column), default=0) + gaps.get(column, across)
    headed = {box.name for box in sketch.boxes if box.group}
    cards = {box.name for box in sketch.boxes if box.tone == "card"}
    first = [name for name in rows if rows[name] == 0]
    spine = 2 + 2 * any(name in headed for name in first)
    under: dict[int, int] = {}  # column → where its next box below the first row may begin
    for name in first:
        under[columns[name]] = spine + sizes[name][1] + (1 if name in cards else down)
    widest = {column: max(sizes[name][0] for name in columns if columns[name] == column) for column in lefts
              if any(columns[name] == column for name in columns)}  # fmt: skip
    boxes = {}
    for box in sketch.boxes:
        wide, high = sizes[box.name]
        column = columns[box.name]
        top = spine
        if rows[box.name]:
            top = under.get(column, spine + 4 + down) + 2 * (box.name in headed)
            under[column] = top + high + (1 if box.name in cards else down - 1)
        boxes[box.name] = Rect(lefts[column] + (widest[column] - wide) // 2, top, wide, high)
    return boxes, spine


def _try(
    sketch: Sketch, lines: Mapping[str, tuple[Text, ...]], columns: Mapping[str, int], rows: Mapping[str, int],
    across: int, down: int,
) -> Placed:  # fmt: skip
    boxes, spine = _boxes(sketch, lines, columns, rows, across, down)
    right = max(box.right for box in boxes.values()) + 2
    board = Board(right, max(box.bottom for box in boxes.values()) + 5, boxes, spine=spine + 2)
    groups = _groups(sketch, boxes)
    for heading, at in groups:
        board.keep(Rect(at.left, at.top, math.ceil(text_width(heading, SIZE) / UNIT) + 1, 1))
    routed: dict[int, Routed | None] = {}
    for index in sorted(range(len(sketch.wires)), key=lambda index: _turn(sketch.wires[index], boxes, columns)):
        wire = sketch.wires[index]
        routed[index] = route(board, wire.sources, wire.target, label_size(wire.label), usual=wire.usual)
    placed = tuple(routed[index] for index in range(len(sketch.wires)))
    points = [point for each in placed if each for path in each.paths for point in path]
    labels = [each.label for each in placed if each and each.label]
    far = max([box.right for box in boxes.values()] + [x for x, _ in points] + [label.right for label in labels])
    low = max([box.bottom for box in boxes.values()] + [y for _, y in points] + [label.bottom for label in labels])
    high = min([at.top for _, at in groups] + [box.top for box in boxes.values()] + [y for _, y in points]
               + [label.top for label in labels])  # fmt: skip
    row = slice(board.at((0, board.spine)), board.at((board.width, board.spine)))
    crossed = sum(1 for level, upright in zip(board.level[row], board.upright[row], strict=True) if level and upright)
    return Placed(boxes, lines, placed, groups, far + 1, low + 1, high, board.spine, crossed, _price(board, placed))


def _price(board: Board, wires: Sequence[Routed | None]) -> float:
    """Length, bends and crossings of all wires."""
    paths = [path for wire in wires if wire for path in wire.paths]
    crossings = sum(1 for level, upright in zip(board.level, board.upright, strict=True) if level and upright)
    bends = sum(len(corners(path)) - 2 for path in paths)
    return sum(map(len, paths)) + BEND * bends + CROSSING * (crossings - bends)


def _groups(sketch: Sketch, boxes: Mapping[str, Rect]) -> tuple[tuple[str, Rect], ...]:
    """The groups whose states stand together, with nothing else between them."""
    found = []
    for group in dict.fromkeys(box.group for box in sketch.boxes if box.group):
        own = [boxes[box.name] for box in sketch.boxes if box.group == group]
        left, top = min(each.left for each in own), min(each.top for each in own) - 2
        at = Rect(left, top, max(each.right for each in own) - left, max(each.bottom for each in own) - top)
        if not any(at.meets(boxes[box.name]) for box in sketch.boxes if box.group != group):
            found.append((group, at))
    return tuple(found)


def _turn(wire: Wire, boxes: Mapping[str, Rect], columns: Mapping[str, int]) -> tuple[object, ...]:
    """Who lies first: the usual way, then short ones; buses and declined ones last."""
    far = max(abs(columns[source] - columns[wire.target]) for source in wire.sources)
    return (not wire.usual, wire.declined, len(wire.sources) > 1, far, boxes[wire.target].top)


def _lines(box: Box) -> tuple[Text, ...]:
    name, *rest = box.lines
    words = name.text.split()
    if len(words) > 1 and len(words[0]) == 1:  # the sign of a change stays with its word
        words[:2] = [" ".join(words[:2])]
    if len(name.text) <= _NAME or len(words) == 1 or name.kind != "name":
        return box.lines
    cut = min(range(1, len(words)), key=lambda at: abs(len(" ".join(words[:at])) - len(" ".join(words[at:]))))
    return (Text(" ".join(words[:cut]), "name"), Text(" ".join(words[cut:]), "name"), *rest)


def box_size(lines: Sequence[Text]) -> tuple[int, int]:
    """Grid units that a box with these lines takes."""
    wide = max(line_width(line) for line in lines) + 2 * PAD
    high = LINE * len(lines) + PAD
    return max(math.ceil(wide / UNIT), 5), max(math.ceil(high / UNIT), 4)


def line_width(line: Text) -> float:
    """Pixels that a line takes, with the sign before it."""
    sign = 14 if line.kind in ("holds", "flow", "more") else 0
    size = LARGE if line.kind in ("count", "title") else SIZE
    money = text_width(f"  {line.money}", SIZE) if line.money else 0
    return text_width(line.text, size, bold=line.kind in BOLD) + money + sign


def label_size(label: Sequence[Text]) -> tuple[int, int]:
    """Grid units that a label takes: its width, and how many lines it has, of two units each."""
    return math.ceil((max(map(line_width, label), default=0) + 2) / UNIT) if label else 0, max(len(label), 1)


# Columns and rows


def _columns(sketch: Sketch) -> dict[str, int]:
    given = {box.name: box.column for box in sketch.boxes if box.column is not None}
    if len(given) == len(sketch.boxes):
        return given
    order = [*sketch.usual, *(box.name for box in sketch.boxes if box.name not in sketch.usual)]
    ends = {box.name for box in sketch.boxes if box.final}
    leads: dict[str, list[str]] = {name: [] for name in order}
    for wire in sketch.wires:
        for source in wire.sources:
            if not wire.both and wire.target not in leads[source]:
                leads[source].append(wire.target)
    column = dict.fromkeys(order, 0)
    forward = _forward(order, leads)
    for _ in order:
        for source, target in forward:
            column[target] = max(column[target], column[source] + 1)
    for box in sketch.boxes:  # pauses stand below what they interrupt
        near = [column[each] for wire in sketch.wires if wire.both and box.name in (wire.target, *wire.sources)
                for each in (*wire.sources, wire.target) if each != box.name]  # fmt: skip
        if near and box.name not in sketch.usual and not any(target == box.name for _, target in forward):
            column[box.name] = sorted(near)[len(near) // 2]
    last = max(column[name] for name in order)
    if ends:
        last = max([column[name] for name in order if name not in ends] + [column[name] - 1 for name in ends]) + 1
    return {name: last if name in ends else column[name] for name in order}


def _forward(order: Sequence[str], leads: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """The edges without those that lead back, found by walking from the first state in order."""
    found: list[tuple[str, str]] = []
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        for target in sorted(leads[name], key=order.index):
            if target in path or (target in order[: order.index(name)] and _reaches(leads, target, name)):
                continue
            found.append((name, target))
            if target not in done:
                walk(target, (*path, target))
        done.add(name)

    for name in order:
        if name not in done:
            walk(name, (name,))
    return found


def _reaches(leads: Mapping[str, Sequence[str]], source: str, target: str) -> bool:
    seen, todo = {source}, [source]
    while todo:
        for each in leads[todo.pop()]:
            if each not in seen:
                seen.add(each)
                todo.append(each)
    return target in seen


def _rows(sketch: Sketch, columns: Mapping[str, int]) -> dict[str, int]:
    """The usual way in the first row; the others in page order below it."""
    rows = dict.fromkeys(sketch.usual, 0)
    free = dict.fromkeys(columns.values(), 1 if sketch.usual else 0)
    for box in sketch.boxes:
        if box.name not in rows:
            rows[box.name] = free[columns[box.name]]
            free[columns[box.name]] += 1
    return rows


def _gaps(sketch: Sketch, columns: Mapping[str, int], rows: Mapping[str, int], least: int) -> dict[int, int]:
    """The gap right of each column: room for the labels of wires that go straight across it."""
    gaps: dict[int, int] = {}
    for wire in sketch.wires:
        for source in wire.sources:
            if columns[wire.target] - columns[source] == 1 and rows[source] == rows[wire.target]:
                gaps[columns[source]] = max(gaps.get(columns[source], least), label_size(wire.label)[0] + 2)
    return gaps

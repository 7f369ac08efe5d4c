"""SVG, without a program of the system: the sketch as it was placed, with title, tooltips and legend.

Everything that has a meaning has two signs, so that it reads in grey: declined is dashed, red and ✕; an end has a
double line; money is italic, green and ▸; the usual way is wide and blue. Colours change with the reader's
(`prefers-color-scheme`). There are no ids but of the one pattern, and nothing is random: the same picture has the same
bytes, and several may stand in one HTML page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from math import inf
from xml.sax.saxutils import escape, quoteattr

import attrs

from tallystick.diagram.formats.legend import foot, least_width
from tallystick.diagram.formats.signs import TIP, head_at, text_at, width_of
from tallystick.diagram.layout import HIGH, LINE, PAD, WIDE, Placed, line_width, lost, place, place_within
from tallystick.diagram.routing import UNIT, Point, Rect, Routed, corners
from tallystick.diagram.sketch import Box, Sketch, Text, Wire

_HEAD = 23  # pixels of a line above the picture
_ROUND = 7.0  # radius of a bend, in pixels

# fmt: off
_LIGHT = {
    "paper": "#ffffff", "ink": "#1b1f24", "quiet": "#57606a", "line": "#6a737d", "box": "#ffffff", "usual": "#0f5e8c",
    "usualbox": "#e8f3fa", "money": "#0a6245", "declined": "#b3261e", "group": "#f3f4f6", "end": "#f3f4f6",
    "never": "#8b939c", "here": "#ffe9b0", "added": "#0a6245", "removed": "#b3261e", "changed": "#8a5a00",
}
_DARK = {
    "paper": "#14171c", "ink": "#e8eaed", "quiet": "#a9b1ba", "line": "#9aa3ad", "box": "#1d2229", "usual": "#6cb8ec",
    "usualbox": "#12303f", "money": "#63d6a4", "declined": "#ff8a80", "group": "#1b1f26", "end": "#262b33",
    "never": "#737c86", "here": "#4a3600", "added": "#63d6a4", "removed": "#ff8a80", "changed": "#e8b33c",
}
# fmt: on
_RULES = """\
.ts-paper {{ fill: {paper} }}
.ts text {{ font-family: Helvetica, Arial, 'Liberation Sans', sans-serif; font-size: 14.7px; fill: {ink} }}
.ts .ts-title {{ font-size: 18px; font-weight: bold }}
.ts .ts-name, .ts .ts-command {{ font-weight: bold }}
.ts .ts-count {{ font-weight: bold; font-size: 18px }}
.ts .ts-quiet, .ts .ts-stays, .ts .ts-more {{ fill: {quiet} }}
.ts .ts-money, .ts .ts-flow, .ts .ts-holds {{ fill: {money}; font-style: italic }}
.ts .ts-coin {{ fill: {paper}; stroke: {money}; stroke-width: 2 }}
.ts .ts-group {{ fill: {group}; stroke: none }}
.ts .ts-box {{ fill: {box}; stroke: {line}; stroke-width: 1.3 }}
.ts .ts-inner {{ fill: none; stroke: {line}; stroke-width: 1.3 }}
.ts rect.ts-card {{ stroke-width: 0.8 }}
.ts .ts-end {{ fill: {end} }}
.ts .ts-usualbox {{ fill: {usualbox} }}
.ts rect.ts-usual {{ stroke: {usual}; stroke-width: 2.4 }}
.ts rect.ts-lost {{ stroke: {declined}; stroke-dasharray: 5 3 }}
.ts .ts-here {{ fill: {here} }}
.ts .ts-wire {{ fill: none; stroke: {line} }}
.ts .ts-gap {{ fill: none; stroke: {paper} }}
.ts .ts-wire.ts-usual {{ stroke: {usual} }}
.ts .ts-wire.ts-declined {{ stroke: {declined}; stroke-dasharray: 6 4 }}
.ts .ts-head {{ fill: {line} }}
.ts .ts-head.ts-usual {{ fill: {usual} }}
.ts .ts-head.ts-declined {{ fill: {declined} }}
.ts .ts-said.ts-declined {{ fill: {declined} }}
.ts text.ts-never {{ fill: {quiet} }}
.ts .ts-wire.ts-never {{ stroke: {never}; stroke-dasharray: 2 4 }}
.ts .ts-head.ts-never {{ fill: {never} }}
.ts .ts-wire.ts-taken {{ stroke: {usual} }}
.ts .ts-head.ts-taken {{ fill: {usual} }}
.ts .ts-start {{ fill: {ink} }}
.ts rect.ts-added {{ stroke-width: 3 }}
.ts rect.ts-added, .ts .ts-wire.ts-added {{ stroke: {added} }}
.ts rect.ts-removed, .ts .ts-wire.ts-removed {{ stroke: {removed}; stroke-dasharray: 3 3 }}
.ts rect.ts-changed {{ stroke-width: 3 }}
.ts rect.ts-changed, .ts .ts-wire.ts-changed {{ stroke: {changed}; stroke-dasharray: 9 3 }}
.ts .ts-head.ts-added {{ fill: {added} }}
.ts .ts-head.ts-removed {{ fill: {removed} }}
.ts .ts-head.ts-changed {{ fill: {changed} }}
.ts .ts-sign {{ fill: none; stroke: {ink}; stroke-width: 1.8 }}
.ts .ts-sign.ts-stays, .ts .ts-sign.ts-more, .ts .ts-sign.ts-never {{ stroke: {quiet} }}
.ts .ts-sign.ts-declined {{ stroke: {declined} }}
.ts .ts-triangle {{ fill: {money} }}
.ts .ts-wire.ts-faint, .ts rect.ts-faint {{ stroke: {never}; stroke-dasharray: 2 4 }}
.ts .ts-head.ts-faint {{ fill: {never} }}
.ts .ts-sign.ts-faint {{ stroke: {quiet} }}
.ts text.ts-faint {{ fill: {quiet} }}
.ts .ts-axis, .ts .ts-life {{ fill: none; stroke: {line}; stroke-width: 1.2 }}
.ts .ts-life {{ stroke-dasharray: 2 3 }}
.ts .ts-series {{ fill: none; stroke-width: 3 }}
.ts .ts-first {{ stroke: {usual} }}
.ts .ts-second {{ stroke: {changed}; stroke-dasharray: 9 3 }}
.ts .ts-third {{ stroke: {money}; stroke-dasharray: 3 3 }}
.ts .ts-fourth {{ stroke: {declined}; stroke-dasharray: 12 3 3 3 }}
.ts .ts-hatch {{ stroke: {declined}; stroke-width: 1.6 }}
"""
STYLE = _RULES.format(**_LIGHT) + f"@media (prefers-color-scheme: dark) {{\n{_RULES.format(**_DARK)}}}\n"
"""What an SVG of this room looks like, as CSS. A page that shows several may carry it once."""
HATCH = (
    '<defs><pattern id="ts-hatched" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path class="ts-hatch" d="M0 0V6"/></pattern></defs>'
)


def to_svg(sketch: Sketch, *, styled: bool = True) -> str:
    """The sketch as SVG. Without `styled` it has no `<style>`: the page that shows it carries STYLE."""
    inner, wide, high = picture(sketch)
    return document(sketch.title, sketch.says, wide, high, inner, styled=styled)


def picture(sketch: Sketch, least: int = 0) -> tuple[str, int, int]:
    """The inside of an SVG, with title and legend, and how wide and high it is; at least so wide."""
    head = _head(sketch)
    top = _HEAD * len(head) + 6
    placed = _placed(sketch)
    top -= max(placed.top - 1, 0) * UNIT
    bottom = top + placed.height * UNIT
    wide = max(placed.wide, _least_width(sketch), least)
    if bottom + foot(sketch, wide)[1] > HIGH:
        wide = max(wide, WIDE)
    legend, legend_high = foot(sketch, wide, HIGH - bottom)
    body = "\n".join(_body(sketch, placed))
    titles = "".join(
        text_at(text, x, _HEAD * (index + 1) - 4, kind) for index, line in enumerate(head) for text, kind, x in line
    )
    inner = f'{titles}<g transform="translate(0 {top})">\n{body}\n</g><g transform="translate(0 {bottom})">{legend}</g>'
    return inner, wide, bottom + legend_high


def _placed(sketch: Sketch) -> Placed:
    return place(sketch, high=_room(sketch))


def _room(sketch: Sketch) -> int:
    """How high its boxes and wires may be: the rest is the head and the foot."""
    return HIGH - _HEAD * len(_head(sketch)) - 6 - foot(sketch, WIDE)[1] + UNIT


def beyond_budget(sketch: Sketch) -> float:
    """How far its picture is from what it should be: small enough, with all of it, and the usual way not crossed."""
    placed = place_within(sketch, WIDE, _room(sketch))
    if placed is None or lost(sketch, placed):
        return inf if placed is None else 1_000 * lost(sketch, placed)
    _, wide, high = picture(sketch)
    return max(wide - WIDE, 0) + max(high - HIGH, 0) + placed.crossed


def document(title: str, says: str, wide: int, high: int, inner: str, *, styled: bool) -> str:
    """An SVG of this size, with the paper, the style and what a screen reader says."""
    style = f"<style>\n{STYLE}</style>" if styled else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ts" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}" role="img" aria-label={quoteattr(f"{title}. {says}")}>'
        f"<title>{escape(title)}</title>{style}{HATCH}"
        f'<rect class="ts-paper" width="{wide}" height="{high}"/>\n{inner}</svg>\n'
    )


def _least_width(sketch: Sketch) -> int:
    """What the title and a legend of two lines need."""
    heads = [x + width_of(text, kind) + 12 for line in _head(sketch) for text, kind, x in line]
    return min(WIDE, int(max(least_width(sketch), *heads)))


def _head(sketch: Sketch) -> list[list[tuple[str, str, float]]]:
    """The lines above the picture: (text, kind, x) of their pieces. What it is about stands behind the title."""
    title = (sketch.title, "title", 12.0)
    behind = 12 + width_of(sketch.title, "title") + 18
    notes = [[(line, "quiet", 12.0)] for note in sketch.notes for line in textwrap.wrap(note, 140)]
    if behind + width_of(sketch.says, "quiet") + 12 <= WIDE:
        return [[title, (sketch.says, "quiet", behind)], *notes]
    return [[title], *([(line, "quiet", 12.0)] for line in textwrap.wrap(sketch.says, 120)[:2]), *notes]


def _body(sketch: Sketch, placed: Placed) -> Iterator[str]:
    for heading, rect in placed.groups:
        x, y = rect.left * UNIT - 6, rect.top * UNIT - 4
        yield (
            f'<rect class="ts-group" x="{x}" y="{y}" width="{rect.width * UNIT + 12}" '
            f'height="{rect.height * UNIT + 10}" rx="8"/>{text_at(heading, x + 8, y + 16, "quiet")}'
        )
    for wire, routed in zip(sketch.wires, placed.wires, strict=True):
        if routed is not None:
            yield _wire(wire, routed)
    for box in sketch.boxes:
        yield _box(box, placed.boxes[box.name], placed.lines[box.name], placed.spine)


# Boxes


def _box(box: Box, at: Rect, lines: Sequence[Text], spine: int) -> str:
    x, y, wide, high = at.left * UNIT, at.top * UNIT, at.width * UNIT, at.height * UNIT
    looks = ["ts-box"]
    looks += ["ts-end"] if box.final else []
    looks += ["ts-usual ts-usualbox"] if box.usual else []
    looks += ["ts-lost"] if box.lost else []
    looks += [f"ts-{box.tone}"] if box.tone else []
    round = 0 if box.tone == "card" else 8
    parts = [f'<rect class="{" ".join(looks)}" x="{x}" y="{y}" width="{wide}" height="{high}" rx="{round}"/>']
    if box.final:
        inner = " ".join(["ts-inner", *(look for look in looks if look in ("ts-lost", "ts-usual ts-usualbox"))])
        inner = inner.replace(" ts-usualbox", "")
        parts.append(
            f'<rect class="{inner}" x="{x + 4}" y="{y + 4}" width="{wide - 8}" height="{high - 8}" rx="5"/>'
        )  # fmt: skip
    if box.start:
        level = (spine if at.has((at.left, spine)) else at.top + 2) * UNIT
        parts.append(f'<circle class="ts-start" cx="{x - 16}" cy="{level}" r="5"/>')
        parts.append(f'<path class="ts-wire" stroke-width="1.5" d="M{x - 11} {level}H{x - 8}"/>')
        parts.append(head_at((x, level), "E", "ts-head"))
    if box.tone == "doubt":
        parts.append(f'<rect fill="url(#ts-hatched)" x="{x}" y="{y}" width="{wide}" height="{high}" rx="8"/>')
    offset = (high - LINE * len(lines)) / 2 + LINE - 5
    middle = x + wide / 2
    for index, line in enumerate(lines):
        before = lines[index - 1] if index else line
        again = before.text.endswith((",", ":")) and line.kind == before.kind == "holds"
        parts.append(_line(line, middle, y + offset + index * LINE, x + PAD, again=again))
    return f'<g class="ts-state" data-state={quoteattr(box.name)}><title>{escape(box.tip)}</title>{"".join(parts)}</g>'


def _line(line: Text, middle: float, y: float, left: float, *, again: bool) -> str:
    """A line in a box: names and money in the middle, what stays at the left. `again`: it continues the one before."""
    if line.kind == "stays":
        return text_at(line.text, left, y, line.kind)
    if line.kind == "note":
        return text_at(line.text, left, y, "quiet")
    if line.kind in ("flow", "more"):
        return text_at(line.text, left + 14, y, line.kind)
    wide = line_width(line)
    x = middle - wide / 2
    if line.kind == "holds" and not again:
        return f'<circle class="ts-coin" cx="{x + 5:g}" cy="{y - 5:g}" r="4"/>{text_at(line.text, x + 14, y, "holds")}'
    return text_at(line.text, x, y, line.kind)


# Wires


def _wire(wire: Wire, routed: Routed) -> str:
    look = " ".join(
        f"ts-{each}"
        for each, true in (
            ("usual", wire.usual), ("declined", wire.declined), (wire.tone, wire.tone),
        ) if true
    )  # fmt: skip
    changed = wire.tone in ("added", "changed")
    width = wire.weight if wire.weight != 1 else 4 if wire.usual else 3 if changed else 1.5
    lines, heads = [], []
    for index, path in enumerate(routed.paths):
        bends: list[tuple[float, float]] = [(x * UNIT, y * UNIT) for x, y in corners(path)]
        ends_here = index == 0
        if not (ends_here or wire.both):  # it joins as rails do, so that it shows which way it goes on
            bends.append(_onward(routed.paths[:index], path[-1]))
        lines.append(_drawn(bends, start=TIP if wire.both else 0, end=TIP if ends_here else 0))
        if ends_here:
            heads.append(head_at(bends[-1], _heading(path[-2], path[-1]), f"ts-head {look}"))
        elif wire.both:
            heads.append(f'<circle class="ts-head {look}" cx="{bends[-1][0]}" cy="{bends[-1][1]}" r="3.5"/>')
        if wire.both:
            heads.append(head_at(bends[0], _heading(path[1], path[0]), f"ts-head {look}"))
    drawn = "".join(lines)
    label = "".join(_label(wire, routed, look)) if routed.label else ""
    steps = " ".join("/".join(step) for step in wire.steps)
    return (
        f'<g class="ts-edge" data-steps={quoteattr(steps)}><title>{escape(wire.tip)}</title>'
        f'<path class="ts-gap" stroke-width="{width + 5:g}" d="{drawn}"/>'
        f'<path class="ts-wire {look}" stroke-width="{width:g}" d="{drawn}"/>{"".join(heads)}{label}</g>'
    )


def _onward(paths: Sequence[Sequence[Point]], joint: Point) -> tuple[float, float]:
    """A few pixels further than a joint, along the path that is joined there."""
    path = next(path for path in paths if joint in path)
    (x, y), after = joint, path[path.index(joint) + 1]
    return x * UNIT + (after[0] - x) * _ROUND, y * UNIT + (after[1] - y) * _ROUND


def _label(wire: Wire, routed: Routed, look: str) -> Iterator[str]:
    at = routed.label
    assert at is not None
    middle = (at.left + at.width / 2) * UNIT
    for index, line in enumerate(wire.label):
        x = middle - line_width(line) / 2
        if routed.sideways:  # close to its line, which stands one grid line beside it
            left = any(point[0] == at.left - 1 for path in routed.paths for point in path if at.has(point, 1))
            x = at.left * UNIT if left else at.right * UNIT - line_width(line)
            y = (at.top + 2 * index) * UNIT + 17
        else:  # the first above the line, the second below
            y = (at.top + 2) * UNIT + (-6 if index == 0 else 17)
        yield text_at(line.text, x, y, line.kind, f"ts-said {look}")
        if line.money:
            yield text_at(line.money, x + line_width(attrs.evolve(line, money="  ")), y, "money", f"ts-said {look}")


def _heading(before: Point, after: Point) -> str:
    if before[0] == after[0]:
        return "S" if after[1] > before[1] else "N"
    return "E" if after[0] > before[0] else "W"


def _drawn(bends: Sequence[tuple[float, float]], *, start: float, end: float) -> str:
    """A path with round corners; `start` and `end` are cut off for the heads."""
    points = [*bends]
    points[0] = _towards(points[0], points[1], start)
    points[-1] = _towards(points[-1], points[-2], end)
    parts = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        near = min(_ROUND, _far(before, here) / 2, _far(here, after) / 2)
        (x1, y1), (x2, y2) = _towards(here, before, near), _towards(here, after, near)
        parts.append(f"L{x1:g} {y1:g}Q{here[0]:g} {here[1]:g} {x2:g} {y2:g}")
    return "".join([*parts, f"L{points[-1][0]:g} {points[-1][1]:g}"])


def _far(one: tuple[float, float], other: tuple[float, float]) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(point: tuple[float, float], other: tuple[float, float], by: float) -> tuple[float, float]:
    """A point, moved towards another one that stands level or upright with it."""
    far = _far(point, other) or 1
    return point[0] + (other[0] - point[0]) * by / far, point[1] + (other[1] - point[1]) * by / far

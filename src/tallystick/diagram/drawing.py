"""`draw`: a machine in a format, at a level, with the figures that a caller has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from tallystick.definition.machine import Machine
from tallystick.diagram.brief import LABELS, brief
from tallystick.diagram.change import changed
from tallystick.diagram.figures import Life, Overlay
from tallystick.diagram.formats.chart import chart, next_steps
from tallystick.diagram.formats.dot import to_dot
from tallystick.diagram.formats.mermaid import to_mermaid
from tallystick.diagram.formats.png import to_png
from tallystick.diagram.formats.sequence import sequence
from tallystick.diagram.formats.statechart import to_scxml, to_xstate
from tallystick.diagram.formats.svg import beyond_budget, document, picture, to_svg
from tallystick.diagram.formats.table import to_markdown, to_table
from tallystick.diagram.grouped import in_groups
from tallystick.diagram.layout import HIGH, fits
from tallystick.diagram.life import with_life
from tallystick.diagram.model import Diagram, diagram_of
from tallystick.diagram.neighbourhood import MOST, neighbourhood
from tallystick.diagram.overlay import SPARED, counted_way, with_overlay
from tallystick.diagram.several import several
from tallystick.diagram.sketch import Sketch
from tallystick.errors import Invalid, nearest

FORMATS = ("svg", "png", "mermaid", "dot", "markdown", "scxml", "xstate")
_LIFE = 900  # pixels: how wide the picture of a life is at least
_SIZED = ("svg", "png")
_CHARTS = ("scxml", "xstate")
LEVELS = ("brief", "neighbourhood", "table")


def draw(
    machine: Machine | Sequence[Machine],
    *,
    format: str = "svg",
    level: str = "brief",
    state: str | None = None,
    overlay: Overlay | None = None,
    life: Life | None = None,
    styled: bool = True,
) -> str | bytes:
    """Draw a machine.

    Args:
        machine: what is drawn, as `tallystick.definition.reader.load()` gives it; or several, with their drives.
        format: svg, png, mermaid, dot, markdown, scxml or xstate (JSON). PNG is bytes; the others are text.
        level: `brief` (states, commands and money), `neighbourhood` (of one state: guards, calls and moves) or `table`
            (all of it, in Markdown).
        state: whose neighbourhood.
        overlay: how many and how much, from a store; `tallystick.reports.overlay` counts it.
        life: what became of one entity, from a store; `tallystick.reports.life` reads it.
        styled: False leaves `<style>` out of an SVG; the page that shows it then carries `tallystick.diagram.STYLE`.

    Raises:
        Invalid: there is no such format, level or state, or the two do not go together; or PNG is asked for, and
            `tallystick[pictures]` is not installed.
    """
    for what, given, known in (("format", format, FORMATS), ("level", level, LEVELS)):
        if given not in known:
            raise Invalid(f"there is no picture of {what} {given!r}.{nearest(given, list(known))}")
    if not isinstance(machine, Machine):
        return _several(machine, format, level, overlay or life, styled=styled)
    _check(machine, level, state, overlay, life)
    diagram = diagram_of(machine)
    if format in _CHARTS:
        return _chart(diagram, format, level, overlay or life)
    if level == "table":
        if format != "markdown":
            raise Invalid(f"a table is written as markdown, and not as {format}")
        return to_table(diagram)
    if state is not None:
        return written(_around(diagram, state), format, styled=styled)
    if overlay is not None:
        diagram = diagram_of(machine, counted_way(diagram, overlay))
    tries = _lives(diagram, life) if life else _counted(diagram, overlay) if overlay else _briefs(diagram)
    sketch = _fitting(tries) if format in _SIZED else next(tries)
    return written(sketch, format, styled=styled) if life is None else _lived(sketch, life, format, styled=styled)


def draw_change(
    old: Machine, new: Machine, *, format: str = "svg", overlay: Overlay | None = None, styled: bool = True,
    notes: Sequence[str] = (),
) -> str | bytes:  # fmt: skip
    """Draw what a new version of a machine changes: what is added, removed and changed.

    `overlay`: of the entities that stand in the old version; then the picture says how many are concerned. `notes` are
    said beside that.

    Raises:
        Invalid: there is no such format; they are two machines and not two versions of one; or PNG is asked for, and
            `tallystick[pictures]` is not installed.
    """
    if format not in FORMATS:
        raise Invalid(f"there is no picture of format {format!r}.{nearest(format, list(FORMATS))}")
    if old.name != new.name:
        raise Invalid(f"{old.name} and {new.name} are two machines; a change is drawn of two versions of one")
    sketch = changed(old, new, overlay)
    sketch = attrs.evolve(sketch, notes=(*sketch.notes, *notes))
    sketch = _fitting(iter([sketch, *_grouped(sketch)])) if format in _SIZED else sketch
    return written(sketch, format, styled=styled)


def _check(machine: Machine, level: str, state: str | None, overlay: Overlay | None, life: Life | None) -> None:
    """What does not go together is refused."""
    if (level == "neighbourhood") != (state is not None):
        raise Invalid("a neighbourhood is that of a state: give level='neighbourhood' and state= together")
    if state is not None and state not in machine.states:
        raise Invalid(f"{machine.name} has no state {state!r}.{nearest(state, list(machine.states))}")
    if overlay is not None and life is not None:
        raise Invalid("a picture has the figures of all entities or the life of one, and not both")
    if level != "brief" and (overlay is not None or life is not None):
        raise Invalid(f"figures of a store stand in the brief picture, and not in a {level}")


def _several(
    machines: Sequence[Machine], format: str, level: str, figures: object, *, styled: bool
) -> str | bytes:  # fmt: skip
    if level != "brief" or figures is not None or format in _CHARTS:
        raise Invalid("several machines are drawn in brief, without figures, and not as a chart of one")
    if not machines:
        raise Invalid("no machine was given")
    return written(several(machines), format, styled=styled)


def _chart(diagram: Diagram, format: str, level: str, figures: object) -> str:
    if level != "brief" or figures is not None:
        raise Invalid(f"{format} has all of a machine, and no levels and figures")
    says = (
        "An end takes no commands, or is marked. declined.COMMAND: the provider declined. Words say guards and moves."
    )
    return (to_scxml if format == "scxml" else to_xstate)(diagram, says)


# What is tried until a picture keeps its budget, with less in it each time


def _fitting(tries: Iterator[Sketch]) -> Sketch:
    """The first that keeps the budget; if none does, the one that is nearest to it and says least."""
    found: list[tuple[float, Sketch]] = []
    for sketch in tries:
        found.append((beyond_budget(sketch), sketch))
        if not found[-1][0]:
            break
    return min(reversed(found), key=lambda each: each[0])[1]


def _briefs(diagram: Diagram) -> Iterator[Sketch]:
    for words in (True, False):
        for label in LABELS if words else LABELS[1:]:
            sketch = brief(diagram, label)
            kept = tuple(attrs.evolve(each, needed=words and each.needed) for each in sketch.words)
            yield attrs.evolve(sketch, words=kept)
    yield from _grouped(attrs.evolve(sketch, words=kept))


def _counted(diagram: Diagram, overlay: Overlay) -> Iterator[Sketch]:
    sketch = brief(diagram)
    for some in SPARED:
        for each in (sketch, *_grouped(sketch)):
            for spared in some:
                yield with_overlay(each, diagram, overlay, spared)


def _lives(diagram: Diagram, life: Life) -> Iterator[Sketch]:
    sketch = brief(diagram)
    yield with_life(sketch, life)
    for each in _grouped(sketch):
        yield with_life(each, life)


def _grouped(sketch: Sketch) -> Iterator[Sketch]:
    """The sketch in its groups, if it has any."""
    drawn = in_groups(sketch)
    if len(drawn.boxes) < len(sketch.boxes):
        yield drawn


def _around(diagram: Diagram, state: str) -> Sketch:
    """The neighbourhood of a state, with as many lines a card as fit the budget."""
    for most in range(MOST, 1, -1):
        sketch = neighbourhood(diagram, state, most)
        if fits(sketch, high=HIGH - 90):
            break
    return sketch


def _lived(sketch: Sketch, life: Life, format: str, *, styled: bool) -> str | bytes:
    """The picture of one life; in SVG and PNG with what stood where, what may come next and who told whom below it."""
    if format not in ("svg", "png"):
        return written(sketch, format)
    inner, wide, high = picture(sketch, least=_LIFE if life.steps else 0)
    parts = [inner]
    for part in (*([chart] if life.steps else []), next_steps, *([sequence] if life.others else [])):
        drawn, needs = part(life, wide)
        parts.append(f'<g transform="translate(0 {high})">{drawn}</g>')
        high += needs
    svg = document(sketch.title, sketch.says, wide, high, "".join(parts), styled=styled)
    return to_png(svg) if format == "png" else svg


def written(sketch: Sketch, format: str, *, styled: bool = True) -> str | bytes:
    """A sketch in a format."""
    match format:
        case "dot":
            return to_dot(sketch)
        case "mermaid":
            return to_mermaid(sketch)
        case "markdown":
            return to_markdown(sketch)
        case "png":
            return to_png(to_svg(sketch))
    return to_svg(sketch, styled=styled)

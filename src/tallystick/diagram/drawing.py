"""`draw`: a machine in a format, at a level, with the figures that a caller has."""

from __future__ import annotations

from tallystick.definition.machine import Machine
from tallystick.diagram.brief import brief
from tallystick.diagram.dot import to_dot
from tallystick.diagram.figures import Life, Overlay
from tallystick.diagram.mermaid import to_mermaid
from tallystick.diagram.model import Diagram, diagram_of
from tallystick.diagram.overlay import counted_way, with_overlay
from tallystick.diagram.sketch import Sketch
from tallystick.diagram.svg import to_svg
from tallystick.diagram.table import to_table
from tallystick.errors import Invalid, nearest

FORMATS = ("svg", "mermaid", "dot", "markdown")
LEVELS = ("brief", "neighbourhood", "table")


def draw(
    machine: Machine,
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
        machine: what is drawn, as `tallystick.definition.reader.load()` gives it.
        format: svg, mermaid, dot or markdown. All but png are text.
        level: `brief` (states, commands and money).
        overlay: how many and how much, from a store; `tallystick.reports.overlay` counts it.
        styled: False leaves `<style>` out of an SVG; the page that shows it then carries `tallystick.diagram.STYLE`.

    Raises:
        Invalid: there is no such format, level or state, or the two do not go together.
    """
    if format not in FORMATS:
        raise Invalid(f"there is no picture of format {format!r}.{nearest(format, list(FORMATS))}")
    if level not in LEVELS:
        raise Invalid(f"there is no picture of level {level!r}.{nearest(level, list(LEVELS))}")
    if level != "brief" or state is not None or life is not None:
        raise Invalid("only the brief picture is drawn")
    diagram = diagram_of(machine)
    if overlay is not None:
        diagram = diagram_of(machine, counted_way(diagram, overlay))
    match format:
        case "dot":
            return to_dot(diagram)
        case "mermaid":
            return to_mermaid(diagram, brief=True)
        case "markdown":
            return to_table(diagram)
    return to_svg(_sketch(diagram, overlay), styled=styled)


def _sketch(diagram: Diagram, overlay: Overlay | None) -> Sketch:
    sketch = brief(diagram)
    return sketch if overlay is None else with_overlay(sketch, diagram, overlay)

"""Markdown: all of a machine in two tables, one of its states and one of its transitions; or a picture on a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tallystick.diagram.formats.mermaid import LEGEND, to_mermaid
from tallystick.diagram.model import Diagram, Line, Node
from tallystick.diagram.sketch import Sketch

COLUMNS = ("command", "from", "to", "when", "money", "calls", "then", "transition")


def to_table(diagram: Diagram) -> str:
    """The diagram as Markdown, with rows in the order of the page."""
    states = _markdown(("state", "", "says"), [_state(node) for node in diagram.nodes])
    transitions = _markdown(COLUMNS, [[_joined(cell, "<br>") for cell in _cells(line)] for line in diagram.lines])
    head = f"## {_cell(diagram.name)} (version {diagram.version})\n\n{_cell(diagram.summary)}"
    return f"{head}\n\n{states}\n\n{transitions}\n"


def _cells(line: Line) -> tuple[Sequence[str], ...]:
    """The cells of a transition, one for each of COLUMNS, as lists of lines."""
    step = line.step
    target = [line.target or "stays", *([f"{line.otherwise} if declined"] if line.otherwise else [])]
    return (
        step.commands,
        line.sources,
        target,
        step.conditions,
        step.money,
        [str(call) for call in step.calls],
        step.follow_ups,
        [step.name],
    )


def _state(node: Node) -> list[str]:
    marks = ", ".join(mark for mark, true in (("start", node.start), ("final", node.final)) if true)
    return [_cell(node.name), marks, _cell(node.says)]


def _joined(lines: Iterable[str], separator: str) -> str:
    return separator.join(_cell(line) for line in lines)


def _cell(text: str) -> str:
    """Text in one line of a table, so that Markdown shows it as it is."""
    for sign in "\\`*[<|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def to_markdown(sketch: Sketch) -> str:
    """The brief picture as a page: its title, the picture as Mermaid, and the legend in words."""
    legend = [f"* {LEGEND[sign.sample]}: {sign.says}" for sign in sketch.legend if sign.sample in LEGEND]
    notes = [f"\n{_cell(note)}" for note in sketch.notes]
    head = [f"## {_cell(sketch.title)}", "", _cell(sketch.says), *notes]
    return "\n".join([*head, "", "```mermaid", f"{to_mermaid(sketch)}```", "", *legend]) + "\n"

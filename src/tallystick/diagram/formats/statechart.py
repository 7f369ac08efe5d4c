"""A machine as a statechart of others: SCXML of the W3C, and XState's JSON. For tools that simulate, compare or draw.

Both say which state takes which event and where that leads. A guard, a call and a move are told in words, and named
after their transition (`guard: "settle_part"`): who loads the chart gives them a meaning. A call that is declined is an
event of its own, `declined.authorize`. An end that still takes commands, such as a refund, is no final state there,
because theirs take none; it has the tag `end`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tallystick.diagram.brief import whole
from tallystick.diagram.model import Diagram, Node, Step

SCXML = "http://www.w3.org/2005/07/scxml"
OURS = "https://tallystick.dev/scxml"
"""The namespace of what SCXML has no word for; its schema lets other tools skip it."""


def _taken(diagram: Diagram, node: Node) -> Iterator[tuple[str, Step, str | None]]:
    """(event, transition, where it leads, None: it stays) of a state, in the order of the page."""
    for line in diagram.lines:
        if node.name not in line.sources:
            continue
        target = None if line.target in (None, node.name) else line.target
        for command in line.step.commands:
            yield command, line.step, target
            if line.otherwise and line.otherwise != node.name:
                yield f"declined.{command}", line.step, line.otherwise


def to_scxml(diagram: Diagram, legend: str) -> str:
    """The machine as SCXML. Where several transitions answer one event, each has its guard as `In words`."""
    start = next(node.name for node in diagram.nodes if node.start)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f"<!-- {_comment(f'{diagram.name}, version {diagram.version}: {diagram.summary}')} -->")
    lines.append(f"<!-- {_comment(legend)} -->")
    lines.append(
        f'<scxml xmlns="{SCXML}" xmlns:ts="{OURS}" version="1.0" datamodel="null" name={quoteattr(diagram.name)} '
        f"initial={quoteattr(start)}>"
    )
    for node in diagram.nodes:
        lines += _state(diagram, node)
    return "\n".join([*lines, "</scxml>"]) + "\n"


def _state(diagram: Diagram, node: Node) -> Iterator[str]:
    taken = list(_taken(diagram, node))
    tag = "final" if node.final and not taken else "state"
    marks = "".join(
        f' ts:{name}="true"' for name, true in (("usual", node.usual), ("end", node.final)) if true
    )  # fmt: skip
    head = f"  <{tag} id={quoteattr(node.name)} ts:says={quoteattr(node.says)}{marks}"
    if not taken:
        yield f"{head}/>"
        return
    yield f"{head}>"
    for event, step, target in taken:
        leads = f" target={quoteattr(target)}" if target else ""
        asks = ' ts:asks="true"' if step.asks else ""
        yield (
            f"    <transition event={quoteattr(event)}{leads} ts:name={quoteattr(step.name)} "
            f"ts:says={quoteattr(whole(step))}{asks}/>"
        )
    yield f"  </{tag}>"


def _comment(text: str) -> str:
    return escape(text).replace("--", "- -")


def to_xstate(diagram: Diagram, legend: str) -> str:
    """The machine as JSON that XState 5 loads: `createMachine(JSON.parse(text))`."""
    states = {node.name: _xstate(diagram, node) for node in diagram.nodes}
    chart = {
        "id": diagram.name,
        "version": str(diagram.version),
        "description": f"{diagram.name}, version {diagram.version}: {diagram.summary} {legend}",
        "initial": next(node.name for node in diagram.nodes if node.start),
        "states": states,
    }
    return json.dumps(chart, indent=2, ensure_ascii=False) + "\n"


def _xstate(diagram: Diagram, node: Node) -> dict[str, Any]:
    on: dict[str, list[dict[str, Any]]] = {}
    for event, step, target in _taken(diagram, node):
        way: dict[str, Any] = {"target": target} if target else {}
        if step.conditions and not event.startswith("declined."):
            way["guard"] = step.name
        if step.flows and not event.startswith("declined."):
            way["actions"] = [{"type": "move", "params": {"from": source, "to": to}} for source, to in step.flows]
        way["description"] = whole(step)
        on.setdefault(event, []).append(way)
    tags = [tag for tag, true in (("usual", node.usual), ("end", node.final)) if true]
    found: dict[str, Any] = {"description": node.says}
    found |= {"tags": tags} if tags else {}
    if node.final and not on:
        return {"type": "final", **found}
    return {**found, "on": on}

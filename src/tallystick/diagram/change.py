"""What a new version of a page changes, as a picture: both versions in one, with what is added, removed and changed.

A state or an edge of both versions is changed if something that runs there differs: a guard, a call, a move, a
follow-up. What is the same is faint. With figures of a store, each state says how many entities of the old version
stand there, and the head says how many are concerned: those that stand in a removed or changed state, or in one from
which an edge was removed or changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from tallystick.definition.behaviour import behaviour
from tallystick.definition.machine import Machine
from tallystick.diagram.brief import LABELS, brief, buses, legend, wire_of
from tallystick.diagram.figures import Overlay, Standing
from tallystick.diagram.model import Arrow, Diagram, Node, diagram_of
from tallystick.diagram.overlay import amounts_text
from tallystick.diagram.sketch import CHANGES, Box, Sign, Sketch, Text, Wire, spoken
from tallystick.money import Money

Key = tuple[str, str, bool]  # source, target, declined


def changed(old: Machine, new: Machine, overlay: Overlay | None = None) -> Sketch:
    """The picture of what `new` changes. `overlay`: of the entities that stand in the old version."""
    before, after = diagram_of(old), diagram_of(new)
    ran, runs = behaviour(old)["transitions"], behaviour(new)["transitions"]
    differs = {name for name in ran.keys() | runs.keys() if ran.get(name) != runs.get(name)}
    both = _both(before, after)
    holds = {node.name: node.holds for node in both.nodes}
    told_before, told_after = _arrows(before), _arrows(after)
    wires, touched = [], set()
    for key, arrow in _arrows(both).items():
        tone = _tone(told_before.get(key), told_after.get(key), differs)
        wire = wire_of(arrow, holds, LABELS[-1])
        wires.append(attrs.evolve(wire, tone=tone, label=_signed(wire.label, tone)))
        touched |= {arrow.source} if tone in ("removed", "changed") else set()
    boxes = []
    old_nodes = {node.name: node for node in before.nodes}
    new_nodes = {node.name: node for node in after.nodes}
    for box in brief(both).boxes:
        tone = _state_tone(old_nodes.get(box.name), new_nodes.get(box.name), differs)
        touched |= {box.name} if tone in ("removed", "changed") else set()
        boxes.append(_with_count(attrs.evolve(box, tone=tone, lines=_signed(box.lines, tone)), overlay))
    title = f"{spoken(new.name)}: version {old.version} to {new.version}"
    notes = (_concerned(touched, overlay),) if overlay is not None else ()
    sketch = Sketch(new.name, title, new.summary, tuple(boxes), tuple(_bundled(wires)), after.usual, (), notes)
    tones = {box.tone for box in sketch.boxes} | {wire.tone for wire in sketch.wires}
    signs = [Sign(tone, f"{sign} {tone}") for tone, sign in CHANGES.items() if tone in tones]
    return attrs.evolve(sketch, legend=(*signs, *legend(sketch)))


def _signed(lines: tuple[Text, ...], tone: str) -> tuple[Text, ...]:
    """With the sign of the tone before it: it is told by more than a colour."""
    first, *rest = lines
    return (attrs.evolve(first, text=f"{CHANGES[tone]} {first.text}"), *rest) if tone else lines


def _both(before: Diagram, after: Diagram) -> Diagram:
    """All states and arrows of both; where both have one, as the new version has it."""
    names = {node.name for node in after.nodes}
    arrows = {**_arrows(before), **_arrows(after)}
    nodes = (*after.nodes, *(attrs.evolve(node, usual=False) for node in before.nodes if node.name not in names))
    usual = {key for key, arrow in _arrows(after).items() if arrow.usual}
    merged = tuple(attrs.evolve(arrow, usual=key in usual) for key, arrow in arrows.items())
    return attrs.evolve(after, nodes=nodes, arrows=merged)


def _arrows(diagram: Diagram) -> dict[Key, Arrow]:
    return {(arrow.source, arrow.target, arrow.declined): arrow for arrow in diagram.arrows}


def _tone(before: Arrow | None, after: Arrow | None, differs: set[str]) -> str:
    if before is None or after is None:
        return "added" if before is None else "removed"
    names = {step.name for arrow in (before, after) for step in arrow.steps}
    same = {step.name for step in before.steps} == {step.name for step in after.steps}
    return "" if same and not names & differs else "changed"


def _state_tone(before: Node | None, after: Node | None, differs: set[str]) -> str:
    if before is None or after is None:
        return "added" if before is None else "removed"
    stays = [{step.name for step in node.stays} for node in (before, after)]
    marks = [(node.start, node.final) for node in (before, after)]
    return "" if stays[0] == stays[1] and marks[0] == marks[1] and not stays[0] & differs else "changed"


def _bundled(wires: list[Wire]) -> list[Wire]:
    """Buses of what looks the same."""
    by_tone: dict[str, list[Wire]] = {}
    for wire in wires:
        by_tone.setdefault(wire.tone, []).append(wire)
    return [attrs.evolve(bus, tone=tone) for tone, same in by_tone.items() for bus in buses(same)]


def _with_count(box: Box, overlay: Overlay | None) -> Box:
    standing = overlay.states.get(box.name) if overlay is not None else None
    if standing is None or not standing.count:
        return box
    lines = [line for line in box.lines if line.kind == "name"]
    money = [Text(f"{spoken(name)} {amounts_text(amounts)}", "holds") for name, amounts in standing.money.items()
             if any(amounts)]  # fmt: skip
    return attrs.evolve(box, lines=(*lines, Text(f"{standing.count:,}", "count"), *money))


def _concerned(touched: set[str], overlay: Overlay) -> str:
    """How many entities stand where something changes, and with how much money."""
    found: Mapping[str, Standing] = {name: each for name, each in overlay.states.items() if name in touched}
    count = sum(standing.count for standing in found.values())
    totals: dict[str, dict[str, Money]] = {}
    for standing in found.values():
        for account, amounts in standing.money.items():
            for amount in amounts:
                sums: Any = totals.setdefault(account, {})
                sums[amount.currency] = sums[amount.currency] + amount if amount.currency in sums else amount
    money = [f"{spoken(name)} {amounts_text(sums.values())}" for name, sums in totals.items() if any(sums.values())]
    stands = f", with {', '.join(money)}" if money else ""
    return f"{count:,} stand where something changes{stands}; as of {overlay.as_of}, {overlay.verified}"

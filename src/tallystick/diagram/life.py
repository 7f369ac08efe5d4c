"""The brief picture of one life: the way that an entity took is wide, the rest faint, and where it is now is filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from tallystick.diagram.figures import Life
from tallystick.diagram.sketch import ASKS, DOUBT, Box, Sign, Sketch, Text, Wire, parted, spoken


def with_life(sketch: Sketch, life: Life) -> Sketch:
    """The sketch with the way that one entity took."""
    taken = Counter((step.source or "", step.transition or "", step.target) for step in life.steps if _went(step.phase))
    visited = {life.state, *(state for step in taken for state in (step[0], step[2]))}
    ways = {(source, target) for source, _, target in taken}
    doubt = in_doubt(life)
    boxes = tuple(_box(box, life, visited, doubt=doubt) for box in sketch.boxes)
    commands = {(step.source or "", step.transition or "", step.target): step.command for step in life.steps}
    wires = tuple(_wire(wire, taken, commands) for wire in parted(sketch.wires, ways))
    signs = [Sign("usual", "the way it took")] if life.steps else []
    signs += [Sign("here", "where it is")]
    signs += [Sign("doubt", f"{DOUBT} where it is, with something in doubt")] if doubt else []
    signs = [sign for sign in signs if not (doubt and sign.sample == "here")]
    kept = [sign for sign in sketch.legend if sign.sample not in ("usual", "stays")]
    title = f"{spoken(life.machine)} {life.id}: {spoken(life.state)}"
    notes = (*sketch.notes, *([f"as of {life.as_of}"] if life.as_of else []))
    return attrs.evolve(sketch, title=title, boxes=boxes, wires=wires, legend=(*signs, *kept), notes=notes)


def in_doubt(life: Life) -> bool:
    """Whether money on it is in doubt."""
    now = life.steps[-1].accounts if life.steps else life.accounts
    return bool(now.get("in_doubt"))


def _went(phase: str) -> bool:
    return phase in ("done", "confirmed", "declined")


def _box(box: Box, life: Life, visited: set[str], *, doubt: bool) -> Box:
    here = box.name == life.state
    lines = [line for line in box.lines if line.kind == "name"]
    if here:
        now = life.steps[-1].accounts if life.steps else life.accounts
        lines += [Text(f"{spoken(account)} {amount:,n}", "holds") for account, amount in now.items() if amount]
    tone = ("doubt" if doubt else "here") if here else "" if box.name in visited else "faint"
    return attrs.evolve(box, lines=tuple(lines), tone=tone, usual=box.name in visited)


def _wire(
    wire: Wire, taken: Counter[tuple[str, str, str]], commands: Mapping[tuple[str, str, str], str]
) -> Wire:  # fmt: skip
    times = sum(taken[step] for step in wire.steps)
    if not times:
        return attrs.evolve(wire, usual=False, tone="faint", label=wire.label[:1])
    first, *money = wire.label
    if not wire.declined:
        names = dict.fromkeys(spoken(commands[step]) for step in wire.steps if step in commands)
        first = attrs.evolve(first, text=", ".join(f"{name} {ASKS}" if f"{name} {ASKS}" in wire.commands else name
                                                   for name in names))  # fmt: skip
    if times > 1:
        first = attrs.evolve(first, text=f"{first.text} ×{times}")
    return attrs.evolve(wire, usual=not wire.declined, label=(first, *money))

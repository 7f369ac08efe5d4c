"""The brief picture of one life: the way that an entity took is wide, the rest faint, and where it is now is filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from tallystick.diagram.brief import LABELS
from tallystick.diagram.figures import Life
from tallystick.diagram.sketch import ASKS, DOUBT, Box, Sign, Sketch, Text, Wire, either, parted, spoken


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
    return attrs.evolve(sketch, title=title, boxes=boxes, wires=wires, legend=(*signs, *kept), notes=notes, words=())


def in_doubt(life: Life) -> bool:
    """Whether money on it is in doubt."""
    now = life.steps[-1].accounts if life.steps else life.accounts
    return bool(now.get("in_doubt"))


def _went(phase: str) -> bool:
    return phase in ("done", "confirmed", "declined")


def _box(box: Box, life: Life, visited: set[str], *, doubt: bool) -> Box:
    states = box.states or (box.name,)
    here = life.state in states
    lines = [line for line in box.lines if line.kind in ("name", "note")]
    if here:
        now = life.steps[-1].accounts if life.steps else life.accounts
        lines += [Text(f"{spoken(account)} {amount:,n}", "holds") for account, amount in now.items() if amount]
    been = not visited.isdisjoint(states)
    tone = ("doubt" if doubt else "here") if here else "" if been else "faint"
    return attrs.evolve(box, lines=tuple(lines), tone=tone, usual=been)


def _wire(
    wire: Wire, taken: Counter[tuple[str, str, str]], commands: Mapping[tuple[str, str, str], str]
) -> Wire:  # fmt: skip
    times = sum(taken[step] for step in wire.steps)
    first = wire.label[0]
    if not times:
        plain = first if wire.declined or not first.money else Text(either(wire.commands, LABELS[-1]), "command")
        return attrs.evolve(wire, usual=False, tone="faint", label=(plain,))
    money = [line for line in wire.label[1:] if line.kind == "money"]
    if not wire.declined:
        names = dict.fromkeys(spoken(commands[step]) for step in wire.steps if step in commands)
        moved = [line.money for line in wire.label if line.money and any(name in line.text for name in names)]
        money = [Text(moved[0], "money")] if len(moved) == 1 else money
        first = Text(", ".join(f"{name} {ASKS}" if f"{name} {ASKS}" in (*wire.commands, *wire.back) else name
                               for name in names), "command")  # fmt: skip
    if times > 1:
        first = attrs.evolve(first, text=f"{first.text} ×{times}")
    return attrs.evolve(wire, usual=not wire.declined, label=(first, *money))

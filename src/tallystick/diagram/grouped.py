"""A machine that is too large for one picture, drawn in its groups: a box for each heading of its page.

A state without a heading keeps its own box. What happens inside a group is not drawn: `neighbourhood` draws it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import attrs

from tallystick.diagram.brief import LABELS, legend
from tallystick.diagram.sketch import CHANGES, Box, Sketch, Text, Wire, either, spoken


def in_groups(sketch: Sketch) -> Sketch:
    """The sketch with one box for each group of several states."""
    sizes = Counter(box.group for box in sketch.boxes)
    home = {box.name: box.group if box.group and sizes[box.group] > 1 else box.name for box in sketch.boxes}
    boxes = tuple(_box(group, [box for box in sketch.boxes if home[box.name] == group])
                  for group in dict.fromkeys(home.values()))  # fmt: skip
    usual = tuple(dict.fromkeys(home[state] for state in sketch.usual))
    title = f"{sketch.title}, in its groups"
    drawn = attrs.evolve(sketch, title=title, boxes=boxes, wires=tuple(_wires(sketch, home)), usual=usual)
    kept = tuple(sign for sign in sketch.legend if sign.sample in CHANGES)
    return attrs.evolve(drawn, legend=(*kept, *legend(drawn)))


def _box(group: str, inside: list[Box]) -> Box:
    if [box.name for box in inside] == [group]:
        return inside[0]
    names = tuple(Text(f"· {spoken(box.name)}", "note") for box in inside)
    start, usual = any(box.start for box in inside), any(box.usual for box in inside)
    final = all(box.final for box in inside)
    tip = "\n".join(box.tip for box in inside)
    tones = {box.tone for box in inside} - {""}
    tone = "" if not tones else tones.pop() if len(tones) == 1 else "changed"
    states = tuple(box.name for box in inside)
    return Box(group, (Text(group, "name"), *names), start, final, usual, tip=tip, tone=tone, states=states)


def _wires(sketch: Sketch, home: dict[str, str]) -> Iterator[Wire]:
    """One wire for all that leads from one group to another."""
    between: dict[tuple[str, str, bool, str], list[Wire]] = {}
    for wire in sketch.wires:
        for pair in dict.fromkeys((home[source], home[target]) for source, _, target in wire.steps):
            if pair[0] != pair[1]:
                between.setdefault((*pair, wire.declined, wire.tone), []).append(wire)
    for (source, target, declined, tone), wires in between.items():
        commands = tuple(
            dict.fromkeys(
                command for wire in wires
                for command in (wire.commands if home[wire.target] == target or not wire.both else wire.back)
            )
        )  # fmt: skip
        money = [Text(line.money or line.text, "money") for wire in wires for line in wire.label
                 if line.kind == "money" or line.money][:1]  # fmt: skip
        said = wires[0].label[0].text if declined else either(commands, LABELS[-1])
        said = f"{CHANGES[tone]} {said}" if tone in CHANGES and not declined else said
        label = (Text(said, "command"), *money)
        tip = "\n".join(dict.fromkeys(wire.tip for wire in wires))
        steps = tuple(
            step for wire in wires for step in wire.steps if (home[step[0]], home[step[2]]) == (source, target)
        )
        usual = any(wire.usual for wire in wires)
        yield Wire((source,), target, label, declined, usual, tip=tip, steps=steps, commands=commands, tone=tone)

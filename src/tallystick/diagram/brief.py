"""The brief picture: states, the commands' names, and one line of money. Guards and calls are in its tooltips.

An edge says in its first line which commands lead there (↗: the provider is asked) and in its second which money may
move (`card ▸ held`). A box says which accounts may carry value (▪) and what it takes without leaving (↻).
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from tallystick.diagram.model import Arrow, Diagram, Node, Step
from tallystick.diagram.sketch import ASKS, MOVES, NO, STAYS, Box, Sign, Sketch, Text, Wire, listed, spoken

LABEL = 26  # characters in a line of a label
INSIDE, NARROW = 21, 15  # characters in a line inside a box; in one of several
MANY = 8  # commands; a state of the usual way that takes more without being left shows what they move
GROUPS = 3  # of commands that it shows


def brief(diagram: Diagram) -> Sketch:
    """The brief picture of a machine."""
    lost = {arrow.target for arrow in diagram.arrows if arrow.declined}
    boxes = tuple(_box(node, lost=node.name in lost and not node.usual) for node in diagram.nodes)
    title = f"{spoken(diagram.name)}, version {diagram.version}"
    sketch = Sketch(diagram.name, title, diagram.summary, boxes, gathered(diagram), diagram.usual, ())
    return attrs.evolve(sketch, legend=legend(sketch))


def legend(sketch: Sketch) -> tuple[Sign, ...]:
    """What the signs of this picture mean; only those that are in it."""
    texts = [line.text for box in sketch.boxes for line in box.lines]
    texts += [line.text for wire in sketch.wires for line in wire.label]
    kinds = {line.kind for box in sketch.boxes for line in box.lines} | {
        line.kind for wire in sketch.wires for line in wire.label
    }
    signs = [
        ("usual", "the usual way", bool(sketch.usual)),
        ("declined", "the provider declines", any(wire.declined for wire in sketch.wires)),
        ("final", "an end", any(box.final for box in sketch.boxes)),
        ("asks", "asks the provider", any(ASKS in text for text in texts)),
        ("flow", "money may move", "money" in kinds or "flow" in kinds),
        ("holds", "where its money stands", "holds" in kinds),
        ("stays", "the state stays", "stays" in kinds),
    ]
    return tuple(Sign(sample, says) for sample, says, shown in signs if shown)


# States


def _box(node: Node, *, lost: bool) -> Box:
    lines = [Text(spoken(node.name), "name")]
    if node.holds:
        lines += [Text(line, "holds") for line in textwrap.wrap(", ".join(map(spoken, node.holds)), NARROW + 2)]
    return Box(
        node.name, (*lines, *_stays(node)), node.start, node.final, node.usual, node.group, tip_of(node), lost=lost
    )


def _stays(node: Node) -> list[Text]:
    """What the state takes without being left. A busy state on the usual way says by which money it moves, too."""
    by_command: dict[tuple[str, ...], list[Step]] = {}
    for step in node.stays:
        by_command.setdefault(step.commands, []).append(step)
    ordered = sorted(by_command.values(), key=lambda steps: not any(step.flows for step in steps))
    if not node.usual or len(ordered) <= MANY:
        names = commands_of(step for steps in ordered for step in steps)
        return stays_lines(names)
    by_flow: dict[str, list[Step]] = {}
    for steps in ordered:
        by_flow.setdefault(_flow(steps, node.holds, INSIDE, outside=True), []).extend(steps)
    groups = list(by_flow.values())
    lines = []
    for steps in groups[:GROUPS]:
        flow = _flow(steps, node.holds, INSIDE)
        lines.append(Text(f"{STAYS} {listed(commands_of(steps), INSIDE - 2)}", "stays"))
        lines += [Text(flow, "flow")] if flow else []
    hidden = [name for steps in groups[GROUPS:] for name in commands_of(steps)]
    return lines + ([Text(f"{STAYS} {listed(hidden, INSIDE - 2)}", "stays")] if hidden else [])


def stays_lines(names: Sequence[str]) -> list[Text]:
    """Two lines at most of what a state takes without being left."""
    if len(listed(names, INSIDE - 2)) <= NARROW or len(names) < 2:
        return [Text(f"{STAYS} {listed(names, INSIDE - 2)}", "stays")] if names else []
    rest = listed(names[1:], NARROW)
    rest = f"and {len(names) - 1} more" if "…" in rest and len(names) > 2 else rest
    return [Text(f"{STAYS} {names[0]},", "stays"), Text(rest, "more")]


def _flow(steps: Iterable[Step], holds: Collection[str], width: int, *, outside: bool = False) -> str:
    """The money that these steps may move, where only the accounts in `holds` carry any.

    `outside`, or if the names are too long for the line: everything outside is one.
    """
    flows = [(step, flow) for step in steps for flow in step.flows if flow[0] in holds or flow[0] in step.outside]
    text = flow_text(flow for _, flow in flows)
    names = {name for step, flow in flows for name in flow if name in step.outside}
    if outside or (len(text) > width and len(names) > 1):
        text = flow_text(
            ("outside" if source in step.outside else source, "outside" if target in step.outside else target)
            for step, (source, target) in flows
        )
    return _cut(text, width)


def tip_of(node: Node) -> str:
    """All of a state: what it means and what it takes without being left."""
    lines = [f"{spoken(node.name)}: {node.says}"]
    return "\n".join([*lines, *(f"{STAYS} {whole(step)}" for step in node.stays)])


# Arrows


def gathered(diagram: Diagram) -> tuple[Wire, ...]:
    """The arrows, those alike as one."""
    holds = {node.name: node.holds for node in diagram.nodes}
    wires = [wire_of(arrow, holds) for arrow in diagram.arrows]
    return tuple(buses(_pairs(wires)))


def wire_of(arrow: Arrow, holds: Mapping[str, Collection[str]]) -> Wire:
    """The wire of one arrow; `holds`: the accounts that carry value in each state."""
    if arrow.declined:
        label: tuple[Text, ...] = (Text(f"{NO} declined", "command"),)
        tip = f"declined: {listed(commands_of(arrow.steps, asks=False), 200)}"
    else:
        flow = _flow(arrow.steps, holds[arrow.source], LABEL)
        label = (Text(listed(commands_of(arrow.steps), LABEL), "command"), *([Text(flow, "money")] if flow else []))
        tip = "\n".join(whole(step) for step in arrow.steps)
    steps = tuple((arrow.source, step.name, arrow.target) for step in arrow.steps)
    return Wire((arrow.source,), arrow.target, label, arrow.declined, arrow.usual, tip=tip, steps=steps)


def _pairs(wires: Sequence[Wire]) -> list[Wire]:
    """A way there and a way back that move no money become one wire with two heads, from the earlier state."""
    found: list[Wire] = []
    used: set[int] = set()
    for index, wire in enumerate(wires):
        if index in used:
            continue
        back = next(
            (
                other
                for other in range(index + 1, len(wires))
                if (wires[other].sources, wires[other].target) == ((wire.target,), wire.sources[0])
                and not any(each.declined or each.usual or len(each.label) > 1 for each in (wire, wires[other]))
            ),
            None,
        )
        if back is None:
            found.append(wire)
            continue
        used.add(back)
        other_way = wires[back]
        label = (wire.label[0], *other_way.label)
        tip = f"{wire.tip}\n{other_way.tip}"
        found.append(Wire(wire.sources, wire.target, label, both=True, tip=tip, steps=wire.steps + other_way.steps))
    return found


def buses(wires: Sequence[Wire]) -> list[Wire]:
    """Wires to the same state with the same commands become one."""
    joined: dict[object, list[Wire]] = {}
    for wire in wires:
        alone = (wire.sources,) if wire.usual else ()
        joined.setdefault((wire.target, _said(wire), wire.declined, wire.both, alone), []).append(wire)
    return [_bus(same) if len(same) > 1 else same[0] for same in joined.values()]


def _said(wire: Wire) -> tuple[str, ...]:
    return tuple(line.text.replace(f" {ASKS}", "") for line in wire.label if line.kind == "command")


def _bus(wires: Sequence[Wire]) -> Wire:
    first = wires[0]
    texts = [line for wire in wires for line in wire.label]
    asking = next((text for text in texts if text.kind == "command" and ASKS in text.text), None)
    if first.both:
        label = first.label
    else:
        money = max((text for text in texts if text.kind == "money"), key=lambda text: len(text.text), default=None)
        label = (asking or first.label[0], *([money] if money else []))
    sources = tuple(dict.fromkeys(source for wire in wires for source in wire.sources))
    tip = "\n".join(dict.fromkeys(line for wire in wires for line in wire.tip.splitlines()))
    steps = tuple(step for wire in wires for step in wire.steps)
    return Wire(sources, first.target, label, first.declined, both=first.both, tip=tip, steps=steps)


# Words


def commands_of(steps: Iterable[Step], *, asks: bool = True) -> list[str]:
    """The commands of these steps, each once, with ↗ if one of its steps asks the provider."""
    found: dict[str, bool] = {}
    for step in steps:
        for command in step.commands:
            found[command] = found.get(command, False) or step.asks
    return [f"{spoken(name)} {ASKS}" if asking and asks else spoken(name) for name, asking in found.items()]


def flow_text(flows: Iterable[tuple[str, ...]]) -> str:
    """`held ▸ redeemed, card`: flows from one account are told together, and so are flows to one."""
    by_source: dict[str, list[str]] = {}
    for source, target in dict.fromkeys(flows):
        by_source.setdefault(spoken(source), []).append(spoken(target))
    by_target: dict[tuple[str, ...], list[str]] = {}
    for source, targets in by_source.items():
        by_target.setdefault(tuple(targets), []).append(source)
    return "; ".join(f"{', '.join(sources)} {MOVES} {', '.join(targets)}" for targets, sources in by_target.items())


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    whole_parts = text[:width].rpartition(";")[0]
    return f"{whole_parts}; …" if whole_parts else f"{text[: width - 1].rstrip(' ,')}…"


def whole(step: Step) -> str:
    """All of a step, in one line."""
    parts = [spoken(step.title)]
    if step.conditions:
        parts.append(f"if {'; '.join(step.conditions)}")
    parts += [each.replace("→", MOVES) for each in step.money]
    parts += [str(call) for call in step.calls]
    parts += [f"then {each}" for each in step.follow_ups]
    return " · ".join(parts)

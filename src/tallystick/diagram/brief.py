"""The brief picture: states, the commands' names, and one line of money. Guards and calls are in its tooltips.

An edge says in its first line which commands lead there (↗: the provider is asked) and in its second which money they
move (`card ▸ held`). Where one command moves other money than another, each has a line of its own, if both fit. A box
says which accounts may carry value (○) and what it takes without being left (↻). Below stands what the accounts and the
states mean, as far as there is room.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from tallystick.diagram.model import Arrow, Diagram, Node, Step
from tallystick.diagram.sketch import (
    ASKS,
    MOVES,
    NO,
    STAYS,
    Box,
    Sign,
    Sketch,
    Text,
    Wire,
    Word,
    either,
    listed,
    spoken,
)

LABELS = (48, 36, 30, 26)  # characters in a line of a label; the most that fits the budget is taken
INSIDE, NARROW = 24, 17  # characters in a line inside a box; in one of several
MANY = 8  # commands; a state of the usual way that takes more without being left shows what they move
GROUPS = 3  # of commands that it shows
OUTSIDE = "outside"  # any account that is not of the machine


def brief(diagram: Diagram, label: int = LABELS[-1]) -> Sketch:
    """The brief picture of a machine."""
    lost = {arrow.target for arrow in diagram.arrows if arrow.declined}
    boxes = tuple(_box(node, lost=node.name in lost and not node.usual) for node in diagram.nodes)
    title = f"{spoken(diagram.name)}, version {diagram.version}"
    sketch = Sketch(diagram.name, title, diagram.summary, boxes, gathered(diagram, label), diagram.usual, ())
    return attrs.evolve(sketch, legend=legend(sketch), words=words(sketch, diagram))


def words(sketch: Sketch, diagram: Diagram) -> tuple[Word, ...]:
    """What the picture's accounts mean, then its states: the less usual a state is, the sooner it is explained."""
    there = ", ".join(line.money or line.text for line in sketch.lines
                      if line.kind in ("holds", "money", "flow") or line.money)  # fmt: skip
    used = set(re.split(f"[,;{MOVES}] *", there.replace(f" {MOVES}", MOVES)))
    accounts = [Word(spoken(name), says, True) for name, says in diagram.accounts.items() if spoken(name) in used]
    outside = ", ".join(spoken(name) for name in diagram.outside)
    accounts += [Word(OUTSIDE, f"One of {outside}.", True)] if OUTSIDE in used else []
    states = sorted(diagram.nodes, key=lambda node: (node.usual, node.final))
    return (*accounts, *(Word(spoken(node.name), node.says, False) for node in states))


def legend(sketch: Sketch) -> tuple[Sign, ...]:
    """What the signs of this picture mean; only those that are in it."""
    kinds = {line.kind for line in sketch.lines} | {"money" for line in sketch.lines if line.money}
    asks, declined = any(ASKS in line.text for line in sketch.lines), any(wire.declined for wire in sketch.wires)
    after = any(box.final and any(line.kind == "stays" for line in box.lines) for box in sketch.boxes)
    joins = any(len(wire.sources) > 1 for wire in sketch.wires)
    signs = [
        ("usual", "the usual way", bool(sketch.usual)),
        ("declined", "the provider declines (no line: nothing changes)", declined),
        (
            "final",
            "an end, and what it still takes" if after else "an end",
            any(box.final for box in sketch.boxes),
        ),
        ("asks", "asks the provider (declined: nothing changes)" if not declined else "asks the provider", asks),
        ("flow", "money goes from a to b or c", "money" in kinds or "flow" in kinds),
        ("holds", "money it holds", "holds" in kinds),
        ("stays", "done without leaving it", "stays" in kinds),
        ("joins", "the same from each", joins),
    ]
    return tuple(Sign(sample, says) for sample, says, shown in signs if shown)


# States


def _box(node: Node, *, lost: bool) -> Box:
    lines = [Text(spoken(node.name), "name")]
    if node.holds:
        lines += [Text(line, "holds") for line in textwrap.wrap(", ".join(map(spoken, node.holds)), NARROW)]
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
    said = listed(hidden, INSIDE - 2)
    said = f"{len(hidden)} more" if "…" in said else said
    return lines + ([Text(f"{STAYS} {said}", "stays")] if hidden else [])


def stays_lines(names: Sequence[str]) -> list[Text]:
    """Two lines at most of what a state takes without being left."""
    if len(", ".join(names)) <= NARROW or len(names) < 2:
        return [Text(f"{STAYS} {listed(names, INSIDE - 2)}", "stays")] if names else []
    rest = listed(names[1:], NARROW)
    rest = f"{len(names) - 1} more" if "…" in rest and len(names) > 2 else rest
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
            (OUTSIDE if source in step.outside else source, OUTSIDE if target in step.outside else target)
            for step, (source, target) in flows
        )
    return _cut(text, width)


def tip_of(node: Node) -> str:
    """All of a state: what it means and what it takes without being left."""
    lines = [f"{spoken(node.name)}: {node.says}"]
    return "\n".join([*lines, *(f"{STAYS} {whole(step)}" for step in node.stays)])


# Arrows


def gathered(diagram: Diagram, label: int = LABELS[-1]) -> tuple[Wire, ...]:
    """The arrows, those alike as one; `label`: how many characters a line of a label has."""
    holds = {node.name: node.holds for node in diagram.nodes}
    wires = [wire_of(arrow, holds, label) for arrow in diagram.arrows]
    return tuple(buses(_pairs(wires)))


def wire_of(arrow: Arrow, holds: Mapping[str, Collection[str]], width: int) -> Wire:
    """The wire of one arrow; `holds`: the accounts that carry value in each state."""
    if arrow.declined:
        label: tuple[Text, ...] = (Text(f"{NO} declined", "command"),)
        tip = f"declined: {either(commands_of(arrow.steps, asks=False), 200)}"
    else:
        label = _label(arrow.steps, holds[arrow.source], width)
        tip = "\n".join(whole(step) for step in arrow.steps)
    steps = tuple((arrow.source, step.name, arrow.target) for step in arrow.steps)
    commands = tuple(commands_of(arrow.steps))
    return Wire((arrow.source,), arrow.target, label, arrow.declined, arrow.usual, tip=tip, steps=steps,
                commands=commands)  # fmt: skip


def _label(steps: Sequence[Step], holds: Collection[str], width: int) -> tuple[Text, ...]:
    """Which commands, and which money they move: each in a line of its own if two kinds of them fit."""
    by_command: dict[str, list[Step]] = {}
    for step in steps:
        for command in step.commands:
            by_command.setdefault(command, []).append(step)
    by_flow: dict[str, list[str]] = {}
    for command, own in by_command.items():
        (said,) = (each for each in commands_of(own) if each.removesuffix(f" {ASKS}") == spoken(command))
        by_flow.setdefault(_flow(own, holds, 2 * width), []).append(said)
    lines = tuple(Text(either(said, width), "command", flow) for flow, said in by_flow.items())
    if len(lines) == 2 and all(len(line.text) + len(line.money) < width for line in lines):
        return lines
    flow = _flow(steps, holds, width)
    return (Text(either(commands_of(steps), width), "command"), *([Text(flow, "money")] if flow else []))


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
                and not any(
                    each.declined or each.usual or len(each.label) > 1 or each.label[0].money
                    for each in (wire, wires[other])
                )
            ),
            None,
        )
        if back is None:
            found.append(wire)
            continue
        used.add(back)
        other_way = wires[back]
        back_label = (attrs.evolve(other_way.label[0], text=f"back: {other_way.label[0].text}"), *other_way.label[1:])
        tip = f"{wire.tip}\n{other_way.tip}"
        found.append(Wire(wire.sources, wire.target, (wire.label[0], *back_label), both=True, tip=tip,
                          steps=wire.steps + other_way.steps,
                          commands=wire.commands, back=other_way.commands))  # fmt: skip
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
    label = max((wire.label for wire in wires), key=_much)
    sources = tuple(dict.fromkeys(source for wire in wires for source in wire.sources))
    tip = "\n".join(dict.fromkeys(line for wire in wires for line in wire.tip.splitlines()))
    steps = tuple(step for wire in wires for step in wire.steps)
    commands = tuple(dict.fromkeys(command for wire in wires for command in wire.commands))
    return Wire(sources, first.target, label, first.declined, both=first.both, tip=tip, steps=steps, commands=commands,
                back=first.back)  # fmt: skip


def _much(label: Sequence[Text]) -> tuple[int, int]:
    return sum(line.text.count(ASKS) for line in label), sum(len(line.text) + len(line.money) for line in label)


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
    for sign in ";,":  # whole parts are left, if one of them fits
        shown = text[: width - len(" …")].rpartition(sign)[0]
        if shown:
            return f"{shown}{sign} …"
    return f"{text[: width - 1].rstrip(' ,')}…"


def whole(step: Step) -> str:
    """All of a step, in one line."""
    parts = [spoken(step.title)]
    if step.conditions:
        parts.append(f"if {'; '.join(step.conditions)}")
    parts += [each.replace("→", MOVES) for each in step.money]
    parts += [str(call) for call in step.calls]
    parts += [f"then {each}" for each in step.follow_ups]
    return " · ".join(parts)

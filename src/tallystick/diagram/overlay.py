"""The brief picture with the figures of a store: how many and how much in each state and on each edge.

The usual way is then what was counted: from the start, always on to where most went. An edge that nobody took is dotted
and grey. Widths grow with the root of the traffic, so that a rare edge stays visible beside a busy one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from tallystick.diagram.brief import INSIDE, LABELS, commands_of
from tallystick.diagram.figures import Overlay, Standing, Traffic
from tallystick.diagram.model import Diagram, Node, Step
from tallystick.diagram.sketch import DOUBT, STAYS, Box, Sign, Sketch, Text, Wire, either, parted, spoken
from tallystick.money import Money

_WIDEST = 8.0  # pixels of the busiest edge, beside the narrowest of 2


def counted_way(diagram: Diagram, overlay: Overlay) -> tuple[str, ...]:
    """The usual way as it was counted; without any traffic, the declared one."""
    went: dict[str, dict[str, int]] = {}
    for (source, _, target), traffic in overlay.edges.items():
        if source != target and traffic.count:
            by_target = went.setdefault(source, {})
            by_target[target] = by_target.get(target, 0) + traffic.count
    way = [node.name for node in diagram.nodes if node.start]
    while True:
        onward = {target: count for target, count in went.get(way[-1], {}).items() if target not in way}
        if not onward:
            return tuple(way) if len(way) > 1 else diagram.usual
        way.append(max(onward, key=lambda target: onward[target]))


def with_overlay(sketch: Sketch, diagram: Diagram, overlay: Overlay) -> Sketch:
    """The sketch with the figures of an overlay."""
    nodes = {node.name: node for node in diagram.nodes}
    inside = [each.money for each in overlay.edges.values()]
    inside += [amounts for standing in overlay.states.values() for amounts in standing.money.values()]
    currencies = {amount.currency for amounts in inside for amount in amounts}
    bare = len(currencies) == 1
    most = max((_traffic(wire.steps, overlay).count for wire in sketch.wires), default=0)
    boxes = tuple(_box(box, nodes[box.name], overlay, bare=bare) for box in sketch.boxes)
    ways = {(source, target) for (source, _, target), traffic in overlay.edges.items() if traffic.count}
    steps = {step.name: step for line in diagram.lines for step in [line.step]}
    wires = tuple(_wire(wire, overlay, most, steps, bare=bare) for wire in parted(sketch.wires, ways))
    total = sum(standing.count for standing in overlay.states.values())
    source = f", {overlay.source}" if overlay.source else ""
    title = f"{sketch.title}: {total:,} in the books"
    note = f"as of {overlay.as_of}, {overlay.verified}{source}"
    note += f"; amounts in {next(iter(currencies))}" if bare else ""
    kept = [sign for sign in sketch.legend if sign.sample not in ("usual", "stays", "flow", "holds")]
    legend = [
        Sign("usual", "wider: more went there"),
        Sign("traffic", "how many, how much"),
    ]
    if any(wire.tone == "never" for wire in wires):
        legend.append(Sign("never", "never taken"))
    if any(box.tone == "doubt" for box in boxes):
        legend.append(Sign("doubt", f"{DOUBT} money in doubt"))
    return attrs.evolve(
        sketch, title=title, boxes=boxes, wires=wires, legend=(*legend, *kept), notes=(*sketch.notes, note)
    )


def _box(box: Box, node: Node, overlay: Overlay, *, bare: bool) -> Box:
    standing = overlay.states.get(box.name, Standing(0))
    lines = [line for line in box.lines if line.kind == "name"]
    lines.append(Text(f"{standing.count:,}" if standing.count else "–", "count"))
    doubt = any(standing.money.get("in_doubt", ()))
    for account, amounts in standing.money.items():
        if any(amounts):
            lines.append(Text(f"{spoken(account)} {amounts_text(amounts, bare=bare)}", "holds"))
    by_command: dict[str, list[tuple[str, str, str]]] = {}
    for step in node.stays:
        name = commands_of([step])[0]
        by_command.setdefault(name, []).append((node.name, step.name, node.name))
    busy = {name: _traffic(steps, overlay) for name, steps in by_command.items()}
    ranked = sorted((name for name in busy if busy[name].count), key=lambda name: -busy[name].count)
    lines += [Text(_cut(f"{STAYS} {name} {busy[name].count:,}"), "stays") for name in ranked[:3]]
    if len(ranked) > 3:
        rest = sum(busy[name].count for name in ranked[3:])
        lines.append(Text(f"{STAYS} others {rest:,}", "stays"))
    told = [f"{STAYS} {name}: {_traffic_text(busy[name])}" for name in ranked]
    tone = "doubt" if doubt else "" if standing.count else "faint"
    return attrs.evolve(box, lines=tuple(lines), tone=tone, tip="\n".join([box.tip, *told]))


def _wire(wire: Wire, overlay: Overlay, most: int, named: Mapping[str, Step], *, bare: bool) -> Wire:
    traffic = _traffic(wire.steps, overlay)
    command = tuple(line for line in wire.label if line.kind == "command")
    if not traffic.count:
        return attrs.evolve(wire, label=command, tone="never", usual=False)
    if not wire.declined:
        taken = [named[step[1]] for step in wire.steps if _traffic([step], overlay).count]
        command = (Text(either(commands_of(taken), LABELS[-1]), "command"),)
    label = (command[0], Text(_traffic_text(traffic, bare=bare), "traffic"))
    weight = 2 + (_WIDEST - 2) * math.sqrt(traffic.count / most)
    told = [
        f"{spoken(source)} {spoken(step)}: {_traffic_text(overlay.edges[source, step, target])}"
        for source, step, target in wire.steps
        if (source, step, target) in overlay.edges
    ]
    tone = wire.tone or ("" if wire.declined else "taken")
    return attrs.evolve(wire, label=label, tone=tone, weight=round(weight, 1), tip="\n".join([wire.tip, *told]))


def _traffic(steps: Iterable[tuple[str, str, str]], overlay: Overlay) -> Traffic:
    found = [overlay.edges[step] for step in steps if step in overlay.edges]
    totals: dict[str, Money] = {}
    for amount in (amount for each in found for amount in each.money):
        totals[amount.currency] = totals[amount.currency] + amount if amount.currency in totals else amount
    return Traffic(sum(each.count for each in found), tuple(totals.values()))


def _traffic_text(traffic: Traffic, *, bare: bool = False) -> str:
    return f"{traffic.count:,}" + (f" · {amounts_text(traffic.money, bare=bare)}" if any(traffic.money) else "")


def amounts_text(amounts: Iterable[Money], *, bare: bool = False) -> str:
    """`1,372.55 BRL`; of several currencies all, with `+` between them. `bare`: without the currency."""
    return " + ".join(f"{each:,n}" if bare else f"{each:,}" for each in amounts if each) or "0"


def _cut(text: str) -> str:
    return text if len(text) <= INSIDE + 4 else f"{text[: INSIDE + 3]}…"

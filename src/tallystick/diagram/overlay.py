"""The brief picture with the figures of a store: how many and how much in each state and on each edge.

The usual way is then what was counted: from the start, always on to where most went. An edge that nobody took is dotted
and grey. Widths grow with the root of the traffic, so that a rare edge stays visible beside a busy one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import attrs

from tallystick.diagram.brief import INSIDE, LABELS, NARROW, commands_of
from tallystick.diagram.figures import Overlay, Standing, Traffic
from tallystick.diagram.model import Diagram, Node, Step
from tallystick.diagram.sketch import DOUBT, STAYS, Box, Sign, Sketch, Text, Wire, either, parted, spoken
from tallystick.money import Money

_WIDEST = 8.0  # pixels of the busiest edge, beside the narrowest of 2
SPARED = (0, 1), (2, 3)  # nothing, labels short and long figures rounded; on edges counts only, and narrow boxes
BUSIEST = 3  # commands that a state takes without being left, and whose number it shows
_SHORT = 6  # characters of a figure that is not rounded: 12,345 or 999.99
_UNITS = ((10**9, "B"), (10**6, "M"), (10**3, "K"))


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


def with_overlay(sketch: Sketch, diagram: Diagram, overlay: Overlay, spared: int = 0) -> Sketch:
    """The sketch with the figures of an overlay, and with less of them the more is `spared`: 0 to 3, as in `SPARED`."""
    inside = [each.money for each in overlay.edges.values()]
    inside += [amounts for standing in overlay.states.values() for amounts in standing.money.values()]
    currencies = {amount.currency for amounts in inside for amount in amounts}
    figures = _Figures(overlay, len(currencies) == 1, spared)
    most = max((figures.of(wire.steps).count for wire in sketch.wires), default=0)
    nodes = {node.name: node for node in diagram.nodes}
    boxes = tuple(_box(box, [nodes[name] for name in box.states or (box.name,)], figures) for box in sketch.boxes)
    ways = {(source, target) for (source, _, target), traffic in overlay.edges.items() if traffic.count}
    steps = {step.name: step for line in diagram.lines for step in [line.step]}
    wires = tuple(_wire(wire, figures, most, steps) for wire in parted(sketch.wires, ways))
    total = sum(standing.count for standing in overlay.states.values())
    source = f", {overlay.source}" if overlay.source else ""
    title = f"{sketch.title}: {total:,} in the books"
    note = f"as of {overlay.as_of}, {overlay.verified}{source}"
    note += f"; amounts in {next(iter(currencies))}" if figures.bare else ""
    note += "; long figures are rounded, and exact in the tooltips" if figures.rounded else ""
    kept = [sign for sign in sketch.legend if sign.sample not in ("usual", "stays", "flow", "holds")]
    legend = [
        Sign("usual", "wider: more went there"),
        Sign("traffic", "how many" if figures.counts_only else "how many, how much"),
    ]
    if any(wire.tone == "never" for wire in wires):
        legend.append(Sign("never", "never taken"))
    if any(box.tone == "doubt" for box in boxes):
        legend.append(Sign("doubt", f"{DOUBT} money in doubt"))
    return attrs.evolve(
        sketch, title=title, boxes=boxes, wires=wires, legend=(*legend, *kept), notes=(*sketch.notes, note), words=()
    )


@attrs.frozen
class _Figures:
    """The figures of an overlay, and how they are written."""

    overlay: Overlay
    bare: bool  # without the currency: there is one
    spared: int

    @property
    def rounded(self) -> bool:
        return self.spared >= 1

    @property
    def counts_only(self) -> bool:
        return self.spared >= 2

    @property
    def narrow(self) -> bool:
        return self.spared >= 3

    def of(self, steps: Iterable[tuple[str, str, str]]) -> Traffic:
        """The traffic of these steps together."""
        found = [self.overlay.edges[step] for step in steps if step in self.overlay.edges]
        return Traffic(sum(each.count for each in found), _sums(amount for each in found for amount in each.money))

    def traffic(self, traffic: Traffic) -> str:
        money = "" if self.counts_only or not any(traffic.money) else f" · {self.amounts(traffic.money)}"
        return self.count(traffic.count) + money

    def holds(self, account: str, amounts: Iterable[Money]) -> list[Text]:
        """What stands on an account, in one line or in two."""
        texts = [f"{account}:", self.amounts(amounts)] if self.narrow else [f"{account} {self.amounts(amounts)}"]
        return [Text(text, "holds") for text in texts]

    def count(self, number: int) -> str:
        return _rough(Decimal(number), f"{number:,}") if self.rounded else f"{number:,}"

    def amounts(self, amounts: Iterable[Money]) -> str:
        """`1,372.55 BRL`; of several currencies all, with `+` between them."""
        if not self.rounded:
            return amounts_text(amounts, bare=self.bare)
        return " + ".join(
            _rough(each.decimal, f"{each:,n}") + ("" if self.bare else f" {each.currency}") for each in amounts if each
        )


def _rough(number: Decimal, exact: str) -> str:
    """Three digits and a unit, if it is longer than that: 1.23 M."""
    if len(exact) <= _SHORT:
        return exact
    unit, sign = next((each for each in _UNITS if abs(number) >= each[0] * Decimal("0.9995")), (1, ""))
    part = number / unit
    digits = 2 if abs(part) < Decimal("9.995") else 1 if abs(part) < Decimal("99.95") else 0
    return f"{part:,.{digits}f} {sign}".rstrip()


def _sums(amounts: Iterable[Money]) -> tuple[Money, ...]:
    totals: dict[str, Money] = {}
    for amount in amounts:
        totals[amount.currency] = totals[amount.currency] + amount if amount.currency in totals else amount
    return tuple(totals.values())


def _box(box: Box, nodes: Sequence[Node], figures: _Figures) -> Box:
    """A state, or several as one, with how many and how much stands there and what is done most without leaving it."""
    states = [figures.overlay.states.get(node.name, Standing(0)) for node in nodes]
    count = sum(each.count for each in states)
    money = {name: _sums(amount for each in states for amount in each.money.get(name, ()))
             for each in states for name in each.money}  # fmt: skip
    lines = [line for line in box.lines if line.kind == "name"]
    lines.append(Text(figures.count(count) if count else "–", "count"))
    for node, each in zip(nodes, states, strict=True):
        if len(nodes) > 1 and each.count:
            lines.append(Text(f"· {spoken(node.name)} {figures.count(each.count)}", "note"))
    standing = [(spoken(account), amounts) for account, amounts in money.items() if any(amounts)]
    lines += [line for account, amounts in standing for line in figures.holds(account, amounts)]
    told = [f"{account} {amounts_text(amounts)}" for account, amounts in standing]
    lines += _busiest(nodes, figures, told) if len(nodes) == 1 else []
    tone = "doubt" if any(money.get("in_doubt", ())) else "" if count else "faint"
    return attrs.evolve(box, lines=tuple(lines), tone=tone, tip="\n".join([box.tip, *told]))


def _busiest(nodes: Sequence[Node], figures: _Figures, told: list[str]) -> list[Text]:
    """What a state takes most without being left; all of it goes to what is `told` in the tooltip."""
    by_command: dict[str, list[tuple[str, str, str]]] = {}
    for node in nodes:
        for step in node.stays:
            by_command.setdefault(commands_of([step])[0], []).append((node.name, step.name, node.name))
    busy = {name: figures.of(steps) for name, steps in by_command.items()}
    ranked = sorted((name for name in busy if busy[name].count), key=lambda name: -busy[name].count)
    told += [f"{STAYS} {name}: {_exact(busy[name])}" for name in ranked]
    most = 1 if figures.counts_only else BUSIEST
    lines = [Text(_cut(f"{STAYS} {name} {figures.count(busy[name].count)}"), "stays") for name in ranked[:most]]
    if len(ranked) > most:
        rest = sum(busy[name].count for name in ranked[most:])
        lines.append(Text(f"{STAYS} others {figures.count(rest)}", "stays"))
    return lines


def _wire(wire: Wire, figures: _Figures, most: int, named: Mapping[str, Step]) -> Wire:
    traffic = figures.of(wire.steps)
    command = tuple(attrs.evolve(line, money="") for line in wire.label if line.kind == "command")
    if not traffic.count:
        return attrs.evolve(wire, label=command, tone="never", usual=False)
    if not wire.declined:
        taken = [named[step[1]] for step in wire.steps if figures.of([step]).count]
        command = (Text(either(commands_of(taken), NARROW if figures.spared else LABELS[-1]), "command"),)
    label = (command[0], Text(figures.traffic(traffic), "traffic"))
    weight = 2 + (_WIDEST - 2) * math.sqrt(traffic.count / most)
    edges = figures.overlay.edges
    told = [
        f"{spoken(source)} {spoken(step)}: {_exact(edges[source, step, target])}"
        for source, step, target in wire.steps
        if (source, step, target) in edges
    ]
    tone = wire.tone or ("" if wire.declined else "taken")
    return attrs.evolve(wire, label=label, tone=tone, weight=round(weight, 1), tip="\n".join([wire.tip, *told]))


def _exact(traffic: Traffic) -> str:
    return f"{traffic.count:,}" + (f" · {amounts_text(traffic.money)}" if any(traffic.money) else "")


def amounts_text(amounts: Iterable[Money], *, bare: bool = False) -> str:
    """`1,372.55 BRL`; of several currencies all, with `+` between them. `bare`: without the currency."""
    return " + ".join(f"{each:,n}" if bare else f"{each:,}" for each in amounts if each) or "0"


def _cut(text: str) -> str:
    return text if len(text) <= INSIDE + 1 else f"{text[:INSIDE]}…"

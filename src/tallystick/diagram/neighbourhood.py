"""The neighbourhood of one state: all that leads out of it, each transition with its guard, its calls and its money.

In the middle stands the state; left of it what leads there, as in the brief picture; right of it a card for each
transition that leaves, and where that leads. What stays is in the state's box. If the cards do not fit the budget, each
shows fewer lines; all of it is in the tooltips.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import attrs

from tallystick.diagram.brief import commands_of, flow_text, gathered, legend, tip_of, whole
from tallystick.diagram.model import Arrow, Diagram, Node, Step
from tallystick.diagram.sketch import ASKS, MOVES, NO, STAYS, Box, Sketch, Text, Wire, parted, spoken

MOST = 7  # lines of a card
DETAILED = 5  # lines from which a card says the amounts of its moves
_WIDE = 46  # characters in a line of a card
_STAYS = 9  # transitions that stay and are shown


def neighbourhood(diagram: Diagram, state: str, most: int = MOST) -> Sketch:
    """The picture of a state and what is one step away; cards of `most` lines."""
    nodes = {node.name: node for node in diagram.nodes}
    here = nodes[state]
    leaving = [arrow for arrow in diagram.arrows if arrow.source == state]
    sources = dict.fromkeys(arrow.source for arrow in diagram.arrows if arrow.target == state and not arrow.declined)
    targets = dict.fromkeys(arrow.target for arrow in leaving)
    lost = {arrow.target for arrow in diagram.arrows if arrow.declined}
    boxes = [_plain(nodes[name], f"{name} before") for name in sources]
    boxes.append(_middle(here))
    steps = {step.name: step for arrow in leaving for step in arrow.steps}
    boxes += [_card(step, most) for step in steps.values()]
    boxes += [_plain(nodes[name], name, lost=name in lost) for name in targets]
    wires = _arriving(diagram, state, sources) + [Wire((state,), f"· {name}", ()) for name in steps]
    wires += [wire for arrow in leaving for wire in _leaving(arrow)]
    title = f"{spoken(diagram.name)}, version {diagram.version}: around {spoken(state)}"
    sketch = Sketch(diagram.name, title, here.says, tuple(boxes), tuple(wires), (), ())
    return attrs.evolve(sketch, legend=legend(sketch))


def _plain(node: Node, name: str, *, lost: bool = False) -> Box:
    column = 0 if name != node.name else 3
    return Box(name, (Text(spoken(node.name), "name"),), final=node.final, tip=tip_of(node), lost=lost, column=column)


def _middle(node: Node) -> Box:
    lines = [Text(spoken(node.name), "name")]
    if node.holds:
        lines += [Text(line, "holds") for line in textwrap.wrap(", ".join(map(spoken, node.holds)), 26)]
    for step in node.stays[:_STAYS]:
        flow = flow_text(step.flows)
        lines.append(Text(_cut(f"{STAYS} {spoken(step.title)}{f' {ASKS}' if step.asks else ''}"), "stays"))
        lines += [Text(_cut(flow), "flow")] if flow and len(node.stays) <= _STAYS // 2 else []
    if len(node.stays) > _STAYS:
        lines.append(Text(f"and {len(node.stays) - _STAYS} more", "more"))
    return Box(node.name, tuple(lines), node.start, node.final, usual=True, tip=tip_of(node), column=1)


def _card(step: Step, most: int) -> Box:
    head = spoken(step.title).replace(" · ", ": ")
    first = Text(_cut(f"{head} {ASKS}" if step.asks else head), "command")
    flow = flow_text(step.flows)
    money = [Text(_cut(each.replace("→", MOVES)), "flow") for each in step.money] if most >= DETAILED else []
    money = money or ([Text(_cut(flow), "flow")] if flow else [])
    guard = _wrapped(f"if {'; '.join(step.conditions)}") if step.conditions else []
    more = [line for call in step.calls for line in _wrapped(str(call))]
    more += [line for each in step.follow_ups for line in _wrapped(f"then {each}")]
    for_guard = max(most - 1 - len(money), 1)
    if len(guard) > for_guard:
        guard = [*guard[: for_guard - 1], Text(f"{guard[for_guard - 1].text[: _WIDE - 2]} …", "note")]
    lines = (first, *guard, *money, *more)
    return Box(f"· {step.name}", lines[:most], tip=whole(step), tone="card", column=2)


def _arriving(diagram: Diagram, state: str, sources: Iterable[str]) -> list[Wire]:
    """What leads here, gathered as in the brief picture."""
    wires = [wire for wire in gathered(diagram) if not wire.declined]
    found = []
    for wire in parted(wires, {(name, state) for name in sources}):
        if wire.target == state and all(step[2] == state for step in wire.steps):
            sources = tuple(f"{source} before" for source in wire.sources)
            found.append(attrs.evolve(wire, sources=sources, usual=False, both=False))
    return found


def _leaving(arrow: Arrow) -> Iterable[Wire]:
    label = (Text(f"{NO} declined", "command"),) if arrow.declined else ()
    sources = tuple(f"· {step.name}" for step in arrow.steps)
    tip = f"declined: {', '.join(commands_of(arrow.steps, asks=False))}" if arrow.declined else ""
    yield Wire(sources, arrow.target, label, arrow.declined, tip=tip)


def _wrapped(text: str) -> list[Text]:
    return [Text(line, "note") for line in textwrap.wrap(text, _WIDE)]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"

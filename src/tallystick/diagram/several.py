"""Several machines in one picture: each with its states, and the drives between them.

A drive is a command that a transition of one machine gives to an entity of another in the same commit (`payment` gives
`card.hold`). A follow-up for parts is one too (`tender` queues `settle` for each payment). Between two machines there
is one wire for all of them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from tallystick.definition.machine import Machine
from tallystick.diagram.brief import commands_of
from tallystick.diagram.model import diagram_of
from tallystick.diagram.sketch import ASKS, Box, Sign, Sketch, Text, Wire, listed, spoken

PROVIDER = "provider"
_INSIDE = 22


def several(machines: Sequence[Machine]) -> Sketch:
    """The picture of these machines, the one that drives most on the left."""
    known = {machine.name for machine in machines}
    drives: dict[tuple[str, str], dict[str, list[str]]] = {}
    asking: dict[str, list[str]] = {}
    for machine in machines:
        for each in machine.transitions.values():
            for drive in each.drives:
                if drive.machine in known:
                    drives.setdefault((machine.name, drive.machine), {}).setdefault(drive.command, []).append(each.name)
            for then in each.then:
                if then.each in known:
                    drives.setdefault((machine.name, str(then.each)), {}).setdefault(then.command, []).append(each.name)
            if each.ask is not None:
                asking.setdefault(machine.name, []).append(spoken(each.ask.verb))
    boxes = [_box(machine) for machine in machines]
    wires = [_wire(pair, commands) for pair, commands in drives.items()]
    if asking:
        boxes.append(Box(PROVIDER, (Text("the provider", "name"),), final=False, tip="Whoever keeps the balances."))
        wires += [
            Wire((name,), PROVIDER, (Text(f"{listed(dict.fromkeys(verbs), 20)} {ASKS}", "command"),),
                 tip=", ".join(dict.fromkeys(verbs)))
            for name, verbs in asking.items()
        ]  # fmt: skip
    title = " and ".join(spoken(machine.name) for machine in machines)
    signs = (Sign("plain", "gives commands to, in the same commit"), Sign("asks", "asks the provider"),
             Sign("holds", "where its money stands"))  # fmt: skip
    names = "_".join(machine.name for machine in machines)
    says = "Which machine drives which; each box lists its states."
    return Sketch(names, title, says, tuple(boxes), tuple(wires), (), signs)


def _box(machine: Machine) -> Box:
    diagram = diagram_of(machine)
    way = textwrap.wrap(" · ".join(spoken(node.name) for node in diagram.nodes), _INSIDE)
    holds = textwrap.wrap(", ".join(map(spoken, machine.accounts)), _INSIDE)
    lines = [Text(spoken(machine.name), "name"), *(Text(line, "holds") for line in holds)]
    lines += [Text(line, "note") for line in way]
    own = [step for node in diagram.nodes for step in node.stays]
    own += [step for arrow in diagram.arrows for step in arrow.steps]
    tip = f"{spoken(machine.name)}: {machine.summary}\n{', '.join(commands_of(own))}"
    return Box(machine.name, tuple(lines), tip=tip)


def _wire(pair: tuple[str, str], commands: dict[str, list[str]]) -> Wire:
    names = [spoken(name) for name in commands]
    tip = "\n".join(f"{spoken(name)}: from {', '.join(map(spoken, made))}" for name, made in commands.items())
    return Wire((pair[0],), pair[1], (Text(listed(names, 20), "command"),), tip=tip)

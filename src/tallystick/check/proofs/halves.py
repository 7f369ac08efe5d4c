"""For all amounts: what leaves one machine arrives in the other.

An outside account that has the name of a link (a replacement's `old`) *is* the linked entity: what comes from it here
leaves the accounts there, in the same commit. Where an invariant of the linked machine speaks of the link, that says
how the two halves agree, and this is not asked.
"""

from __future__ import annotations

import z3

from tallystick.check.proofs.facts import Known
from tallystick.check.proofs.invariants import everything, governed
from tallystick.check.proofs.solver import Prover, amount
from tallystick.check.proofs.steps import Act, Firing
from tallystick.check.proofs.terms import Term

_PART = z3.Int("part")
_ZERO = z3.IntVal(0)


def halves(prover: Prover, known: Known) -> None:
    for act, given in everything(known):
        for link, linked in _links(known, act).items():
            _agree(prover, act, given, link, linked)


def _links(known: Known, act: Act) -> dict[str, str]:
    """The outside accounts that are a linked entity, and its machine."""
    machine, own = known.life.machine, act.own
    types = machine.commands[own.command].arguments
    links = {**machine.links, **{name: type_.machine for name, type_ in types.items() if type_.kind == "link"}}
    return {
        link: linked
        for link, linked in links.items()
        if link in machine.outside and not governed(known.life.machines, machine.name, link, linked)
    }


def _agree(prover: Prover, act: Act, given: list[Term], link: str, linked: str) -> None:
    own = act.own
    driven = [each for each in act.firings if each.entity.name == f"{own.entity.name}{link}."]
    if not driven and not any(link in line for line in own.row.lines):
        return
    taken = _gain(own, [link])
    gained = z3.Sum([_ZERO, *(_gain(each, list(each.entity.machine.outside)) for each in driven)])
    place = ("transition", own.row.name, "drive" if own.row.transition.drives else "move")
    model = prover.proved("value", own.entity.machine, place, given, [taken + gained == 0])
    if model is not None:
        here, there = (model.eval(each, True).as_long() for each in (taken, gained))
        message = (
            f"{own.command} in {own.entity.state} takes {amount(here)} from {link}, but the accounts of that "
            f"{linked} lose {amount(-there)}"
        )
        prover.told("TS306", own.entity.machine, message, *place)


def _gain(firing: Firing, outside: list[str]) -> Term:
    """What the accounts of an entity get from some of its outside accounts."""
    lines = list(zip(firing.row.lines, firing.done(_PART), strict=True))
    gained = [value for (source, _), value in lines if source in outside]
    lost = [value for (_, target), value in lines if target in outside]
    return z3.Sum([_ZERO, *gained]) - z3.Sum([_ZERO, *lost])

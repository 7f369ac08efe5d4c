"""For all amounts: what leaves one entity arrives in the other.

An outside account that has the name of a link (a replacement's `old`) *is* the linked entity: what comes from it here
leaves the accounts there, in the same commit. Where an invariant of the linked machine speaks of the link, that says
how the two halves agree, and this is not asked.

Of other links nothing is written that could agree. But where one command takes from one entity and gives to another of
the same machine, value goes between the two: what one puts on an outside account is what the other takes from it, and
all in all no more arrives than leaves. (Within one entity nothing has to be proved: a move takes what it gives.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

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
        named = _links(known, act)
        for link, linked in named.items():
            _agree(prover, act, given, link, linked)
        for driven in _alike(act, named):
            _between(prover, act, given, driven)


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
    place = _place(own)
    model = prover.proved("value", own.entity.machine, place, given, [taken + gained == 0])
    if model is not None:
        here, there = (model.eval(each, True).as_long() for each in (taken, gained))
        message = (
            f"{own.command} in {own.entity.state} takes {amount(here)} from {link}, but the accounts of that "
            f"{linked} lose {amount(-there)}"
        )
        prover.told("TS306", own.entity.machine, message, *place)


def _alike(act: Act, named: Mapping[str, str]) -> Iterator[list[Firing]]:
    """The entities of one machine that an act drives, other than by links that are accounts too."""
    own = act.own.entity.name
    apart = tuple(f"{own}{link}." for link in named)
    by_machine: dict[str, list[Firing]] = {}
    for firing in act.firings[1:]:
        if not firing.entity.name.startswith(apart):
            by_machine.setdefault(firing.entity.machine.name, []).append(firing)
    yield from (driven for driven in by_machine.values() if len(driven) > 1)


def _between(prover: Prover, act: Act, given: list[Term], driven: list[Firing]) -> None:
    """What is put on an outside account is taken from it, and no more arrives than leaves."""
    outside = list(driven[0].entity.machine.outside)
    for accounts in [*([name] for name in outside), outside]:
        if not any(_takes(one, accounts) and _puts(other, accounts) for one, other in permutations(driven, 2)):
            continue
        gains = [_gain(each, accounts) for each in driven]
        arrives = z3.Sum([_ZERO, *(z3.If(each > 0, each, 0) for each in gains)])
        leaves = z3.Sum([_ZERO, *(z3.If(each < 0, -each, 0) for each in gains)])
        agrees = arrives == leaves if len(accounts) == 1 else arrives <= leaves
        claim = z3.Or(arrives == 0, leaves == 0, agrees)
        model = prover.proved("value", act.own.entity.machine, _place(act.own), given, [claim])
        if model is not None:
            there, here = (amount(model.eval(each, True).as_long()) for each in (arrives, leaves))
            own, machine = act.own, driven[0].entity.machine.name
            message = (
                f"{own.command} in {own.entity.state} takes {here} from one {machine}, to {' or '.join(accounts)}, "
                f"but gives {there} to another"
            )
            prover.told("TS306", own.entity.machine, message, *_place(own))
            return


def _takes(firing: Firing, outside: Sequence[str]) -> bool:
    return any(source in outside for source, _ in firing.row.lines)


def _puts(firing: Firing, outside: Sequence[str]) -> bool:
    return any(target in outside for _, target in firing.row.lines)


def _place(own: Firing) -> tuple[str, ...]:
    return ("transition", own.row.name, "drive" if own.row.transition.drives else "move")


def _gain(firing: Firing, outside: Sequence[str]) -> Term:
    """What the accounts of an entity get from some of its outside accounts."""
    lines = list(zip(firing.row.lines, firing.done(_PART), strict=True))
    gained = [value for (source, _), value in lines if source in outside]
    lost = [value for (_, target), value in lines if target in outside]
    return z3.Sum([_ZERO, *gained]) - z3.Sum([_ZERO, *lost])

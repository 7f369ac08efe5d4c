"""For all amounts: what leaves one entity arrives in the other.

An outside account that has the name of a link (a replacement's `old`) *is* the linked entity: what comes from it here
leaves the accounts there, in the same commit. If an invariant of the linked machine speaks of the link, it says how the
two halves agree, and nothing is asked here.

Of other links nothing is written that could agree. But where one command takes from one entity and gives to another of
the same machine, value goes between the two: what one puts on an outside account is what the other takes from it, and
all in all no more arrives than leaves. (Within one entity nothing has to be proved: a move takes what it gives.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import permutations

import z3

from tallystick.check.proof.executions import Execution, Firing
from tallystick.check.proof.invariants import governed
from tallystick.check.proof.solver import Prover
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.terms import ZERO, Term
from tallystick.check.wording import amount


def prove_transfers(prover: Prover, known: StateInvariants) -> None:
    """TS306."""
    for _, execution, given in known.executions():
        named = _links(known, execution)
        for link, linked in named.items():
            _agree(prover, execution, given, link, linked)
        for driven in _of_one_machine(execution, named):
            _between(prover, execution.own, given, driven)


def _links(known: StateInvariants, execution: Execution) -> dict[str, str]:
    """The outside accounts that are a linked entity, and its machine."""
    machine, machines = known.lifecycle.machine, known.lifecycle.machines
    types = machine.commands[execution.own.command].seen
    links = {**machine.links, **{name: type_.machine for name, type_ in types.items() if type_.kind == "link"}}
    return {
        link: linked
        for link, linked in links.items()
        if link in machine.outside and not governed(machines, machine.name, link, linked)
    }


def _agree(prover: Prover, execution: Execution, given: list[Term], link: str, linked: str) -> None:
    """What comes from a linked entity leaves its accounts."""
    own = execution.own
    driven = [each for each in execution.firings if each.entity.name == f"{own.entity.name}{link}."]
    if not driven and not any(link in line for line in own.row.lines):
        return
    taken = _gain(own, [link])
    gained = z3.Sum([ZERO, *(_gain(each, each.entity.machine.outside) for each in driven)])
    model = prover.counterexample("value", own.entity.machine, own.place, given, [taken + gained == 0])
    if model is not None:
        here, there = (model.eval(each, True).as_long() for each in (taken, gained))
        what = f"takes {amount(here)} from {link}" if here >= 0 else f"gives {amount(-here)} to {link}"
        gains = there > 0 or (there == 0 and here < 0)
        other = f"gain {amount(there)}" if gains else f"lose {amount(-there)}"
        message = f"{own.command} in {own.entity.state} {what}, but the accounts of that {linked} {other}"
        prover.report("TS306", own.entity.machine, message, *own.place)


def _of_one_machine(execution: Execution, named: Mapping[str, str]) -> Iterator[list[Firing]]:
    """The entities of one machine that are driven together, other than by links that are accounts too."""
    apart = tuple(f"{execution.own.entity.name}{link}." for link in named)
    by_machine: dict[str, list[Firing]] = {}
    for firing in execution.firings[1:]:
        if not firing.entity.name.startswith(apart):
            by_machine.setdefault(firing.entity.machine.name, []).append(firing)
    yield from (driven for driven in by_machine.values() if len(driven) > 1)


def _between(prover: Prover, own: Firing, given: list[Term], driven: list[Firing]) -> None:
    """What is put on an outside account is taken from it, and no more arrives than leaves."""
    outside = list(driven[0].entity.machine.outside)
    for accounts in [*([name] for name in outside), outside]:
        takes = [any(source in accounts for source, _ in each.row.lines) for each in driven]
        puts = [any(target in accounts for _, target in each.row.lines) for each in driven]
        if not any(takes[one] and puts[other] for one, other in permutations(range(len(driven)), 2)):
            continue
        gains = [_gain(each, accounts) for each in driven]
        arrives = z3.Sum([ZERO, *(z3.If(each > 0, each, 0) for each in gains)])
        leaves = z3.Sum([ZERO, *(z3.If(each < 0, -each, 0) for each in gains)])
        agrees = arrives == leaves if len(accounts) == 1 else arrives <= leaves
        claim = z3.Or(arrives == 0, leaves == 0, agrees)
        model = prover.counterexample("value", own.entity.machine, own.place, given, [claim])
        if model is not None:
            there, here = (amount(model.eval(each, True).as_long()) for each in (arrives, leaves))
            message = (
                f"{own.command} in {own.entity.state} takes {here} from one {driven[0].entity.machine.name} by way of "
                f"{' or '.join(accounts)}, but gives {there} to another"
            )
            prover.report("TS306", own.entity.machine, message, *own.place)
            return


def _gain(firing: Firing, outside: Collection[str]) -> Term:
    """What the accounts of an entity get from some of its outside accounts."""
    lines = list(zip(firing.row.lines, firing.done(), strict=True))
    gained = [value for (source, _), value in lines if source in outside]
    lost = [value for (_, target), value in lines if target in outside]
    return z3.Sum([ZERO, *gained]) - z3.Sum([ZERO, *lost])

"""For all amounts: what leaves one entity arrives in the other.

An outside account that has the name of a link (a replacement's `old`) *is* the linked entity: what comes from it here
leaves the accounts there, in the same commit. If an invariant of the linked machine speaks of the link, some value is
kept on both sides: what a payment holds still stands on its card. Which accounts here are such mirrors is found: those
with which most transitions agree. Then what leaves the link and its mirrors here is what leaves the accounts there.

Of other links nothing is written that could agree. But where one command takes from one entity and gives to another of
the same machine, value goes between the two: what one puts on an outside account is what the other takes from it, and
all in all no more arrives than leaves. (Within one entity nothing has to be proved: a move takes what it gives.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import permutations

import z3

from tallystick.check.proof.executions import Execution, Firing
from tallystick.check.proof.invariants import governed, summed
from tallystick.check.proof.solver import Prover, new_solver
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.terms import ZERO, Term
from tallystick.check.wording import amount
from tallystick.definition.machine import Machine

Moved = tuple[Execution, list[Term]]  # something that happens, and what is known then


def prove_transfers(prover: Prover, known: StateInvariants) -> None:
    """TS306."""
    mirrored: dict[tuple[str, str], list[Moved]] = {}
    machine, machines = known.lifecycle.machine, known.lifecycle.machines
    for _, execution, given in known.executions():
        named = _links(known, execution)
        spoken_of = {link for link, linked in named.items() if governed(machines, machine.name, link, linked)}
        for link, linked in named.items():
            if link in spoken_of:
                mirrored.setdefault((link, linked), []).append((execution, given))
            else:
                _agree(prover, execution, given, link, linked, ())
        for driven in _of_one_machine(execution, named.keys() - spoken_of):
            _between(prover, execution.own, given, driven)
    for (link, linked), moved in mirrored.items():
        spoken_of = {total.account for total in summed(machines[linked]) if total.machine == machine.name}
        mirrors, apart = _mirrors(prover, _beside(machine, spoken_of), moved, link)
        for execution, given in apart:
            _agree(prover, execution, given, link, linked, mirrors)


def _links(known: StateInvariants, execution: Execution) -> dict[str, str]:
    """The outside accounts that are a linked entity, and its machine."""
    machine = known.lifecycle.machine
    types = machine.commands[execution.own.command].seen
    links = {**machine.links, **{name: type_.machine for name, type_ in types.items() if type_.kind == "link"}}
    return {link: linked for link, linked in links.items() if link in machine.outside}


def _driven(execution: Execution, link: str) -> list[Firing]:
    return [each for each in execution.firings if each.entity.name == f"{execution.own.entity.name}{link}."]


def _beside(machine: Machine, accounts: set[str]) -> set[str]:
    """Accounts, and those of the same entity with which they exchange value."""
    found = set(accounts)
    for _ in machine.accounts:
        for line in (line for row in machine.rows.values() for line in row.lines if found & set(line)):
            found |= set(line) & set(machine.accounts)
    return found


def _mirrors(prover: Prover, accounts: set[str], moved: list[Moved], link: str) -> tuple[list[str], list[Moved]]:
    """Those of some accounts whose value still stands in the linked entity; and what does not agree even so.

    Any of them may be. Whoever breaks a choice gives an example, which the next choice has to fit, or it is apart.
    """
    inside = {name: z3.Bool(name) for name in sorted(accounts)}
    agrees = [z3.Bool(f"{at} agrees") for at in range(len(moved))]
    choice = z3.Optimize()
    for each in agrees:
        choice.add_soft(each)
    while choice.check() == z3.sat:
        model = choice.model()
        mirrors = [name for name, term in inside.items() if z3.is_true(model[term])]
        fits = [at for at, each in enumerate(agrees) if z3.is_true(model.eval(each, True))]
        examples = 0
        for at in fits:
            execution, given = moved[at]
            taken, gained = _gain(execution.own, [link, *mirrors]), _gained(execution, link)
            solver = new_solver(*given, taken + gained != 0)
            if solver.check() == z3.sat:
                found, lines = solver.model(), list(zip(execution.own.row.lines, execution.own.done(), strict=True))
                weight = {name: z3.If(term, 1, 0) for name, term in inside.items()} | {link: 1}
                arrives = z3.Sum([ZERO, *(found.eval(value, True) * (weight.get(target, 0) - weight.get(source, 0))
                                          for (source, target), value in lines)])  # fmt: skip
                choice.add(z3.Implies(agrees[at], arrives == found.eval(gained, True)))
                examples += 1
        if not examples:
            prover.figures["value"] += len(fits)
            return mirrors, [each for at, each in enumerate(moved) if at not in fits]
    return [], moved


def _gained(execution: Execution, link: str) -> Term:
    """What the accounts of a linked entity get."""
    return z3.Sum([ZERO, *(_gain(each, each.entity.machine.outside) for each in _driven(execution, link))])


def _agree(
    prover: Prover, execution: Execution, given: list[Term], link: str, linked: str, mirrors: Collection[str]
) -> None:
    """What comes from a linked entity leaves its accounts."""
    own = execution.own
    if not _driven(execution, link) and not mirrors and not any(link in line for line in own.row.lines):
        return
    taken, gained = _gain(own, [link, *mirrors]), _gained(execution, link)
    model = prover.counterexample("value", own.entity.machine, own.place, given, [taken + gained == 0])
    if model is not None:
        here, there = (model.eval(each, True).as_long() for each in (taken, gained))
        what = f"takes {amount(here)} from {link}" if here >= 0 else f"gives {amount(-here)} to {link}"
        gains = there > 0 or (there == 0 and here < 0)
        other = f"gain {amount(there)}" if gains else f"lose {amount(-there)}"
        message = f"{own.command} in {own.entity.state} {what}, but the accounts of that {linked} {other}"
        prover.report("TS306", own.entity.machine, message, *own.place)


def _of_one_machine(execution: Execution, named: Collection[str]) -> Iterator[list[Firing]]:
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

"""For all amounts: what a transition does to the accounts of its own entity.

Nothing falls below zero, neither at once nor while amounts are set aside and calls are open, beside other calls, and
whatever part is confirmed. No move is of less than nothing. And where a life ends, nothing is held. The core's last
check would refuse such a step; here it is shown that no machine needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import z3

from tallystick.check.proof.executions import Execution, Firing
from tallystick.check.proof.lifecycle import Point
from tallystick.check.proof.solver import Prover, satisfiable, values_in_words
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.terms import ZERO, Term
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machine


class _Claims(NamedTuple):
    """What must hold of a transition."""

    kind: str
    code: str
    given: list[Term]
    claims: list[Term]
    broken: str  # what it would do, if one does not hold


def prove_accounts(prover: Prover, known: StateInvariants) -> None:
    """TS303, TS304, TS305 and TS309."""
    machine = known.lifecycle.machine
    fired = set()
    for point, execution, given in known.executions():
        if not satisfiable(given):
            continue
        own = execution.own
        fired.add(own.row.name)
        place = ("transition", own.row.name, "move")
        moved = [each >= 0 for each in own.amounts]
        amounts = _Claims("amounts", "TS304", given, moved, "would move less than nothing")
        for each in (amounts, _below_zero(execution, given), *_ends(machine, point, own, given)):
            model = prover.counterexample(each.kind, machine, place, each.given, each.claims) if each.claims else None
            if model is not None:
                types = machine.commands[own.command].seen
                values = values_in_words(model, own.entity, own.args, types, _names(own))
                message = f"{own.command} in {point.state} {each.broken}: {values}"
                prover.report(each.code, machine, message, *place)
    for name, row in machine.rows.items():
        points = known.lifecycle.points
        reached = any(each.state in row.transition.sources and known.reached(each) for each in points)
        if reached and name not in fired:
            where = " or ".join(row.transition.sources)
            message = f"{name} can never happen: whatever is asked in {where}, its guard or what it drives says no"
            prover.report("TS305", machine, message, "transition", name, "when")


def _below_zero(execution: Execution, given: list[Term]) -> _Claims:
    """Nothing falls below zero: done at once, set aside, confirmed, given back."""
    own, accounts = execution.own, execution.own.entity.accounts
    touched = {name for line in own.row.lines for name in line}
    books = [own.completed(accounts)]
    if execution.calls:
        now = {name: z3.Int(f"now.{name}") for name in accounts}
        aside = z3.Sum([ZERO, *own.amounts])
        sound = [term >= 0 for term in now.values()] + [each >= 0 for each in own.amounts]
        given = [*given, *sound, *([now[IN_DOUBT] >= aside] if IN_DOUBT in now else [])]
        books += [own.aside(accounts), own.confirmed(now), own.given_back(now)]
        touched.add(IN_DOUBT)
    claims = [book[name] >= 0 for book in books for name in accounts if name in touched]
    return _Claims("accounts", "TS303", given, claims, "would take an account below zero")


def _ends(machine: Machine, point: Point, own: Firing, given: list[Term]) -> Iterator[_Claims]:
    """Where a life ends, and after it, nothing is held."""
    transition, accounts = own.row.transition, own.entity.accounts
    ends = ((transition.target or point.state, own.completed(accounts)), (transition.otherwise or "", accounts))
    for state, book in ends:
        if state and machine.states[state].final:
            claims = [book[name] == 0 for name in machine.holding]
            yield _Claims("empty ends", "TS309", given, claims, f"would leave value in {state}, which is final")


def _names(own: Firing) -> set[str]:
    """The names that a counterexample shows."""
    transition = own.row.transition
    looked_at = [transition.guard, *(move.amount for move in transition.moves)]
    return {*own.entity.machine.accounts}.union(*(each.names for each in looked_at if each))

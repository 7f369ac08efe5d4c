"""For all amounts: what a transition does to the accounts of its own entity.

Nothing falls below zero, neither at once nor while amounts are set aside and answers are out, beside other calls, and
whatever part is confirmed. No move is of less than nothing. And where a life ends, nothing is held. The core's last
belt would refuse such a step; here it is shown that no machine needs it.
"""

from __future__ import annotations

import attrs
import z3

from tallystick.check.proof.executions import Accounts, Execution, Firing
from tallystick.check.proof.lifecycle import Point
from tallystick.check.proof.solver import Prover, satisfiable, values_in_words
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.terms import ZERO, Term
from tallystick.definition.machine import IN_DOUBT, Machine


@attrs.frozen(eq=False)
class _Case:
    """One way in which a transition may fire at a point."""

    machine: Machine
    point: Point
    execution: Execution
    given: list[Term]

    @property
    def own(self) -> Firing:
        return self.execution.own

    @property
    def accounts(self) -> Accounts:
        return self.own.entity.accounts


def prove_accounts(prover: Prover, known: StateInvariants) -> None:
    """TS303, TS304, TS305 and TS309."""
    machine = known.lifecycle.machine
    fired = set()
    for point, execution, given in known.executions():
        if satisfiable(given):
            case = _Case(machine, point, execution, given)
            fired.add(case.own.row.name)
            _amounts(prover, case)
            _accounts(prover, case)
            _ends(prover, case)
    for name, row in machine.rows.items():
        points = known.lifecycle.points
        reached = any(each.state in row.transition.sources and known.reached(each) for each in points)
        if reached and name not in fired:
            where = " or ".join(row.transition.sources)
            message = f"{name} can never happen: whatever is asked in {where}, its guard or what it drives says no"
            prover.report("TS305", machine, message, "transition", name, "when")


def _amounts(prover: Prover, case: _Case) -> None:
    """No move is of less than nothing."""
    claims = [each >= 0 for each in case.own.amounts]
    _prove(prover, case, "amounts", "TS304", claims, "would move less than nothing")


def _accounts(prover: Prover, case: _Case) -> None:
    """Nothing falls below zero: done at once, set aside, confirmed, given back."""
    own, accounts = case.own, case.accounts
    touched = {name for line in own.row.lines for name in line}
    books = [own.completed(accounts)]
    given = case.given
    if case.execution.calls:
        now = {name: z3.Int(f"now.{name}") for name in accounts}
        aside = z3.Sum([ZERO, *own.amounts])
        sound = [term >= 0 for term in now.values()] + [each >= 0 for each in own.amounts]
        given = [*given, *sound, *([now[IN_DOUBT] >= aside] if IN_DOUBT in now else [])]
        books += [own.aside(accounts), own.confirmed(now), own.given_back(now)]
        touched.add(IN_DOUBT)
    claims = [book[name] >= 0 for book in books for name in accounts if name in touched]
    _prove(prover, attrs.evolve(case, given=given), "accounts", "TS303", claims, "would leave less than nothing")


def _ends(prover: Prover, case: _Case) -> None:
    """Where a life ends, and after it, nothing is held."""
    transition = case.own.row.transition
    ends = [(transition.target or case.point.state, case.own.completed(case.accounts))]
    ends.append((transition.otherwise or "", case.accounts))
    for state, book in ends:
        if state and case.machine.states[state].final:
            claims = [book[name] == 0 for name in case.machine.holding]
            _prove(prover, case, "empty ends", "TS309", claims, f"would leave value in {state}, which is an end")


def _prove(prover: Prover, case: _Case, kind: str, code: str, claims: list[Term], what: str) -> None:
    if not claims:
        return
    own, machine = case.own, case.machine
    place = ("transition", own.row.name, "move")
    model = prover.counterexample(kind, machine, place, case.given, claims)
    if model is not None:
        types = machine.commands[own.command].arguments
        values = values_in_words(model, own.entity, own.args, types, _names(own))
        prover.report(code, machine, f"{own.command} in {case.point.state} {what}: {values}", *place)


def _names(firing: Firing) -> set[str]:
    """The names that a counterexample about a firing shows."""
    transition = firing.row.transition
    looked_at = [transition.guard, *(move.amount for move in transition.moves)]
    return {*firing.entity.machine.accounts}.union(*(each.names for each in looked_at if each))

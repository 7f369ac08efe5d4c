"""For all amounts: what a transition does to the accounts of its own entity.

Nothing falls below zero, neither at once nor while amounts are set aside and answers are out, side by side with other
calls, whatever part is confirmed. No move is of less than nothing. And where a life ends, nothing is held. The core
refuses such a step by its last belt; here no machine may need it.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import z3

from tallystick.check.proofs.facts import Known
from tallystick.check.proofs.life import Point
from tallystick.check.proofs.solver import Prover, satisfiable, values
from tallystick.check.proofs.steps import Accounts, Act, Firing
from tallystick.check.proofs.terms import Term
from tallystick.definition.machine import IN_DOUBT, Row

_PART = z3.Int("part")


@attrs.frozen(eq=False)
class _Case:
    """One way in which a transition may fire at a point."""

    known: Known
    point: Point
    act: Act
    given: list[Term]

    @property
    def row(self) -> Row:
        return self.act.own.row

    @property
    def accounts(self) -> Accounts:
        return self.act.own.entity.accounts


def keeps(prover: Prover, known: Known) -> None:
    machine = known.life.machine
    fired = set()
    for case in _cases(known):
        fired.add(case.row.name)
        _amounts(prover, case)
        _accounts(prover, case)
        _ends(prover, case)
    for name, row in machine.rows.items():
        reached = [each for each in known.life.points if each.state in row.transition.sources and known.reached(each)]
        if reached and name not in fired:
            where = " or ".join(row.transition.sources)
            message = f"{name} can never happen: whatever is asked in {where}, its guard or what it drives says no"
            prover.told("TS305", machine, message, "transition", name, "when")


def _cases(known: Known) -> Iterator[_Case]:
    life = known.life
    for (state, command), rows in life.machine.table.items():
        world = life.worlds[state]
        for row in rows:
            for act in life.acts(state, row, command):
                for point in life.taking(state, rows):
                    alone = [world.quiet] if row.ends else []
                    given = [*known.at(point), act.when, act.part(_PART), *alone]
                    if known.reached(point) and satisfiable(given):
                        yield _Case(known, point, act, given)


def _amounts(prover: Prover, case: _Case) -> None:
    """No move is of less than nothing."""
    own = case.act.own
    _told(prover, case, "amounts", "TS304", [each >= 0 for each in own.amounts], "would move less than nothing")


def _accounts(prover: Prover, case: _Case) -> None:
    """Nothing falls below zero: done at once, set aside, confirmed, given back."""
    own, accounts = case.act.own, case.accounts
    touched = {name for line in own.row.lines for name in line}
    books = [own.completed(accounts, _PART)]
    given = case.given
    if case.act.calls:
        now = {name: z3.Int(f"now.{name}") for name in accounts}
        aside = z3.Sum([z3.IntVal(0), *own.amounts])
        sound = [term >= 0 for term in now.values()] + [each >= 0 for each in own.amounts]
        given = [*given, *sound, *([now[IN_DOUBT] >= aside] if IN_DOUBT in now else [])]
        books += [own.aside(accounts), own.confirmed(now, _PART), own.given_back(now)]
        touched.add(IN_DOUBT)
    claims = [book[name] >= 0 for book in books for name in accounts if name in touched]
    _told(prover, attrs.evolve(case, given=given), "accounts", "TS303", claims, "would leave less than nothing")


def _ends(prover: Prover, case: _Case) -> None:
    """Where a life ends, and after it, nothing is held."""
    machine, row, own = case.known.life.machine, case.row, case.act.own
    books = []
    if machine.states[row.target or case.point.state].final:
        books.append((row.target or case.point.state, own.completed(case.accounts, _PART)))
    if row.transition.otherwise and machine.states[row.transition.otherwise].final:
        books.append((row.transition.otherwise, case.accounts))
    for state, book in books:
        claims = [book[name] == 0 for name in machine.holding]
        _told(prover, case, "empty ends", "TS309", claims, f"would leave value in {state}, which is an end")


def _told(prover: Prover, case: _Case, kind: str, code: str, claims: list[Term], what: str) -> None:
    if not claims:
        return
    own, machine = case.act.own, case.known.life.machine
    place = ("transition", case.row.name, "move")
    model = prover.proved(kind, machine, place, case.given, claims)
    if model is not None:
        said = values(model, own.entity, own.args, machine.commands[own.command].arguments, matters(own))
        prover.told(code, machine, f"{own.command} in {case.point.state} {what}: {said}", *place)


def matters(firing: Firing) -> set[str]:
    """The names that a counterexample about a firing shows."""
    transition = firing.row.transition
    looked_at = [transition.guard, *(move.amount for move in transition.moves)]
    return {*firing.entity.machine.accounts}.union(*(each.names for each in looked_at if each))

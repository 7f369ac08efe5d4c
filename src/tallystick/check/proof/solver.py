"""Asking the solver, counting what it proved, and reading its counterexamples as people read amounts.

A claim is proved by asking for values that break it: there are none, or here they are, or the solver does not know.
That it does not know is a finding of its own; it is never taken for a proof.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs
import z3

from tallystick.check.finding import Finding, finding
from tallystick.check.proof import terms
from tallystick.check.proof.terms import Entity, Term, Value
from tallystick.check.wording import amount
from tallystick.definition.expression import MONEY, Type
from tallystick.definition.machine import Machine

PATIENCE = 10_000_000  # the solver's own steps for one question: it counts work, not time
_SMALL = (10, 1000, 10**6)  # a counterexample is looked for in cents before it is looked for in millions


class Undecided(Exception):
    """The solver gave up."""


@attrs.define
class Prover:
    """What was found, and how much was proved."""

    findings: list[Finding] = attrs.field(factory=list)
    figures: Counter[str] = attrs.field(factory=Counter)  # kind of proof → how many claims

    def report(self, code: str, machine: Machine, message: str, *place: str, decided: bool = True) -> None:
        """Keep a finding, once."""
        found = finding(code, machine, message, *place, decided=decided)
        if found not in self.findings:
            self.findings.append(found)

    def report_undecided(self, kind: str, machine: Machine, place: tuple[str, ...]) -> None:
        where = " ".join(place[1:2]) or "the machine"
        self.report("TS310", machine, f"the solver could not decide: {kind} of {where}", *place, decided=False)

    def counterexample(
        self, kind: str, machine: Machine, place: tuple[str, ...], given: Sequence[Term], claims: Sequence[Term]
    ) -> Term | None:
        """Values that break one of `claims` though `given` is true.

        None if all claims follow, which is counted as proved; and if the solver does not know, which is reported.
        """
        solver = new_solver(*given, z3.Not(z3.And(list(claims))))
        answer = solver.check()
        if answer == z3.unknown:
            self.report_undecided(kind, machine, place)
            return None
        self.figures[kind] += len(claims) if answer == z3.unsat else 0
        return None if answer == z3.unsat else _small(solver)


def new_solver(*given: Term) -> Term:
    solver = z3.Solver()
    solver.set("rlimit", PATIENCE)
    solver.add(*given)
    return solver


def satisfiable(given: Sequence[Term]) -> bool:
    """Whether there are values for which all this is true, or may be."""
    return bool(new_solver(*given).check() != z3.unsat)


def _small(solver: Term) -> Term:
    """The values that the solver has found; small ones, if there are any."""
    model = solver.model()
    amounts = [name() for name in model.decls() if name.arity() == 0 and name.range() == z3.IntSort()]
    for bound in _SMALL:
        solver.push()
        solver.add(*(z3.And(-bound <= each, each <= bound) for each in amounts))
        if solver.check() == z3.sat:
            return solver.model()
        solver.pop()
    return model


# For people


def values_in_words(
    model: Term, entity: Entity, args: Mapping[str, Value], types: Mapping[str, Type], names: Iterable[str]
) -> str:
    """`amount 7.00, held 5.00, last yes`, of these names."""
    values = {name: (value, entity.machine.facts[name].type) for name, value in entity.facts.items()}
    values |= {name: (Value(term), MONEY) for name, term in entity.accounts.items()}
    values |= {name: (value, types[name]) for name, value in args.items()}
    found = [f"{name} {_value_in_words(model, *values[name])}" for name in sorted(names) if name in values]
    return ", ".join(found) or "any values"


def _value_in_words(model: Term, value: Value, type_: Type) -> str:
    if not z3.is_true(model.eval(value.there, model_completion=True)):
        return "none"
    found = model.eval(value.term, model_completion=True)
    match type_.kind:
        case "flag":
            return "yes" if z3.is_true(found) else "no"
        case "money":
            return amount(found.as_long())
        case "count":
            return str(found.as_long())
        case "time":
            return f"time {found.as_long()}"
        case "secret":
            return "•••"
    return terms.text_of(found.as_long()) or "given"

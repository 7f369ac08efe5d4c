"""Asking the solver, counting what it proved, and reading its counterexamples as people read amounts.

A claim is proved by asking for values that break it: there are none, or here they are, or the solver does not know. Not
knowing is told like a fault; it is never taken for a proof.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs
import z3

from tallystick.check.finding import Finding, finding
from tallystick.check.proofs import terms
from tallystick.check.proofs.terms import Entity, Term, Value
from tallystick.definition.expression import MONEY, Type
from tallystick.definition.machine import Machine

PATIENCE = 10_000  # thousands of the solver's own steps for one question: it counts work, not time
_SMALL = (10, 1000, 10**6)  # a counterexample is looked for in cents before it is looked for in millions

Place = tuple[str, ...]


class Undecided(Exception):
    """The solver gave up."""


@attrs.define
class Prover:
    findings: list[Finding] = attrs.field(factory=list)
    figures: Counter[str] = attrs.field(factory=Counter)

    def told(self, code: str, machine: Machine, message: str, *place: str) -> None:
        found = finding(code, machine, message, *place)
        if found not in self.findings:
            self.findings.append(found)

    def proved(
        self, kind: str, machine: Machine, place: Place, given: Sequence[Term], claims: Sequence[Term]
    ) -> Term | None:
        """None if all `claims` follow from `given`, or if that is not known, which is told; else what breaks one."""
        try:
            model = counterexample(given, z3.And(list(claims)))
        except Undecided:
            self.undecided(kind, machine, place)
            return None
        self.figures[kind] += len(claims) if model is None else 0
        return model

    def undecided(self, kind: str, machine: Machine, place: Place) -> None:
        where = " ".join(place[1:2]) or "the machine"
        self.told("TS310", machine, f"whether {where} has {kind} for all amounts could not be decided", *place)


def satisfiable(given: Sequence[Term]) -> bool:
    """Whether there are values for which all this is true, or may be."""
    solver = z3.Solver()
    solver.set("rlimit", PATIENCE * 1000)
    solver.add(*given)
    return bool(solver.check() != z3.unsat)


def counterexample(given: Sequence[Term], claim: Term) -> Term | None:
    """Values, small ones if possible, for which `given` is true and `claim` is not.

    Raises:
        Undecided: the solver does not know whether there are any.
    """
    solver = z3.Solver()
    solver.set("rlimit", PATIENCE * 1000)
    solver.add(*given, z3.Not(claim))
    match solver.check():
        case z3.unsat:
            return None
        case z3.unknown:
            raise Undecided
    return _small(solver)


def _small(solver: Term) -> Term:
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


def shown(model: Term, value: Value, type_: Type) -> str:
    """A value in a counterexample, as a person reads it."""
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
        case "secret":
            return "•••"
    return terms.text_of(found.as_long()) or "given"


def amount(minor: int) -> str:
    """Minor units with two decimals, whatever their size."""
    sign = "-" if minor < 0 else ""
    whole, cents = divmod(abs(minor), 100)
    return f"{sign}{whole}.{cents:02}"


def values(
    model: Term, entity: Entity, args: Mapping[str, Value], types: Mapping[str, Type], names: Iterable[str]
) -> str:
    """`held 5.00, amount 7.00, last yes`, of the names that matter."""
    said = []
    for name in sorted(names):
        if name in args:
            said.append(f"{name} {shown(model, args[name], types[name])}")
        elif name in entity.accounts:
            said.append(f"{name} {shown(model, Value(entity.accounts[name]), MONEY)}")
        elif name in entity.facts:
            said.append(f"{name} {shown(model, entity.facts[name], entity.machine.facts[name].type)}")
    return ", ".join(said) or "any values"

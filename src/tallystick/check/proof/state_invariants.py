"""What holds at each point of a life, found by the solver: in `requested` held is 0, in `suspended` was is given.

Without it little can be proved: a guard that compares with an account means nothing if the account may hold anything.
Nobody has to write it down. Every simple statement about an account or a fact (it is 0, it is not below 0, it is given,
it is this choice, it is no more than that account) is first believed of every point. Then the solver is asked of each
step that can happen whether it can break what is believed of the point to which it leads. What it breaks is dropped,
until nothing breaks any more. What is left holds at every point of every life: it holds at the beginning, and every
step keeps it. (The method is known as Houdini.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import z3

from tallystick.check.expressions import numbers
from tallystick.check.proof import terms
from tallystick.check.proof.executions import Accounts, Execution
from tallystick.check.proof.lifecycle import Lifecycle, Point, Step, Subject
from tallystick.check.proof.solver import Undecided, new_solver
from tallystick.check.proof.terms import Term, Value
from tallystick.definition.machine import Machine


@attrs.frozen
class Statement:
    """Something simple that may hold at a point."""

    about: str  # an account or a fact
    says: str  # is 0 · is more than 0 · is not below 0 · is given · is not given · is true · is false · is never CHOICE
    most: str = ""  # or: is no more than this account; is at most, or at least, this number

    def holds(self, accounts: Accounts, facts: Mapping[str, Value]) -> Term:
        """That it holds of an entity with these accounts and facts."""
        if self is NEVER_HERE:
            return terms.NO
        value = Value(accounts[self.about]) if self.about in accounts else facts[self.about]
        match self.says:
            case "is 0":
                return value.term == 0
            case "is more than 0":
                return _if_given(value, value.term > 0)
            case "is not below 0":
                return _if_given(value, value.term >= 0)
            case "is no more than":
                return _if_given(value, value.term <= accounts[self.most])
            case "is at most":
                return _if_given(value, value.term <= int(self.most))
            case "is at least":
                return _if_given(value, value.term >= int(self.most))
            case "is given":
                return value.there
            case "is not given":
                return z3.Not(value.there)
            case "is true":
                return value.term
            case "is false":
                return z3.Not(value.term)
        return z3.Not(terms.equal(value, terms.text(self.says.removeprefix("is never "))))

    def __str__(self) -> str:
        return f"{self.about} {self.says} {self.most}".rstrip()


def _if_given(value: Value, claim: Term) -> Term:
    return claim if value.there is terms.YES else z3.Or(z3.Not(value.there), claim)


NEVER_HERE = Statement("it", "is never here")


class StateInvariants:
    """What holds at each point of a machine's life."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        """
        Raises:
            Undecided: the solver gave up.
        """
        self.lifecycle = lifecycle
        every = [NEVER_HERE, *_statements(lifecycle.machine)]
        self._believed = dict.fromkeys(lifecycle.points, every)
        self._believed[lifecycle.first] = [each for each in every if _at_first(lifecycle.machine, each)]
        self._settle([_StepTerms(step) for step in lifecycle.steps()])
        self.proofs = sum(len(found) for point, found in self._believed.items() if self.reached(point))

    def reached(self, point: Point) -> bool:
        """Whether any life may come to a point."""
        return NEVER_HERE not in self._believed[point]

    def statements(self, point: Point) -> list[Statement]:
        return self._believed[point]

    def at(self, point: Point, subject: Subject | None = None) -> list[Term]:
        """All that is known of an entity at a point."""
        subject = subject or self.lifecycle.subjects[point.state]
        return [*self.lifecycle.at(point, subject), *(_claim(subject, each) for each in self._believed[point])]

    def executions(self) -> Iterator[tuple[Point, Execution, list[Term]]]:
        """All that an entity may do, at each point, with what is known of it then, whatever calls of it are open."""
        lifecycle = self.lifecycle
        for (state, command), rows in lifecycle.machine.table.items():
            points = [point for point in lifecycle.taking(state, rows) if self.reached(point)]
            for row in rows:
                alone = [lifecycle.subjects[state].quiet] if row.ends else []  # nothing ends while a call is open
                for each in lifecycle.executions(state, row, command):
                    for point in points:
                        yield point, each, [*self.at(point), each.when, each.part_is_possible(), *alone]

    # The search

    def _settle(self, steps: list[_StepTerms]) -> None:
        waiting = {step.step.source for step in steps}
        while waiting:
            changed = set()
            for step in steps:
                if waiting & step.needs and self._drop(step):
                    changed.add(step.step.target)
            waiting = changed

    def _drop(self, terms_: _StepTerms) -> bool:
        """Drop what the step breaks of what is believed of the point to which it leads; whether there is any."""
        step, target = terms_.step, terms_.step.target
        if not self.reached(step.source) or not self._open(terms_):
            return False
        solver = new_solver(*self.at(step.source, step.before), *terms_.happens)
        if step.asked:
            solver.add(*self.at(*step.asked))
        dropped = False
        while statements := self._open(terms_):
            solver.push()
            solver.add(z3.Not(z3.And([terms_.claim(each) for each in statements])))
            answer = solver.check()
            if answer == z3.unknown:
                raise Undecided
            if answer == z3.unsat:
                break
            model = solver.model()
            solver.pop()
            broken = {each for each in statements if not z3.is_true(model.eval(terms_.claim(each), True))}
            self._believed[target] = [each for each in self._believed[target] if each not in broken]
            dropped = True
        return dropped

    def _open(self, terms_: _StepTerms) -> list[Statement]:
        """What is believed of the target, without what held before and was not touched: that still holds."""
        before = self._believed[terms_.step.source]
        return [each for each in self._believed[terms_.step.target] if terms_.touches(each) or each not in before]


def _claim(subject: Subject, statement: Statement) -> Term:
    return subject.once(statement, lambda: statement.holds(subject.entity.accounts, subject.entity.facts))


class _StepTerms:
    """A step, with its terms made once."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.needs = {step.source, step.asked[0]} if step.asked else {step.source}
        self.happens = [*step.when, *(term >= 0 for term in step.accounts.values())]  # `accounts` proves that it is so
        self._claims: dict[Statement, Term] = {}

    def touches(self, statement: Statement) -> bool:
        """Whether the step changes what a statement is about."""
        name, before = statement.about, self.step.before.entity
        if (
            statement.most in before.accounts
            and self.step.accounts[statement.most] is not before.accounts[statement.most]
        ):
            return True
        if name in before.accounts:
            return self.step.accounts[name] is not before.accounts[name]
        return name in before.facts and self.step.facts[name] is not before.facts[name]

    def claim(self, statement: Statement) -> Term:
        """That a statement holds after the step."""
        if statement not in self._claims:
            self._claims[statement] = statement.holds(self.step.accounts, self.step.facts)
        return self._claims[statement]


def _statements(machine: Machine) -> Iterator[Statement]:
    written = numbers(row.transition.guard for row in machine.rows.values() if row.transition.guard)
    sets = {name for row in machine.rows.values() for name in row.transition.sets}
    for name in machine.accounts:
        yield Statement(name, "is 0")
        yield Statement(name, "is more than 0")
    for name, fact in machine.facts.items():
        type_, numeric = fact.type, fact.type.kind in ("money", "count")
        says = ["is given", "is not given"] if type_.optional else ["is 0"] if numeric else []
        says += ["is more than 0", "is not below 0"] if numeric else []
        says += ["is true", "is false"] if type_.kind == "flag" and not type_.optional else []
        says += [f"is never {choice}" for choice in type_.choices]
        yield from (Statement(name, each) for each in says)
        if type_.kind == "money":
            yield from (Statement(name, "is no more than", account) for account in machine.accounts)
        if type_.kind == "count" and name in sets:  # a guard bounds it: before the step, or after it
            yield from (Statement(name, "is at most", str(each + more)) for each in written for more in (0, 1))
            yield from (Statement(name, "is at least", str(each - less)) for each in written for less in (0, 1))


def _at_first(machine: Machine, statement: Statement) -> bool:
    """Whether a statement holds of every entity that was just made: accounts are 0, facts set later have defaults."""
    if statement.about in machine.accounts:
        return statement.says == "is 0"
    fact = machine.facts.get(statement.about)
    if fact is None or not fact.later:
        return False
    match fact.default:
        case None:
            return statement.says not in ("is given", "is 0", "is true", "is false")  # the others say: if it is given
        case bool(value):
            return statement.says == f"is {str(value).lower()}"
        case int(value):  # accounts are 0
            holds = {"is 0": value == 0, "is more than 0": value > 0, "is not below 0": value >= 0}
            holds["is no more than"] = value <= 0
            if statement.says in ("is at most", "is at least"):
                bound = int(statement.most)
                holds[statement.says] = value <= bound if statement.says == "is at most" else value >= bound
            return holds.get(statement.says, False)
        case value:
            return statement.says.startswith("is never ") and statement.says != f"is never {value}"

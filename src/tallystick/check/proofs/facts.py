"""What holds at each point of a life, found by the solver: in `requested` held is 0, in `suspended` was is given.

Without it little can be proved: a guard that compares with an account means nothing if the account may hold anything.
Nobody has to write it down. Every simple statement about an account or a fact (it is 0, it is not below 0, it is given,
it is this choice, it is no more than that account) is first believed of every point. Then each step that can happen is
asked whether it can break what is believed of the point it leads to, and what it breaks is dropped, until nothing
breaks any more. What is left holds at every point of every life: it holds at the beginning and every step keeps it
(the method is known as Houdini).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import z3

from tallystick.check.proofs import terms
from tallystick.check.proofs.life import Life, Point, Step, World
from tallystick.check.proofs.solver import PATIENCE, Undecided
from tallystick.check.proofs.steps import Accounts
from tallystick.check.proofs.terms import Term, Value
from tallystick.definition.machine import Fact, Machine


@attrs.frozen
class Statement:
    """Something simple that may hold at a point, of an account or a fact."""

    about: str
    says: str  # is 0 · is more than 0 · is not below 0 · is given · is not given · is true · is false · is never CHOICE
    most: str = ""  # or: is no more than this account

    def holds(self, accounts: Accounts, facts: Mapping[str, Value]) -> Term:
        if self is NOWHERE:
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


def _if_given(value: Value, said: Term) -> Term:
    return said if value.there is terms.YES else z3.Or(z3.Not(value.there), said)


NOWHERE = Statement("it", "is never here")


class Known:
    """What holds at each point of a machine's life."""

    def __init__(self, life: Life) -> None:
        self.life = life
        everything = [NOWHERE, *_statements(life.machine)]
        self._believed = dict.fromkeys(life.points, everything)
        self._believed[life.first] = [each for each in everything if _at_first(life.machine, each)]
        self._settle([_Kept(step) for step in life.steps()])
        self.proofs = sum(len(said) for point, said in self._believed.items() if self.reached(point))

    def reached(self, point: Point) -> bool:
        return NOWHERE not in self._believed[point]

    def statements(self, point: Point) -> list[Statement]:
        return self._believed[point]

    def at(self, point: Point, world: World | None = None) -> list[Term]:
        """All that is known of an entity at a point."""
        world = world or self.life.worlds[point.state]
        return [*self.life.at(point, world), *(_said(world, each) for each in self._believed[point])]

    def _settle(self, steps: list[_Kept]) -> None:
        waiting = {step.step.source for step in steps}
        while waiting:
            changed = set()
            for kept in steps:
                if waiting & kept.needs and self._drop(kept):
                    changed.add(kept.step.target)
            waiting = changed

    def _drop(self, kept: _Kept) -> bool:
        """Whether the step breaks something believed of the point that it leads to; if so, that is dropped."""
        step, target = kept.step, kept.step.target
        if not self.reached(step.source) or not self._open(kept):
            return False
        solver = z3.Solver()
        solver.set("rlimit", PATIENCE * 1000)
        solver.add(*self.at(step.source, step.before), *kept.happens)
        if step.asked:
            solver.add(*self.at(*step.asked))
        dropped = False
        while claims := self._open(kept):
            solver.push()
            solver.add(z3.Not(z3.And([kept.claim(each) for each in claims])))
            answer = solver.check()
            if answer == z3.unknown:
                raise Undecided
            if answer == z3.unsat:
                break
            model = solver.model()
            solver.pop()
            broken = {each for each in claims if not z3.is_true(model.eval(kept.claim(each), True))}
            self._believed[target] = [each for each in self._believed[target] if each not in broken]
            dropped = True
        return dropped

    def _open(self, kept: _Kept) -> list[Statement]:
        """What is believed of the target and does not hold just because it held before and was not touched."""
        before = self._believed[kept.step.source]
        return [each for each in self._believed[kept.step.target] if kept.touches(each) or each not in before]


def _said(world: World, statement: Statement) -> Term:
    return world.once(statement, lambda: statement.holds(world.entity.accounts, world.entity.facts))


class _Kept:
    """A step, with its terms made once."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.needs = {step.source, step.asked[0]} if step.asked else {step.source}
        sound = [term >= 0 for term in step.accounts.values()]  # that this is so is proved for itself
        self.happens = [*step.when, *sound]
        self._claims: dict[Statement, Term] = {}

    def touches(self, statement: Statement) -> bool:
        name, before = statement.about, self.step.before.entity
        if statement.most and self.step.accounts[statement.most] is not before.accounts[statement.most]:
            return True
        if name in before.accounts:
            return self.step.accounts[name] is not before.accounts[name]
        return name in before.facts and self.step.facts[name] is not before.facts[name]

    def claim(self, statement: Statement) -> Term:
        if statement not in self._claims:
            self._claims[statement] = statement.holds(self.step.accounts, self.step.facts)
        return self._claims[statement]


def _statements(machine: Machine) -> Iterator[Statement]:
    for name in machine.accounts:
        yield Statement(name, "is 0")
        yield Statement(name, "is more than 0")
    for name, fact in machine.facts.items():
        yield from (Statement(name, says) for says in _sayings(fact))
        if fact.type.kind == "money":
            yield from (Statement(name, "is no more than", account) for account in machine.accounts)


def _sayings(fact: Fact) -> Iterator[str]:
    if fact.type.optional:
        yield from ("is given", "is not given")
    elif fact.type.kind in ("money", "count"):
        yield "is 0"
    if fact.type.kind in ("money", "count"):
        yield from ("is more than 0", "is not below 0")
    elif not fact.type.optional and fact.type.kind == "flag":
        yield from ("is true", "is false")
    yield from (f"is never {choice}" for choice in fact.type.choices)


def _at_first(machine: Machine, statement: Statement) -> bool:
    """Whether a statement holds of every entity that was just made: accounts are 0, facts set later have defaults."""
    if statement.about in machine.accounts:
        return statement.says == "is 0"
    fact = machine.facts.get(statement.about)
    if fact is None or not fact.later:
        return False
    match fact.default:
        case None:
            return statement.says not in ("is given", "is 0", "is true", "is false")  # the rest is said if it is given
        case bool(value):
            return statement.says == f"is {str(value).lower()}"
        case int(value):  # accounts are 0
            said = {"is 0": value == 0, "is more than 0": value > 0, "is not below 0": value >= 0}
            return said.get(statement.says, value <= 0 and statement.says == "is no more than")
        case value:
            return statement.says.startswith("is never ") and statement.says != f"is never {value}"

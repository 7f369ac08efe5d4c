"""For all amounts: a strategy that brings every life to its end, because a number falls with every step of it.

A strategy says what to ask for next. It gives the arguments as terms, such as all that an account holds. So nothing has
to be worked out but whether, wherever an entity may be, one of these steps is taken and leads to a state from which it
ends, or makes a *rank* fall that is never below nothing: what is still held, each account weighted by how many moves it
is from leaving, or what a count still lacks. A state from which every step leads on so ends, however often it has to be
done: a card is emptied piece by piece, and the tenth stamp comes after the ninth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice, product

import attrs
import z3

from tallystick.check.expressions import numbers
from tallystick.check.proof import terms
from tallystick.check.proof.executions import Firing
from tallystick.check.proof.solver import satisfiable
from tallystick.check.proof.terms import ZERO, Entity, Term, Value
from tallystick.definition.expression import NOW, Type
from tallystick.definition.machine import Machine

MOST_WAYS = 60  # to give the arguments of one command

Rank = Callable[[Mapping[str, Term], Mapping[str, Value]], Term]  # of accounts and facts


@attrs.frozen(eq=False)
class Way:
    """A transition from one state, wholly confirmed."""

    state: str
    firing: Firing
    answered: Term  # that it answers
    willing: Callable[[], Term]  # that what it drives takes its part; worked out when it is first asked for

    @property
    def target(self) -> str:
        return self.firing.row.target or self.state


Taken = tuple[Term, Mapping[str, Term], Mapping[str, Value]]  # that it is taken; accounts and facts afterwards


class Strategy:
    """Which states every life can be brought to an end from; `found` is complete once it is made."""

    def __init__(
        self, machine: Machine, ways: list[Way], here: Callable[[str], list[Term]], over: Mapping[str, Term]
    ) -> None:
        """`here`: what is known of an entity in a state. `over`: for each state, with which values it is at its end."""
        self._machine, self._ways, self._here, self._over = machine, ways, here, over
        self._known: dict[Way, list[Taken]] = {}
        self.found = {state for state, term in over.items() if z3.is_true(term)}
        simple = [way for way in ways if not way.firing.row.transition.drives]
        tries = list(product(_ranks(machine), (simple, ways)))
        while len(self.found) < len(over) and any(self._grows(*each) for each in tries):
            pass

    def _grows(self, rank: Rank, ways: list[Way]) -> bool:
        """Add the states that can end if they lead to each other only as the rank falls; whether there are any."""
        far = _distances(self._ways, self.found)
        group = sorted(set(self._over) - self.found, key=lambda state: far.get(state, len(far)))
        while group:
            first: set[str] = set()  # states of the group that others may lead to while the rank stays
            while sum(self._gets_on(each, group, first, rank, ways) for each in group if each not in first):
                pass
            if len(first) == len(group):
                self.found.update(group)
                return True
            group = [each for each in group if each in first]
        return False

    def _gets_on(self, state: str, group: list[str], first: set[str], rank: Rank, ways: list[Way]) -> bool:
        """Whether every life in a state leads to an end, or to the group with a lower rank; or with none higher, if it
        leads to one of those that do so (`first`), of which the state is one then.
        """
        leads = [self._over[state]]
        for way in ways:
            target, entity, at_end = way.target, way.firing.entity, self._over[way.target]
            if way.state != state or (target not in self.found and target not in group and z3.is_false(at_end)):
                continue
            for when, accounts, facts in self._taken(way):
                on = [terms.YES if target in self.found else z3.substitute(at_end, *_after(entity, accounts, facts))]
                if target in group:
                    before, after = rank(entity.accounts, entity.facts), rank(accounts, facts)
                    on.append(z3.And(after >= 0, after <= before if target in first else after < before))
                leads.append(z3.And(when, z3.Or(on)))
        if len(leads) == 1 or satisfiable([*self._here(state), z3.Not(z3.Or(leads))]):
            return False
        first.add(state)
        return True

    def _taken(self, way: Way) -> list[Taken]:
        if way not in self._known:
            self._known[way] = list(_taken(self._machine, way))
        return self._known[way]


def _after(entity: Entity, accounts: Mapping[str, Term], facts: Mapping[str, Value]) -> list[tuple[Term, Term]]:
    pairs = [(entity.accounts[name], term) for name, term in accounts.items() if term is not entity.accounts[name]]
    for name, value in facts.items():
        old = entity.facts[name]
        if value is not old and old.term.sort() == value.term.sort():
            pairs.append((old.term, value.term))
            pairs += [(old.there, value.there)] if old.there is not terms.YES else []
    return pairs


def _distances(ways: list[Way], found: set[str]) -> dict[str, int]:
    """How many transitions a state is from one that ends, at least."""
    far = dict.fromkeys(found, 0)
    for _ in range(len(ways)):
        for way in ways:
            if way.target in far:
                far[way.state] = min(far.get(way.state, len(ways)), far[way.target] + 1)
    return far


# What is asked for


def _taken(machine: Machine, way: Way) -> Iterator[Taken]:
    firing, guard = way.firing, z3.And(way.answered, way.willing())
    accounts, facts = firing.completed(firing.entity.accounts), firing.facts()
    types = machine.commands[firing.command].arguments
    named = _named(firing)
    choices = [
        [(fresh, value) for value in _given(machine, firing, name, type_, read=name in named)]
        for name, type_ in types.items()
        for fresh in [terms.fresh(f"{firing.entity.name}{firing.command}({name})", type_)]
    ]
    if machine.commands[firing.command].timed:  # as it is, whenever it is asked; or one waits until it is late enough
        now = Value(z3.Int(NOW))
        choices.insert(0, [(now, now), (now, Value(_later(firing.entity)))])
    for way_ in islice(product(*choices), MOST_WAYS):
        pairs = [(fresh.term, value.term) for fresh, value in way_]
        pairs += [(fresh.there, value.there) for fresh, value in way_ if fresh.there is not terms.YES]
        yield (
            z3.substitute(guard, *pairs),
            {name: z3.substitute(term, *pairs) for name, term in accounts.items()},
            {name: Value(z3.substitute(each.term, *pairs), z3.substitute(each.there, *pairs))
             for name, each in facts.items()},
        )  # fmt: skip


def _named(firing: Firing) -> set[str]:
    """What the guard and the moves look at, and what they take from."""
    transition = firing.row.transition
    parts = [transition.guard, *(move.amount for move in transition.moves), *transition.sets.values()]
    parts += [value for drive in transition.drives for value in drive.arguments.values()]
    return {name for part in parts if part for name in part.names} | {move.source for move in transition.moves}


def _given(machine: Machine, firing: Firing, name: str, type_: Type, *, read: bool) -> list[Value]:
    """What may be given as an argument: all of an account, what a fact says, each choice, or the least there is."""
    entity, named = firing.entity, _named(firing)
    none = [terms.NONE] if type_.optional else []
    same = [value for fact, value in entity.facts.items() if machine.facts[fact].type.kind == type_.kind]
    match type_.kind:
        case "money" if read:
            accounts = [Value(term) for account, term in entity.accounts.items() if account in named]
            facts = [value for fact, value in entity.facts.items()
                     if fact in named and machine.facts[fact].type.kind == "money"]  # fmt: skip
            return [*accounts, *facts, Value(z3.IntVal(1)), Value(ZERO), *none]
        case "money" | "count":
            return [Value(z3.IntVal(1)), *none]
        case "flag":
            flags = [Value(terms.NO), Value(terms.YES)] if read else [Value(terms.NO)]
            return [*flags, *([Value(terms.NO, terms.NO)] if none else [])]
        case "time":
            later = _later(entity)
            return [Value(later), Value(later + 1), *(same if read else []), *none]
        case "choice":
            return [*map(terms.text, type_.choices), *none]
    return [*none, *(same if read else []), terms.text("x")]


def _later(entity: Entity) -> Term:
    """A moment after all those that an entity knows."""
    later = ZERO
    for name, fact in entity.machine.facts.items():
        if fact.type.kind == "time":
            value = entity.facts[name]
            later = z3.If(z3.And(value.there, value.term >= later), value.term + 1, later)
    return later


# What falls


def _ranks(machine: Machine) -> Iterator[Rank]:
    weights = _weights(machine)

    def held(accounts: Mapping[str, Term], facts: Mapping[str, Value]) -> Term:
        return z3.Sum([ZERO, *(weight * accounts[name] for name, weight in weights.items())])

    yield held
    written = numbers(part for row in machine.rows.values() for part in [row.transition.guard] if part)
    for name, fact in machine.facts.items():
        if fact.type.kind == "count" and any(name in row.transition.sets for row in machine.rows.values()):
            yield from (_missing(name, Value(z3.IntVal(most)), 1) for most in written)
            yield _missing(name, Value(ZERO), -1)
            for other, its in machine.facts.items():
                if other != name and its.type.kind == "count":
                    yield lambda _, facts, name=name, other=other: facts[other].term - facts[name].term  # type: ignore[misc]


def _missing(name: str, most: Value, sign: int) -> Rank:
    """What a count still lacks of a number, or has above it."""
    return lambda _, facts: sign * (most.term - facts[name].term)


def _weights(machine: Machine) -> dict[str, int]:
    """For each account, how many moves it is from leaving the entity."""
    leads: dict[str, set[str]] = {name: set() for name in machine.accounts}
    for row in machine.rows.values():
        for source, target in row.lines:
            if source in leads:
                leads[source].add(target)
    far = {name: len(leads) + 1 for name in leads}
    for _ in leads:
        for name, targets in leads.items():
            near = [far.get(target, 0) for target in targets]
            far[name] = min([far[name], *(each + 1 for each in near)])
    return {name: weight for name, weight in far.items() if name in machine.holding or not machine.holding}

"""What a command does, once for all values: the core's steps with terms in the place of numbers.

A *firing* is one transition of one entity. An *execution* is all the firings that happen together because one drives
another. As in the core, an execution without a call is done at once. One with a call sets every amount aside, and the
answer then moves each on or back, whatever has happened to the entity in between. The postings are those of the
compiled page: `Row.post` and `resolve.post` do their sums with terms as they do them with numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

import attrs
import z3

from tallystick.check.proof import terms
from tallystick.check.proof.terms import Entity, Term, Value
from tallystick.core.entity import Posting
from tallystick.core.resolve import post
from tallystick.definition.declared import IN_DOUBT, Drive, RefusedOnPurpose
from tallystick.definition.machine import Machines, Row

Accounts = Mapping[str, Term]
PART = z3.Int("part")  # what the provider confirms, where it may confirm less


@attrs.frozen(eq=False)
class Firing:
    """One transition of one entity."""

    entity: Entity
    row: Row
    command: str
    args: Mapping[str, Value]  # the partial one is no more than `upto`
    amounts: tuple[Term, ...]  # of its moves
    partial: str | None  # the argument of which less may be confirmed
    who: Term  # the entity itself, as links name it

    @property
    def place(self) -> tuple[str, ...]:
        """Where it stands on the page."""
        return ("transition", self.row.name, "drive" if self.row.transition.drives else "move")

    def done(self) -> tuple[Term, ...]:
        """The amounts that are confirmed."""
        return self.amounts if self.partial is None else tuple(PART for _ in self.amounts)

    def completed(self, accounts: Accounts) -> Accounts:
        """The accounts once it has happened at once."""
        return _posted(accounts, list(self.row.lines), self.done())

    def aside(self, accounts: Accounts) -> Accounts:
        """The accounts once every amount is set aside."""
        return _posted(accounts, [(source, IN_DOUBT) for source, _ in self.row.lines], self.amounts)

    def confirmed(self, accounts: Accounts) -> Accounts:
        """The accounts, such as they are by now, once the answer is yes."""
        done = self.done()
        rest = [whole - each for whole, each in zip(self.amounts, done, strict=True)]
        forth = _posted(accounts, [(IN_DOUBT, target) for _, target in self.row.lines], done)
        return _posted(forth, [(IN_DOUBT, source) for source, _ in self.row.lines], rest)

    def given_back(self, accounts: Accounts) -> Accounts:
        """The accounts, such as they are by now, once the answer is no."""
        return _posted(accounts, [(IN_DOUBT, source) for source, _ in self.row.lines], self.amounts)

    def facts(self, current: Entity | None = None) -> dict[str, Value]:
        """The facts afterwards. `current`: the entity as it is by now, if it is not as it was."""
        entity = current or self.entity
        args = self.args if self.partial is None else {**self.args, self.partial: Value(PART)}
        places = entity.places(args, terms.outcome(f"{entity.name}{self.row.name}."))
        sets = self.row.transition.sets.items()
        return {**entity.facts, **{name: terms.evaluated(value.code, places) for name, value in sets}}


@attrs.frozen(eq=False)
class Execution:
    """Firings that happen together."""

    firings: tuple[Firing, ...]  # of the entity that got the command first, then of those that it drives
    when: Term  # all guards, and that what is linked is there

    @property
    def own(self) -> Firing:
        """Of the entity that got the command."""
        return self.firings[0]

    @property
    def calls(self) -> bool:
        """Whether the provider is asked."""
        return any(firing.row.ask for firing in self.firings)

    def part_is_possible(self) -> Term:
        """That the provider may confirm `PART`: all, or less but not nothing, which would be a no."""
        whole = next((firing.args[firing.partial].term for firing in self.firings if firing.partial), None)
        return terms.YES if whole is None else z3.Or(whole == PART, z3.And(PART > 0, whole >= PART))


def _posted(accounts: Accounts, lines: Sequence[tuple[str, str]], amounts: Sequence[Term]) -> Accounts:
    return post(accounts, [Posting(*line, amount) for line, amount in zip(lines, amounts, strict=True)])


def answered_by(entity: Entity, row: Row, command: str, args: Mapping[str, Value]) -> Term:
    """That the transition's guard is true, and no refusal with a guard stands before it."""
    places = entity.places(args)
    refused = [terms.truth(each.guard, places) for each in refusals(entity, command)]
    return z3.And(terms.truth(row.transition.guard, places), *(z3.Not(each) for each in refused))


def refusals(entity: Entity, command: str) -> tuple[RefusedOnPurpose, ...]:
    """The refusals with a guard."""
    return entity.machine.refused.get((entity.state, command), ())


def executions(machines: Machines, entity: Entity, row: Row, command: str) -> Iterator[Execution]:
    """All that may happen when `row` answers `command`: one execution for each way of what it drives."""
    args, typed = terms.arguments(entity.machine, command, entity.name)
    for each in _executions(machines, entity, row, command, args, z3.Int(f"{entity.name}who")):
        yield attrs.evolve(each, when=z3.And(typed, each.when, *_different(each)))


def _different(execution: Execution) -> Iterator[Term]:
    """That two entities of one machine, driven by one command, are different ones: else the core refuses it."""
    for one, other in combinations(execution.firings, 2):
        if one.entity.machine.name == other.entity.machine.name:
            yield one.who != other.who


def _executions(
    machines: Machines, entity: Entity, row: Row, command: str, args: Mapping[str, Value], who: Term
) -> Iterator[Execution]:
    when = answered_by(entity, row, command, args)
    args = capped(row, entity, args)
    ways = [_driven(machines, entity, drive, args) for drive in row.transition.drives]
    for way in product(*ways):
        own_args, partial = dict(args), row.transition.partial
        for drive, execution in zip(row.transition.drives, way, strict=True):
            driven = execution.own
            if driven.partial is not None:  # less is confirmed there, so it is here
                partial = drive.arguments[driven.partial].source.strip()
                own_args[partial] = driven.args[driven.partial]
        own = Firing(entity, row, command, own_args, amounts(row, entity, own_args), partial, who)
        others = [firing for execution in way for firing in execution.firings]
        yield Execution((own, *others), z3.And(when, *(execution.when for execution in way)))


def amounts(row: Row, entity: Entity, args: Mapping[str, Value]) -> tuple[Term, ...]:
    """The amounts of a transition's moves."""
    places = entity.places(args)
    return tuple(terms.evaluated(move.amount.code, places).term for move in row.transition.moves)


def capped(row: Row, entity: Entity, args: Mapping[str, Value]) -> Mapping[str, Value]:
    """The arguments, the partial one no more than any `upto` that is there."""
    partial = row.transition.partial
    if partial is None or not row.transition.upto:
        return args
    wanted = args[partial].term
    for upto in row.transition.upto:
        most = terms.evaluated(upto.code, entity.places(args))
        wanted = z3.If(z3.And(most.there, most.term < wanted), most.term, wanted)
    return {**args, partial: Value(wanted)}


def _driven(machines: Machines, entity: Entity, drive: Drive, args: Mapping[str, Value]) -> Iterator[Execution]:
    """The ways in which the linked entity may answer; none, if no state of it does."""
    machine = machines[drive.machine]
    given = driven_arguments(machines, entity, drive, args)
    link = (args if drive.by_argument else entity.facts)[drive.link]
    for (state, command), rows in machine.table.items():
        if command != drive.command:
            continue
        other = terms.entity(machine, state, f"{entity.name}{drive.link}.")
        for row in rows:
            for each in _executions(machines, other, row, command, given, link.term):
                yield attrs.evolve(each, when=z3.And(link.there, other.sound(), each.when))


def driven_arguments(machines: Machines, entity: Entity, drive: Drive, args: Mapping[str, Value]) -> dict[str, Value]:
    """What the linked entity is given: what is left out is false or missing."""
    places = entity.places(args)
    given = {name: terms.evaluated(value.code, places) for name, value in drive.arguments.items()}
    for name, type_ in machines[drive.machine].commands[drive.command].arguments.items():
        if name not in given:
            given[name] = Value(terms.NO) if type_.kind == "flag" else terms.NONE
    return given | terms.read_elsewhere(machines[drive.machine], drive.command, f"{entity.name}{drive.link}.")

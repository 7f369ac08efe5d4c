"""What a command does, once for all values: the core's steps with terms in the place of numbers.

A *firing* is one transition of one entity, an *act* the firings that happen together because one drives another. As in
the core, an act without a call is done at once; one with a call sets every amount aside, and the answer then moves
each on or back, whatever has happened to the entity in between. The postings are those of the compiled page: `Row.post`
and `resolve.post` do their sums with terms as they do them with numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

import attrs
import z3

from tallystick.check.proofs import terms
from tallystick.check.proofs.terms import Entity, Term, Value
from tallystick.core.entity import Posting
from tallystick.core.resolve import post
from tallystick.definition.machine import IN_DOUBT, Drive, Machines, RefusedOnPurpose, Row

Accounts = Mapping[str, Term]


@attrs.frozen(eq=False)
class Firing:
    entity: Entity
    row: Row
    command: str
    args: Mapping[str, Value]  # cut to `upto`
    amounts: tuple[Term, ...]
    partial: str | None  # the argument of which less may be confirmed
    who: Term  # the entity itself, as links name it

    def done(self, part: Term) -> tuple[Term, ...]:
        """The amounts that are confirmed, if the provider confirms `part`."""
        return self.amounts if self.partial is None else tuple(part for _ in self.amounts)

    def completed(self, accounts: Accounts, part: Term) -> Accounts:
        """The accounts once it has happened at once."""
        return _posted(accounts, list(self.row.lines), self.done(part))

    def aside(self, accounts: Accounts) -> Accounts:
        """The accounts once every amount is set aside."""
        return _posted(accounts, [(source, IN_DOUBT) for source, _ in self.row.lines], self.amounts)

    def confirmed(self, accounts: Accounts, part: Term) -> Accounts:
        """The accounts, such as they are by now, once the answer is yes, to `part` of it."""
        done = self.done(part)
        rest = [whole - each for whole, each in zip(self.amounts, done, strict=True)]
        forth = _posted(accounts, [(IN_DOUBT, target) for _, target in self.row.lines], done)
        return _posted(forth, [(IN_DOUBT, source) for source, _ in self.row.lines], rest)

    def given_back(self, accounts: Accounts) -> Accounts:
        """The accounts, such as they are by now, once the answer is no."""
        return _posted(accounts, [(IN_DOUBT, source) for source, _ in self.row.lines], self.amounts)

    def facts(self, part: Term, current: Entity | None = None) -> dict[str, Value]:
        """The facts afterwards."""
        entity = current or self.entity
        args = self.args if self.partial is None else {**self.args, self.partial: Value(part)}
        places = entity.places(args, terms.outcome(f"{entity.name}{self.row.name}."))
        sets = self.row.transition.sets.items()
        return {**entity.facts, **{name: terms.evaluated(value.code, places) for name, value in sets}}


@attrs.frozen(eq=False)
class Act:
    firings: tuple[Firing, ...]  # the entity that was asked first
    when: Term  # all guards, and that what is linked is there

    @property
    def own(self) -> Firing:
        return self.firings[0]

    @property
    def calls(self) -> bool:
        return any(firing.row.ask for firing in self.firings)

    def part(self, part: Term) -> Term:
        """That the provider may confirm `part`: all, or less but not nothing, which is a no."""
        cut = next((firing.args[firing.partial].term for firing in self.firings if firing.partial), None)
        return terms.YES if cut is None else z3.Or(part == cut, z3.And(part > 0, part <= cut))


def _posted(accounts: Accounts, lines: Sequence[tuple[str, str]], amounts: Sequence[Term]) -> Accounts:
    return post(accounts, [Posting(*line, amount) for line, amount in zip(lines, amounts, strict=True)])


def sum_of(accounts: Accounts) -> Term:
    return z3.Sum([z3.IntVal(0), *accounts.values()])


def answers(entity: Entity, row: Row, command: str, args: Mapping[str, Value]) -> Term:
    """That the transition's guard is true, and no refusal with a guard stands before it."""
    places = entity.places(args)
    refused = [terms.truth(each.guard, places) for each in refusals(entity, command)]
    return z3.And(terms.truth(row.transition.guard, places), *(z3.Not(each) for each in refused))


def refusals(entity: Entity, command: str) -> tuple[RefusedOnPurpose, ...]:
    return entity.machine.refused.get((entity.state, command), ())


def acts(machines: Machines, entity: Entity, row: Row, command: str) -> Iterator[Act]:
    """All that may happen when `row` answers `command`: one act for each way of what it drives."""
    args, well = terms.arguments(entity.machine, command, entity.name)
    for act in _acts(machines, entity, row, command, args, z3.Int(f"{entity.name}who")):
        yield attrs.evolve(act, when=z3.And(well, act.when, *_different(act)))


def _different(act: Act) -> Iterator[Term]:
    """That a command which drives two entities of one machine drives two different ones: else the core refuses it."""
    for one, other in combinations(act.firings, 2):
        if one.entity.machine.name == other.entity.machine.name:
            yield one.who != other.who


def _acts(
    machines: Machines, entity: Entity, row: Row, command: str, args: Mapping[str, Value], who: Term
) -> Iterator[Act]:
    when = answers(entity, row, command, args)
    partial = row.transition.partial
    args = cut(row, entity, args)
    ways = [_driven(machines, entity, drive, args) for drive in row.transition.drives]
    for way in product(*ways):
        mine, share = dict(args), partial
        for drive, act in zip(row.transition.drives, way, strict=True):
            if act.own.partial is not None:  # cut there, it is cut here
                share = drive.arguments[act.own.partial].source.strip()
                mine[share] = act.own.args[act.own.partial]
        places = entity.places(mine)
        amounts = tuple(terms.evaluated(move.amount.code, places).term for move in row.transition.moves)
        firing = Firing(entity, row, command, mine, amounts, share, who)
        driven = [firing for act in way for firing in act.firings]
        yield Act((firing, *driven), z3.And(when, *(act.when for act in way)))


def cut(row: Row, entity: Entity, args: Mapping[str, Value]) -> Mapping[str, Value]:
    partial, upto = row.transition.partial, row.transition.upto
    if partial is None or upto is None:
        return args
    most, wanted = terms.evaluated(upto.code, entity.places(args)).term, args[partial].term
    return {**args, partial: Value(z3.If(most < wanted, most, wanted))}


def _driven(machines: Machines, entity: Entity, drive: Drive, args: Mapping[str, Value]) -> Iterator[Act]:
    """The ways in which the linked entity may answer; none, if no state of it does."""
    machine = machines[drive.machine]
    given = driven_arguments(machines, entity, drive, args)
    link = (args if drive.by_argument else entity.facts)[drive.link]
    for (state, command), rows in machine.table.items():
        if command != drive.command:
            continue
        other = terms.entity(machine, state, f"{entity.name}{drive.link}.")
        for row in rows:
            for act in _acts(machines, other, row, command, given, link.term):
                yield attrs.evolve(act, when=z3.And(link.there, other.sound(), act.when))


def driven_arguments(machines: Machines, entity: Entity, drive: Drive, args: Mapping[str, Value]) -> dict[str, Value]:
    """What the linked entity is given: what is left out is false or missing."""
    places = entity.places(args)
    given = {name: terms.evaluated(value.code, places) for name, value in drive.arguments.items()}
    for name, type_ in machines[drive.machine].commands[drive.command].arguments.items():
        if name not in given:
            given[name] = Value(terms.NO) if type_.kind == "flag" else terms.NONE
    return given

"""Everything that can happen to one entity, as steps between points of its life, each once for all amounts.

A *point* is a state, alone or while a call that will change the state is on its way. Where guards ask about a choice
that a transition has set (`was == "issued"`), each choice is a point of its own: what is true of a suspended card
depends on where it was before.

Where calls are in flight, nothing more is known of what was set aside than that its guard was true then, and that it
stands in `in_doubt`; except of a call that may end the entity, beside which nothing else happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import attrs
import z3

from tallystick.check.proofs import terms
from tallystick.check.proofs.steps import Accounts, Act, acts
from tallystick.check.proofs.terms import Entity, Term, Value
from tallystick.definition.machine import IN_DOUBT, Machine, Machines, Row


class Point(NamedTuple):
    state: str
    mode: str | None = None  # the choice that a fact has, where guards ask about it
    changing: str | None = None  # the transition in flight that will change the state


@attrs.frozen(eq=False)
class World:
    """An entity in a state, and whether none of its calls is in flight."""

    entity: Entity
    quiet: Term
    sound: list[Term] = attrs.field(init=False)  # what holds of every entity
    said: dict[object, Term] = attrs.field(init=False, factory=dict)  # terms about it that were made already

    def __attrs_post_init__(self) -> None:
        doubt = self.entity.accounts.get(IN_DOUBT)
        nothing = [] if doubt is None else [z3.Or(z3.Not(self.quiet), doubt == 0)]
        object.__setattr__(self, "sound", [self.entity.sound(), *nothing])

    def once(self, about: object, make: Callable[[], Term]) -> Term:
        """The term for something said of this entity, made the first time: making terms is most of the work."""
        if about not in self.said:
            self.said[about] = make()
        return self.said[about]


def world(machine: Machine, state: str, name: str = "") -> World:
    return World(terms.entity(machine, state, name), z3.Bool(f"{name}quiet"))


@attrs.frozen(eq=False)
class Step:
    """Something that happens to an entity, and what its accounts and facts are afterwards."""

    source: Point
    target: Point
    before: World
    when: list[Term]
    accounts: Accounts
    facts: Mapping[str, Value]
    asked: tuple[Point, World] | None = None  # where its call was set aside, if that is another time


def can_call(machines: Machines, row: Row) -> bool:
    """Whether a transition, or one that it drives, may ask the provider."""
    if row.ask is not None:
        return True
    return any(
        can_call(machines, other)
        for drive in row.transition.drives
        for (_, command), rows in machines[drive.machine].table.items()
        if command == drive.command
        for other in rows
    )


class Life:
    """The points of a machine's life and the steps between them."""

    def __init__(self, machines: Machines, machine: Machine) -> None:
        self.machines = machines
        self.machine = machine
        self.worlds = {state: world(machine, state) for state in machine.states}
        self._thens = {state: world(machine, state, "then.") for state in machine.states}
        self.asking = {name for name, row in machine.rows.items() if can_call(machines, row)}
        self._facts = {state: _moded(machine, state) for state in machine.states}
        self._acts: dict[tuple[str, str, str], list[Act]] = {}
        self._later: dict[Point, list[Point]] = {}
        put = {name for row in machine.rows.values() for name in row.transition.sets}
        self._constant = [name for name, fact in machine.facts.items() if name not in put and fact.type.kind != "text"]
        self.points = [Point(state, mode) for state in machine.states for mode in self._modes(state)]
        self.points += [
            Point(state, mode, name)
            for name, row in machine.rows.items()
            if row.changes and name in self.asking
            for state in row.transition.sources
            for mode in self._modes(state)
        ]

    @property
    def first(self) -> Point:
        """Where an entity that was just made is."""
        fact = self._facts[self.machine.start]
        default = self.machine.facts[fact].default if fact else None
        return Point(self.machine.start, None if default is None else str(default))

    def acts(self, state: str, row: Row, command: str) -> list[Act]:
        """All that may happen when a row answers a command; made once, as making terms is most of the work."""
        key = (state, row.name, command)
        if key not in self._acts:
            self._acts[key] = list(acts(self.machines, self.worlds[state].entity, row, command))
        return self._acts[key]

    def _modes(self, state: str) -> list[str | None]:
        fact = self._facts[state]
        return [None, *self.machine.facts[fact].type.choices] if fact else [None]

    def at(self, point: Point, world: World) -> list[Term]:
        """What a point says of the entity there."""
        fact = self._facts[point.state]
        is_so = [world.once(point.mode, lambda: self._is(world.entity.facts[fact], point.mode))] if fact else []
        return world.sound + is_so + ([world.once("busy", lambda: z3.Not(world.quiet))] if point.changing else [])

    def _is(self, value: Value, mode: str | None) -> Term:
        return terms.equal(value, terms.NONE if mode is None else terms.text(mode))

    def taking(self, state: str, rows: tuple[Row, ...]) -> list[Point]:
        """The points of a state at which a command that `rows` answer is not put off until a call has ended."""
        changing = any(row.changes for row in rows)

        def open_(name: str | None) -> bool:
            return name is None or not (changing or self.machine.rows[name].ends)

        return [point for point in self.points if point.state == state and open_(point.changing)]

    def steps(self) -> Iterator[Step]:
        """Everything that can happen."""
        done = set()
        for (state, command), rows in self.machine.table.items():
            for row in rows:
                for act in self.acts(state, row, command):
                    for point in self.taking(state, rows):
                        yield from self._fired(point, act)
                if row.name in self.asking and (row.name, state) not in done:
                    done.add((row.name, state))
                    then = self._thens[state]
                    for act in acts(self.machines, then.entity, row, command):
                        if act.calls:
                            yield from self._answered(state, rows, then, act)

    def _to(self, step: Step, state: str, changing: str | None) -> Iterator[Step]:
        """The step, to each point of the state that it may lead to."""
        fact = self._facts[state]
        if fact is None:
            yield attrs.evolve(step, target=Point(state, None, changing))
            return
        for mode in self._modes(state):
            if self._facts[step.source.state] == fact and step.facts[fact] is step.before.entity.facts[fact]:
                so = terms.YES if mode == step.source.mode else terms.NO
            else:
                so = z3.simplify(self._is(step.facts[fact], mode))
            if not z3.is_false(so):
                yield attrs.evolve(step, target=Point(state, mode, changing), when=[*step.when, so])

    def _fired(self, point: Point, act: Act) -> Iterator[Step]:
        own, row, before = act.own, act.own.row, self.worlds[point.state]
        part = z3.Int("part")
        when = [act.when, before.quiet] if row.ends else [act.when]
        done = Step(
            point, point, before, [*when, act.part(part)], own.completed(before.entity.accounts, part), own.facts(part)
        )
        yield from self._to(done, row.target or point.state, point.changing)
        if act.calls:
            aside = Step(point, point, before, when, own.aside(before.entity.accounts), before.entity.facts)
            yield from self._to(aside, point.state, row.name if row.changes else point.changing)

    def _answered(self, state: str, rows: tuple[Row, ...], then: World, act: Act) -> Iterator[Step]:
        """The answer to a call that was set aside in `state`."""
        row = act.own.row
        for asked in self.taking(state, rows):
            if row.ends:  # nothing else happens meanwhile: asked and answered is one step
                if asked.changing is None:
                    aside = act.own.aside(then.entity.accounts)
                    alone = Step(asked, asked, then, [act.when, then.quiet], aside, then.entity.facts)
                    yield from self._answers(alone, act, then)
            elif row.changes:
                if asked.changing is None:
                    yield from self._meets(asked._replace(changing=row.name), asked, then, act)
            else:
                for point in self._meanwhile(asked):
                    yield from self._meets(point, asked, then, act)

    def _meets(self, point: Point, asked: Point, then: World, act: Act) -> Iterator[Step]:
        """The answer finds the entity at `point`, whatever has happened meanwhile."""
        now = self.worlds[point.state]
        when = [act.when, z3.Not(now.quiet)]
        when += [terms.equal(now.entity.facts[name], then.entity.facts[name]) for name in self._constant]
        if self.machine.accounts:
            when.append(now.entity.accounts[IN_DOUBT] >= z3.Sum([z3.IntVal(0), *act.own.amounts]))
        meets = Step(point, point, now, when, now.entity.accounts, now.entity.facts, (asked, then))
        yield from self._answers(meets, act, now)

    def _answers(self, step: Step, act: Act, now: World) -> Iterator[Step]:
        """Yes or no."""
        own, row = act.own, act.own.row
        part = z3.Int("part")
        changing = None if row.changes else step.source.changing
        yes = attrs.evolve(
            step,
            when=[*step.when, act.part(part)],
            accounts=own.confirmed(step.accounts, part),
            facts=own.facts(part, now.entity),
        )
        yield from self._to(yes, row.target or step.source.state, changing)
        no = attrs.evolve(step, accounts=own.given_back(step.accounts))
        for state in {row.transition.otherwise or step.source.state, step.source.state}:
            yield from self._to(no, state, changing)

    def _meanwhile(self, asked: Point) -> list[Point]:
        """The points at which an answer may find an entity that asked at a point and has not ended."""
        asked = asked._replace(changing=None)
        if asked not in self._later:
            reached = [asked]
            for now in reached:
                for (source, command), rows in self.machine.table.items():
                    for row in rows if source == now.state else ():
                        if row.changes and not row.ends:
                            reached += [each for each in self._leads(now, row, command) if each not in reached]
            self._later[asked] = [
                point
                for point in self.points
                if point._replace(changing=None) in reached
                and not (point.changing and self.machine.rows[point.changing].ends)
            ]
        return self._later[asked]

    def _leads(self, now: Point, row: Row, command: str) -> list[Point]:
        found = [now] if row.transition.otherwise in (None, now.state) else [Point(row.transition.otherwise or "")]
        for act in self.acts(now.state, row, command):
            for step in self._fired(now, act):
                solver = z3.Solver()
                solver.add(*self.at(now, step.before), *step.when)
                if solver.check() != z3.unsat:
                    found.append(step.target._replace(changing=None))
        return found


def _moded(machine: Machine, state: str) -> str | None:
    """The fact whose choices are points of their own in a state: guards there ask about it, and transitions set it."""
    asked = {
        name
        for row in machine.rows.values()
        if state in row.transition.sources and row.transition.guard
        for name in row.transition.guard.names
    }
    return next(
        (name for name, fact in machine.facts.items() if name in asked and fact.later and fact.type.kind == "choice"),
        None,
    )

"""Everything that can happen to one entity, as steps between points of its life, each once for all amounts.

A *point* is a state, alone or while a call is open that will change the state. Where guards ask about a choice that a
transition has set (`was == "issued"`), each choice is a point of its own: what is true of a suspended card depends on
where it was before.

While calls are open, this is all that is known of what they have set aside: their guards were true then, and it stands
in `in_doubt`. More is known of a call that may end the entity, for nothing else happens beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import attrs
import z3

from tallystick.check.callers import may_call
from tallystick.check.proof import terms
from tallystick.check.proof.executions import Accounts, Execution, executions
from tallystick.check.proof.solver import satisfiable
from tallystick.check.proof.terms import Entity, Term, Value
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machine, Machines, Row


class Point(NamedTuple):
    """A point of a life."""

    state: str
    mode: str | None = None  # the choice that a fact has, where guards ask about it
    changing: str | None = None  # the transition that will change the state, while its call is open


class Subject:
    """The entity of which something is said, and whether none of its calls is open."""

    def __init__(self, entity: Entity, quiet: Term) -> None:
        doubt = entity.accounts.get(IN_DOUBT)
        nothing = [] if doubt is None else [z3.Or(z3.Not(quiet), doubt == 0)]
        self.entity, self.quiet = entity, quiet
        self.sound = [entity.sound(), *nothing]  # what holds of every entity
        self._terms: dict[object, Term] = {}  # that were made already

    def once(self, about: object, make: Callable[[], Term]) -> Term:
        """The term for something said of this entity, made the first time: making terms is most of the work."""
        if about not in self._terms:
            self._terms[about] = make()
        return self._terms[about]


def subject(machine: Machine, state: str, name: str = "") -> Subject:
    """Any entity in a state. `name`: with which its variables begin."""
    return Subject(terms.entity(machine, state, name), z3.Bool(f"{name}quiet"))


@attrs.frozen(eq=False)
class Step:
    """Something that happens to an entity."""

    source: Point
    target: Point
    before: Subject
    when: list[Term]
    accounts: Accounts  # afterwards
    facts: Mapping[str, Value]  # afterwards
    asked: tuple[Point, Subject] | None = None  # where its call was set aside, if that was before


class Lifecycle:
    """The points of a machine's life, and the steps between them."""

    def __init__(self, machines: Machines, machine: Machine) -> None:
        self.machines = machines
        self.machine = machine
        self.subjects = {state: subject(machine, state) for state in machine.states}
        self.calling = {name for name, each in machine.transitions.items() if may_call(machines, each)}
        self._then = {state: subject(machine, state, "then.") for state in machine.states}
        # By state: the fact whose choices are points of their own there
        self.mode_facts = {state: _mode_fact(machine, state) for state in machine.states}
        self._executions: dict[tuple[str, str, str], list[Execution]] = {}
        self._later: dict[Point, list[Point]] = {}
        sets = {name for row in machine.rows.values() for name in row.transition.sets}
        self._constant = [name for name, fact in machine.facts.items() if name not in sets and fact.type.kind != "text"]
        self.points = [Point(state, mode) for state in machine.states for mode in self._modes(state)]
        self.points += [
            Point(state, mode, name)
            for name, row in machine.rows.items()
            if row.changes and name in self.calling
            for state in row.transition.sources
            for mode in self._modes(state)
        ]

    @property
    def first(self) -> Point:
        """Where an entity that was just made is."""
        fact = self.mode_facts[self.machine.start]
        default = self.machine.facts[fact].default if fact else None
        return Point(self.machine.start, None if default is None else str(default))

    def executions(self, state: str, row: Row, command: str) -> list[Execution]:
        """All that may happen when a row answers a command; made once, as making terms is most of the work."""
        key = (state, row.name, command)
        if key not in self._executions:
            self._executions[key] = list(executions(self.machines, self.subjects[state].entity, row, command))
        return self._executions[key]

    def _modes(self, state: str) -> list[str | None]:
        fact = self.mode_facts[state]
        return [None, *self.machine.facts[fact].type.choices] if fact else [None]

    def at(self, point: Point, subject: Subject) -> list[Term]:
        """What a point says of the entity there."""
        fact, facts = self.mode_facts[point.state], subject.entity.facts
        mode = [subject.once(point.mode, lambda: _has_mode(facts[fact], point.mode))] if fact else []
        return subject.sound + mode + ([subject.once("busy", lambda: z3.Not(subject.quiet))] if point.changing else [])

    def taking(self, state: str, rows: tuple[Row, ...]) -> list[Point]:
        """The points of a state at which a command that `rows` answer is not put off until a call has ended."""
        changing = any(row.changes for row in rows)
        beside = [None, *(name for name, row in self.machine.rows.items() if not (changing or row.ends))]
        return [point for point in self.points if point.state == state and point.changing in beside]

    def steps(self) -> Iterator[Step]:
        """Everything that can happen."""
        done = set()
        for (state, command), rows in self.machine.table.items():
            for row in rows:
                for execution in self.executions(state, row, command):
                    for point in self.taking(state, rows):
                        yield from self._fired(point, execution)
                if row.name in self.calling and (row.name, state) not in done:
                    done.add((row.name, state))
                    then = self._then[state]
                    for execution in executions(self.machines, then.entity, row, command):
                        if execution.calls:
                            yield from self._answered(state, rows, then, execution)

    def _to(self, step: Step, state: str, changing: str | None) -> Iterator[Step]:
        """The step, to each point of the state to which it may lead."""
        fact = self.mode_facts[state]
        if fact is None:
            yield attrs.evolve(step, target=Point(state, None, changing))
            return
        for mode in self._modes(state):
            if self.mode_facts[step.source.state] == fact and step.facts[fact] is step.before.entity.facts[fact]:
                so = terms.YES if mode == step.source.mode else terms.NO
            else:
                so = z3.simplify(_has_mode(step.facts[fact], mode))
            if not z3.is_false(so):
                yield attrs.evolve(step, target=Point(state, mode, changing), when=[*step.when, so])

    def _fired(self, point: Point, execution: Execution) -> Iterator[Step]:
        """A command is taken: done at once, or set aside."""
        own, row, before = execution.own, execution.own.row, self.subjects[point.state]
        accounts, facts = before.entity.accounts, before.entity.facts
        when = [execution.when, before.quiet] if row.ends else [execution.when]
        possible = [*when, execution.part_is_possible()]
        done = Step(point, point, before, possible, own.completed(accounts), own.facts())
        yield from self._to(done, row.target or point.state, point.changing)
        if execution.calls:
            aside = Step(point, point, before, when, own.aside(accounts), facts)
            yield from self._to(aside, point.state, row.name if row.changes else point.changing)

    def _answered(self, state: str, rows: tuple[Row, ...], then: Subject, execution: Execution) -> Iterator[Step]:
        """The answer to a call that was set aside in `state`."""
        row = execution.own.row
        for asked in self.taking(state, rows):
            if row.ends:  # nothing else happens meanwhile: asked and answered is one step
                if asked.changing is None:
                    aside = execution.own.aside(then.entity.accounts)
                    alone = Step(asked, asked, then, [execution.when, then.quiet], aside, then.entity.facts)
                    yield from self._answers(alone, execution, then)
            elif row.changes:
                if asked.changing is None:
                    yield from self._meets(asked._replace(changing=row.name), asked, then, execution)
            else:
                for point in self._meanwhile(asked):
                    yield from self._meets(point, asked, then, execution)

    def _meets(self, point: Point, asked: Point, then: Subject, execution: Execution) -> Iterator[Step]:
        """The answer finds the entity at `point`, whatever has happened meanwhile."""
        now = self.subjects[point.state]
        when = [execution.when, z3.Not(now.quiet)]
        when += self._unchanged(now, then)
        if self.machine.accounts:
            when.append(now.entity.accounts[IN_DOUBT] >= z3.Sum([terms.ZERO, *execution.own.amounts]))
        meets = Step(point, point, now, when, now.entity.accounts, now.entity.facts, (asked, then))
        yield from self._answers(meets, execution, now)

    def _unchanged(self, now: Subject, then: Subject) -> list[Term]:
        """That the facts which nothing sets are what they were; made once for each two."""
        facts = [(now.entity.facts[name], then.entity.facts[name]) for name in self._constant]
        return [now.once((then, "unchanged"), lambda: z3.And([terms.YES, *(terms.equal(*each) for each in facts)]))]

    def _answers(self, step: Step, execution: Execution, now: Subject) -> Iterator[Step]:
        """Yes or no."""
        own, row = execution.own, execution.own.row
        changing = None if row.changes else step.source.changing
        yes = attrs.evolve(
            step,
            when=[*step.when, execution.part_is_possible()],
            accounts=own.confirmed(step.accounts),
            facts=own.facts(now.entity),
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
        steps = (step for each in self.executions(now.state, row, command) for step in self._fired(now, each))
        return found + [
            step.target._replace(changing=None)
            for step in steps
            if satisfiable([*self.at(now, step.before), *step.when])
        ]


def _has_mode(value: Value, mode: str | None) -> Term:
    return terms.equal(value, terms.NONE if mode is None else terms.text(mode))


def _mode_fact(machine: Machine, state: str) -> str | None:
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

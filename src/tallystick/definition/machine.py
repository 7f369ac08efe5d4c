"""A machine in memory: what its page declares (`declared`), and the table that runs.

The core looks everything up in `Machine.table`: (state, command) → the rows that may answer. The table is made from a
real `transitions.Machine` (`to_transitions`). Every declared transition is registered there with its guard as condition
and its moves as effect, and the table is read back from that machine's `events[command].transitions[state]`. That
machine is the reference. The table is the same without its dispatch, which costs about a hundred dictionary look-ups
for an event.

Each row carries small functions, generated from the checked expressions. They are called with
v (accounts), f (facts), a (arguments), s (state), o (outcome):

    fires     the guard                              amounts   one amount for each move
    post      accounts after all moves at once       cut       the bound of a partial argument
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from tallystick.definition import declared
from tallystick.definition.declared import (
    IN_DOUBT,
    Account,
    Command,
    Drive,
    Example,
    Fact,
    Functions,
    Invariant,
    Migration,
    RefusedOnPurpose,
    State,
    Then,
    Transition,
)
from tallystick.definition.expression import Expression, function
from tallystick.definition.prose import Shown

if TYPE_CHECKING:
    import transitions

Answers = Mapping[tuple[str, str], tuple[str, ...]]  # (state, command) → the rows of the table, by name
Amounts = tuple[int, ...]  # minor units, one for each move of a transition, in the order of its moves


@attrs.define(repr=False)
class Row:
    """A transition, ready to run. Each of its expressions becomes a function when it is first needed."""

    transition: Transition
    columns: tuple[str, ...]  # the accounts of its machine as stored
    name: str
    target: str | None
    changes: bool  # the state changes, if it is confirmed or if it is declined
    final: bool  # it leads to a final state
    ends: bool  # it may lead to one, confirmed or declined
    lines: tuple[tuple[str, str], ...]  # (source, target) of each move
    gives_unique: bool  # it sets the fact that an entity has for itself
    numbered: bool  # it sets a fact to the card number that the provider has to give
    for_parts: bool  # something follows for the parts of its entity
    local: bool  # nothing is driven, asked, set or queued: the entity alone changes
    alone: bool  # nothing is driven or done alike: the entity alone changes, though more may be asked, set or queued

    @cached_property
    def fires(self) -> Callable[[Any, Any, Any, Any], bool]:
        guard = self.transition.guard
        return function("v, f, a, s", guard.code if guard else "True")

    @cached_property
    def amounts(self) -> Callable[[Any, Any, Any, Any], Amounts]:
        return function("v, f, a, s", f"({''.join(move.amount.code + ', ' for move in self.transition.moves)})")

    @cached_property
    def post(self) -> Callable[[Any, Amounts], dict[str, int]]:
        return function("v, x", declared.posted(self.columns, self.transition))

    @cached_property
    def cut(self) -> Callable[..., object] | None:
        return function("v, f, a, s, o", declared.least(self.transition.upto)) if self.transition.upto else None

    @cached_property
    def sets(self) -> Functions:
        return declared.functions(self.transition.sets)

    @cached_property
    def drives(self) -> tuple[tuple[Drive, Functions], ...]:
        return tuple((drive, declared.functions(drive.arguments)) for drive in self.transition.drives)

    @cached_property
    def ask(self) -> tuple[str, Functions] | None:
        ask = self.transition.ask
        return (ask.verb, declared.functions(ask.arguments)) if ask else None

    @cached_property
    def then(self) -> tuple[tuple[Then, Callable[..., Any] | None, Callable[..., Any] | None, Functions], ...]:
        return tuple(
            (
                then,
                then.when and then.when.compiled(),
                then.at and then.at.compiled(),
                declared.functions(then.arguments),
            )
            for then in self.transition.then
        )

    @cached_property
    def conjuncts(self) -> tuple[tuple[Expression, Callable[..., object]], ...]:
        """The parts of the guard that `and` joins."""
        guard = self.transition.guard
        return tuple((part, part.compiled()) for part in ((guard.parts or (guard,)) if guard else ()))


@attrs.frozen(eq=False)
class Machine(Shown):
    """A declared lifecycle: what its page says, and the table that runs."""

    name: str  # as the key `machine` says
    version: int  # of the page: counts up whenever the behaviour changes
    summary: str  # one sentence
    facts: Mapping[str, Fact]  # by name, as are the next ones
    accounts: Mapping[str, Account]  # without in_doubt
    outside: Mapping[str, str]  # outside account → what it means
    states: Mapping[str, State]  # by name
    commands: Mapping[str, Command]  # by name, without `create`
    transitions: Mapping[str, Transition]  # by name
    refuse: tuple[RefusedOnPurpose, ...]  # what the key `refuse` lists
    invariants: Mapping[str, Invariant]  # by name
    parts: Mapping[str, str]  # machine whose entities are parts of one of these → their fact that links here
    text: str = attrs.field(repr=False)  # the page as written
    file: str = ""  # where it was read from
    moved_by: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)  # outside account → commands; for `check`
    usual: tuple[str, ...] = ()  # the states of the usual way, in order; for pictures
    figures: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # of those, command → figure; for reports
    examples: Mapping[str, Example] = attrs.field(factory=dict)  # by name; for `check`
    migrations: Mapping[int, Migration] = attrs.field(factory=dict)  # by the older version
    # What follows from it:
    start: str = attrs.field(init=False)  # the state in which an entity begins
    rows: Mapping[str, Row] = attrs.field(init=False, repr=False)  # transition → its row
    table: Mapping[tuple[str, str], tuple[Row, ...]] = attrs.field(init=False, repr=False)  # by (state, command)
    on_purpose: Mapping[tuple[str, str], str] = attrs.field(init=False, repr=False)  # always refused, and why
    over: frozenset[tuple[str, str]] = attrs.field(init=False, repr=False)  # those where a follow-up is dropped
    refused: Mapping[tuple[str, str], tuple[RefusedOnPurpose, ...]] = attrs.field(init=False, repr=False)  # by a guard
    links: Mapping[str, str] = attrs.field(init=False, repr=False)  # fact → the machine that it links to
    alike: frozenset[tuple[str, str]] = attrs.field(init=False, repr=False)  # (state, command) answered by an alike row
    unique: str | None = attrs.field(init=False)  # the fact that an entity has for itself, in its value type
    holding: tuple[str, ...] = attrs.field(init=False)  # accounts that are empty in a final state
    fast_paths: dict[tuple[str, str], Any] = attrs.field(init=False, factory=dict, repr=False)  # see `core.fast_path`

    def __attrs_post_init__(self) -> None:
        self._derive(None)

    def _derive(self, answers: Answers | None) -> None:
        """What follows from it. `answers`: the names of the rows of the table, if that was made before."""
        put = object.__setattr__
        put(self, "start", next(state.name for state in self.states.values() if state.start))
        put(self, "rows", {name: _row(self, each) for name, each in self.transitions.items()})
        put(self, "on_purpose", {pair: each.says for pair, each in _refusals(self) if each.guard is None})
        put(self, "over", frozenset(pair for pair, each in _refusals(self) if each.guard is None and each.over))
        refused: dict[tuple[str, str], tuple[RefusedOnPurpose, ...]] = {}
        for pair, each in sorted(_refusals(self), key=lambda found: not found[1].first):
            refused |= {pair: (*refused.get(pair, ()), each)} if each.guard is not None else {}
        put(self, "refused", refused)
        if answers is None:
            put(self, "table", _table(to_transitions(self)))
        else:
            put(self, "table", {pair: tuple(self.rows[name] for name in names) for pair, names in answers.items()})
        alike = [pair for pair, rows in self.table.items() if any(row.transition.alike for row in rows)]
        put(self, "alike", frozenset(alike))
        put(self, "links", {name: fact.type.machine for name, fact in self.facts.items() if fact.type.kind == "link"})
        put(self, "unique", next((name for name, fact in self.facts.items() if fact.unique), None))
        put(self, "holding", tuple(name for name, account in self.accounts.items() if not account.kept))

    @cached_property
    def places(self) -> Mapping[tuple[str, ...], tuple[int, int]]:
        """Line and column of each part of the page."""
        from tallystick.definition.places import places  # the page is read again for it: only findings ask

        return places(self.file, self.text)

    @property
    def migrating(self) -> list[tuple[str, str]]:
        """From which states of older versions to which of this one an entity may be moved."""
        found = {pair for each in self.migrations.values() for pair in each.states.items()}
        kept = {(name, name) for each in self.migrations.values() for name in self.states if name not in each.states}
        return sorted(found | kept)

    @property
    def reads_parts(self) -> bool:
        """Whether it decides by what its parts are: those that link to it."""
        return any(command.reads_parts for command in self.commands.values())

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The accounts as stored: the declared ones and `in_doubt`."""
        return (*self.accounts, IN_DOUBT) if self.accounts else ()


def restored(fields: Mapping[str, object], answers: Answers) -> Machine:
    """A machine as it was before: all that its page says, and the names of the rows of its table."""
    machine = object.__new__(Machine)
    for name, value in {**fields, "fast_paths": {}}.items():
        object.__setattr__(machine, name, value)
    machine._derive(answers)
    return machine


class Machines(Mapping[str, Machine]):
    """The newest version of each machine by name, and every version this process knows."""

    def __init__(self, machines: list[Machine]) -> None:
        self._newest = {machine.name: machine for machine in sorted(machines, key=lambda each: each.version)}
        self._all = {(machine.name, machine.version): machine for machine in machines}
        self._readers: dict[str, tuple[Reader, ...]] = {}
        self._versions: dict[str, list[Machine]] = {}
        for name, version in sorted(self._all):
            self._versions.setdefault(name, []).append(self._all[name, version])
        self._commands = {
            name: frozenset(command for each in versions for command in each.commands)
            for name, versions in self._versions.items()
        }
        self._naming: dict[tuple[str, str, bool], tuple[tuple[str, str], ...]] = {}

    def __getitem__(self, name: str) -> Machine:
        return self._newest[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._newest)

    def __len__(self) -> int:
        return len(self._newest)

    def readers(self, name: str) -> tuple[Reader, ...]:
        """Whose patient commands read the accounts of this machine."""
        if name not in self._readers:
            self._readers[name] = tuple(_readers(self, name))
        return self._readers[name]

    def at(self, name: str, version: int) -> Machine:
        """The machine as it was in `version`: an entity runs on the version it was made with. Raises KeyError."""
        return self._all[name, version]

    def commands(self, name: str) -> frozenset[str]:
        """The commands of a machine in any version, without `create`; none: there is no such machine."""
        return self._commands.get(name, frozenset())

    def versions(self, name: str) -> list[Machine]:
        """Every version of a machine, the oldest first."""
        return list(self._versions.get(name, ()))

    def naming(self, name: str, command: str, *, facts: bool) -> tuple[tuple[str, str], ...]:
        """The arguments of a command that name entities, in any version; each with the machine of these.

        `facts`: the facts of its entity are among the arguments, as they are in `create`.
        """
        known = self._naming.get((name, command, facts))
        if known is None:
            found: dict[tuple[str, str], None] = {}
            for machine in self._versions.get(name, ()):
                links = dict(machine.links) if facts else {}
                if command in machine.commands:
                    types = machine.commands[command].arguments
                    links |= {key: type_.machine for key, type_ in types.items() if type_.kind == "link"}
                found |= dict.fromkeys(links.items())
            known = self._naming[name, command, facts] = tuple(found)
        return known

    def all(self) -> list[Machine]:
        """Every version of every machine."""
        return list(self._all.values())


class Reader(NamedTuple):
    """A machine with patient commands that read what stands on another one."""

    machine: str
    fact: str  # of the reader, the link to what it reads; or of a part, its link to the reader
    part: bool  # it reads its parts
    states: frozenset[str]  # of what is read: while it is in another one, the commands cannot be taken


def _readers(machines: Machines, name: str) -> Iterator[Reader]:
    for reader in machines.values():
        patient = {each.name: each for each in reader.commands.values() if each.patient}
        reads = {read.partition(".")[0] for each in patient.values() for read in each.reads}
        if name in reader.parts and name in reads:
            yield Reader(reader.name, reader.parts[name], True, frozenset(machines[name].states))
        for fact in {fact for each in patient.values() for _, fact, target, _ in each.linked if target == name}:
            given = [each for each in reader.transitions.values() if set(each.commands) & set(patient)]
            drives = {drive.command for each in given for drive in each.drives if drive.link == fact}
            states = [state for state, command in machines[name].table if command in drives or not drives]
            yield Reader(reader.name, fact, False, frozenset(states))


def _refusals(machine: Machine) -> Iterator[tuple[tuple[str, str], RefusedOnPurpose]]:
    for each in machine.refuse:
        for state in each.states:
            for command in each.commands:
                yield (state, command), each


# The table


def to_transitions(machine: Machine) -> transitions.Machine:
    """The machine as a `transitions.Machine` without a model.

    A model added to it needs `state`, and `accounts` and `facts` as dicts; arguments of a command are passed
    by keyword. Guards are its conditions, refusals with a guard its `unless`, moves its effects. Calls, drives and
    follow-ups are not in it.
    """
    import transitions

    reference = transitions.Machine(
        model=None, states=list(machine.states), initial=machine.start, auto_transitions=False, send_event=True
    )
    refused = {command for _, command in machine.refused}
    for row in machine.rows.values():
        for command in row.transition.commands:
            reference.add_transition(
                command, list(row.transition.sources), row.target, conditions=[_Guard(row)],
                unless=[_Refused(machine, command)] if command in refused else None, before=[_Effect(row)],
            )  # fmt: skip
    return reference


@attrs.frozen
class _Guard:
    """A condition of the reference machine; carries its row back into the table."""

    row: Row

    def __call__(self, event: Any) -> bool:
        return self.row.fires(event.model.accounts, event.model.facts, event.kwargs, event.state.name)


@attrs.frozen
class _Refused:
    """What keeps the reference machine from a transition: a refusal of its command that is declared with a guard."""

    machine: Machine
    command: str

    def __call__(self, event: Any) -> bool:
        model, state = event.model, event.state.name
        refusals = self.machine.refused.get((state, self.command), ())
        return any(each.fires(model.accounts, model.facts, event.kwargs, state, None) for each in refusals)


@attrs.frozen
class _Effect:
    row: Row

    def __call__(self, event: Any) -> None:
        model, args = event.model, dict(event.kwargs)
        if self.row.cut is not None and self.row.transition.partial is not None:
            most: Any = self.row.cut(model.accounts, model.facts, args, event.state.name, None)
            args[self.row.transition.partial] = min(args[self.row.transition.partial], most)
        amounts = self.row.amounts(model.accounts, model.facts, args, event.state.name)
        model.accounts = self.row.post(model.accounts, amounts)


def _table(reference: transitions.Machine) -> dict[tuple[str, str], tuple[Row, ...]]:
    def rows(registered: list[transitions.Transition]) -> tuple[Row, ...]:
        return tuple(guard.row for each in registered if isinstance(guard := each.conditions[0].func, _Guard))

    return {
        (state, command): rows(registered)
        for command, event in reference.events.items()
        for state, registered in event.transitions.items()
    }


def _row(machine: Machine, transition: Transition) -> Row:
    finals = {state.name for state in machine.states.values() if state.final}
    return Row(
        transition=transition,
        columns=machine.columns,
        name=transition.name,
        target=transition.target,
        changes=bool(transition.target or transition.otherwise),
        final=transition.target in finals,
        ends=bool(finals & {transition.target, transition.otherwise}),
        lines=tuple((move.source, move.target) for move in transition.moves),
        gives_unique=any(machine.facts[name].unique for name in transition.sets),
        numbered=any("outcome.number" in each.names for each in transition.sets.values()),
        for_parts=any(then.each for then in transition.then),
        alone=not (transition.drives or transition.alike),
        local=not (transition.drives or transition.ask or transition.sets or transition.then or transition.alike),
    )

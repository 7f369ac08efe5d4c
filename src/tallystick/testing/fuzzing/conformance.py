"""Every transition that fired, fired again by the library `transitions`.

`to_transitions` is the reference of what a page means: who answers a command, when, where it leads, and what is on
every account afterwards. Each entry of a journal that begins a transition is given to it as an event. Of all the
page's transitions it has to choose the one that fired. If a provider was asked, they are compared when its answer
came.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs

from tallystick.core.entity import CREATE
from tallystick.definition.machine import Machine, Machines, to_transitions
from tallystick.store.rows import EntryRow


@attrs.define(slots=False, eq=False)
class _Model:
    """What the library moves."""

    accounts: dict[str, int] = attrs.field(factory=dict)
    facts: Mapping[str, object] = attrs.field(factory=dict)
    state: str = ""


class Reference:
    """A page as the library runs it, with one model that can be put into any state."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.model = _Model()
        self._library: Any = to_transitions(machine)
        self._library.add_model(self.model, initial=machine.start)

    def put(self, state: str, accounts: Mapping[str, int], facts: Mapping[str, object]) -> None:
        self._library.set_state(state, self.model)
        self.model.accounts, self.model.facts = dict(accounts), facts

    def answers(self, command: str, args: Mapping[str, Any]) -> list[str]:
        """The transitions whose conditions hold now. The library takes one."""
        from transitions.core import EventData

        event = self._library.events[command]
        state = self._library.get_model_state(self.model)
        data = EventData(state, event, self._library, self.model, (), dict(args))
        registered = event.transitions.get(state.name, ())
        return [each.conditions[0].func.row.name for each in registered if each._eval_conditions(data)]

    def fire(self, command: str, args: Mapping[str, Any]) -> bool:
        """Let it choose, by its own dispatch."""
        return bool(self._library.events[command].trigger(self.model, **args))


@attrs.define
class _PendingCall:
    """What the library made of a transition whose answer is not there yet."""

    state: str | None  # None: it stays, wherever the entity is by then
    change: Mapping[str, int]
    args: str
    postings: list[Any]


@attrs.define
class _EntitySoFar:
    accounts: dict[str, int] = attrs.field(factory=dict)
    facts: dict[str, object] = attrs.field(factory=dict)
    pending: dict[str, _PendingCall] = attrs.field(factory=dict)


class Conformance:
    """Takes entries in their order."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._entities: dict[tuple[str, str], _EntitySoFar] = {}

    def take(self, entry: EntryRow) -> Iterator[str]:
        """Where the library would have this entry otherwise, as sentences."""
        entity = self._entities.setdefault((entry.machine, entry.entity), _EntitySoFar())
        reference = self._reference(entry)
        if entry.transition == CREATE:
            entity.facts = dict.fromkeys(reference.machine.facts)
        elif entry.phase in ("done", "asked"):
            yield from self._fired(reference, entry, entity)
        elif entry.call in entity.pending:
            asked = entity.pending.pop(str(entry.call))
            if entry.phase == "confirmed":
                yield from _confirmed(entry, asked, entity)
        entity.accounts = json.loads(entry.after)
        entity.facts |= json.loads(entry.facts)

    def _fired(self, reference: Reference, entry: EntryRow, entity: _EntitySoFar) -> Iterator[str]:
        args = _arguments(reference.machine, entry)
        reference.put(str(entry.from_state), entity.accounts, entity.facts)
        names = reference.answers(entry.command, args)
        if names != [entry.transition]:
            would = f"it would fire {' and '.join(names)}" if names else "it would fire nothing"
            yield f"{_where(entry)} fired {entry.transition}; by the library {would}"
            return
        reference.fire(entry.command, args)
        state, accounts = reference.model.state, reference.model.accounts
        if entry.phase == "asked":
            change = {name: accounts[name] - before for name, before in entity.accounts.items()}
            entity.pending[str(entry.call)] = _PendingCall(
                state if reference.machine.rows[entry.transition].target else None,
                change, entry.args, json.loads(entry.postings),
            )  # fmt: skip
        elif (entry.to_state, json.loads(entry.after)) != (state, accounts):
            yield (
                f"{_where(entry)}: {entry.transition} left {entry.to_state} {entry.after}; "
                f"by the library {state} {json.dumps(accounts)}"
            )

    def _reference(self, entry: EntryRow) -> Reference:
        return _reference(self._machines.at(entry.machine, entry.machine_version))


@lru_cache(maxsize=64)  # making one takes longer than a walk
def _reference(machine: Machine) -> Reference:
    return Reference(machine)


def _confirmed(entry: EntryRow, asked: _PendingCall, entity: _EntitySoFar) -> Iterator[str]:
    """The answer leads where the event did; if all was confirmed, it moves the same."""
    state = asked.state or entry.from_state
    if entry.to_state != state:
        yield f"{_where(entry)}: confirmed, it led to {entry.to_state}; by the library to {state}"
    moved: Counter[str] = Counter()
    for source, target, amount in [*asked.postings, *json.loads(entry.postings)]:
        moved[source] -= amount
        moved[target] += amount
    differs = [name for name in entity.accounts if moved[name] != asked.change[name]]
    if entry.args == asked.args and differs:
        yield f"{_where(entry)}: confirmed whole, it moved {dict(moved)}; by the library {dict(asked.change)}"


def _arguments(machine: Machine, entry: EntryRow) -> dict[str, Any]:
    """The arguments as the transition saw them: what was left out is false or none, and secrets are gone."""
    kept = json.loads(entry.args)
    command = machine.commands[entry.command]
    return {**command.left_out(), **dict.fromkeys(command.reads), **kept}


def _where(entry: EntryRow) -> str:
    return f"{entry.machine} {entry.entity!r} revision {entry.revision}"

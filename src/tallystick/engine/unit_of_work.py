"""One unit of work: what a transaction has loaded, and what it will write at its end.

Entities are loaded once and then seen as the commands before have left them; the store is written to once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from tallystick.core import resolve
from tallystick.core.entity import CREATE, Entity, Plan, Ref
from tallystick.definition.machine import Machines
from tallystick.engine.old_receipt import told
from tallystick.engine.receipt import FOLLOWS, Command, Receipt
from tallystick.engine.sealing import Numbers
from tallystick.store.protocol import Transaction
from tallystick.store.rows import CallRow, Changes, QueueRow, Record, Stamp, encode, record


@attrs.define
class Unit:
    machines: Machines
    transaction: Transaction
    at: str  # when this is
    ids: Callable[[], str]
    later: Callable[[int, bool], tuple[str, str]]  # after so many attempts, patiently or not: state and next time
    numbers: Numbers  # how card numbers stand in the books
    world: dict[Ref, Entity] = attrs.field(factory=dict)
    keyed: dict[str, Record] = attrs.field(factory=dict)
    _queue: dict[str, QueueRow] = attrs.field(factory=dict)
    _looked: set[Ref] = attrs.field(factory=set)
    _asked: set[str] = attrs.field(factory=set)
    changes: Changes = attrs.field(factory=Changes)
    _given: dict[tuple[str, object], list[Ref]] = attrs.field(factory=dict)  # values of unique facts that were changed

    # Loading

    def load(self, commands: Iterable[Command]) -> None:
        """What these commands are about, in few reads: their keys, entities and all that is linked."""
        wanted = [command for command in commands if command.key not in self._asked]
        if not wanted:
            return
        keys = {command.key for command in wanted}
        self._asked |= keys
        self.keyed |= self.transaction.keyed(keys)
        self._queue |= self.transaction.queued(keys)
        refs = {(command.machine, command.id) for command in wanted}
        for command in wanted:
            refs.update(self._linked_by(command))
        self.reach(refs)

    def reach(self, refs: Iterable[Ref]) -> None:
        """Load entities and, from them on, whatever they link to."""
        wanted = [ref for ref in refs if ref not in self._looked]
        while wanted:
            self._looked.update(wanted)
            found = self.transaction.entities(wanted)
            self.world |= found
            links = {
                (target, str(entity.facts[fact]))
                for entity in found.values()
                for fact, target in self.machines.at(entity.machine, entity.machine_version).links.items()
                if entity.facts.get(fact) is not None
            }
            wanted = [ref for ref in links if ref not in self._looked]

    def _linked_by(self, command: Command) -> list[Ref]:
        """Entities that the arguments name. Which arguments are links is the same in all versions that have them."""
        found = []
        for machine in self.machines.versions(command.machine):
            links = dict(machine.links) if command.command == CREATE else {}
            if command.command in machine.commands:
                types = machine.commands[command.command].arguments
                links = {name: type_.machine for name, type_ in types.items() if type_.kind == "link"}
            found += [(to, value) for name, to in links.items() if isinstance(value := command.args.get(name), str)]
        return found

    def queued(self, key: str) -> QueueRow | None:
        """The command waiting, or having waited, under this key."""
        if key in self.changes.queue:
            return self.changes.queue[key]
        if key not in self._asked:
            return self.transaction.queued([key]).get(key)
        return self._queue.get(key)

    def follows(self, machine: str, id: str) -> list[str]:
        """Keys of follow-ups that wait for an entity."""
        rows = {row.key: row for row in self.transaction.waiting(machine, id)} | self.changes.queue
        found = [row for row in rows.values() if row.state == "waiting" and row.cause is not None]
        return [row.key for row in found if (row.machine, row.entity) == (machine, id)]

    def having(self, machine: str, value: str) -> list[Entity]:
        """The entities of a machine whose unique fact has this value: one of each currency, at most."""
        fact = self.machines[machine].unique
        if fact is None:
            return []
        found = {each.ref: each for each in self.transaction.linked(machine, fact, value)}
        found |= {ref: self.world[ref] for ref in self._given.get((machine, value), ())}
        found |= {ref: self.changes.entities[ref] for ref in found if ref in self.changes.entities}
        return [each for each in found.values() if each.facts.get(fact) == value]

    def taking(self, value: str) -> CallRow | None:
        """The open call that takes this value."""
        for row in self.changes.calls.values():
            if row.takes == value and row.state == "open":
                return row
        there = self.transaction.taking(value)
        return None if there is None or there.id in self.changes.calls else there

    def call(self, id: str) -> CallRow | None:
        return self.changes.calls.get(id) or self.transaction.call(id)

    # Remembering

    def remember(self, plan: Plan, stamp: Stamp, *, first: bool) -> tuple[str, ...]:
        """What the plan changes; the keys of what it queues. `first`: its first entry carries the key."""
        for entry, entity in zip(plan.entries, plan.entities, strict=True):
            kept = record(entry, entity, stamp, first=first)
            self.changes.records.append(kept)
            if first:
                self.keyed[stamp.key] = kept
            first = False
            self.changes.entities[entity.ref] = entity
            self.world[entity.ref] = entity
            if entry.facts:
                self._remember_given(entity, entry.facts)
        keys: list[str] = []
        for request in plan.then:
            key = f"{stamp.key}{FOLLOWS}{request.command}"
            key = key if key not in keys else f"{key}{len(keys) + 1}"
            keys.append(key)
            machine = self.machines.at(request.machine, self.world[request.machine, request.id].machine_version)
            args = encode(resolve.kept(machine, request.command, request.args))
            self.changes.queue[key] = QueueRow(
                key, request.machine, request.id, request.command, args, self.at,
                by=stamp.by, reason=stamp.reason, cause=stamp.key,
            )  # fmt: skip
        return tuple(keys)

    def _remember_given(self, entity: Entity, changed: Mapping[str, object]) -> None:
        fact = self.machines[entity.machine].unique
        if fact is not None and changed.get(fact) is not None:
            self._given.setdefault((entity.machine, changed[fact]), []).append(entity.ref)

    def write(self) -> None:
        self.transaction.write(self.changes, self.at)

    # Telling

    def told(self, seen: Record, row: CallRow | None) -> Receipt:
        """What became of a command that was seen before."""
        key = str(seen.key)
        fresh = [each for each in self.changes.records if each.cause == key]
        receipt = told(seen, row, [*self.transaction.caused(key), *fresh])
        kept = {each.key for each in self.transaction.following(key)}
        kept |= {each.key for each in self.changes.queue.values() if each.cause == key}
        return attrs.evolve(receipt, follow_ups=tuple(sorted(kept)))

    def told_of(self, row: CallRow) -> Receipt:
        """What became of the command that opened a call."""
        seen = self.keyed.get(row.key) or self.transaction.keyed([row.key])[row.key]
        return self.told(seen, row)

"""A store in memory: for simulation, tests, and trying things out. One lock, whole changes or none."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tallystick.entity import Entity, Ref
from tallystick.errors import NotInTransaction
from tallystick.machine import Machines
from tallystick.store import CallRow, Changes, QueueRow, Record


class MemoryStore:
    url = "memory:"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._entities: dict[Ref, Entity] = {}
        self._records: list[Record] = []
        self._by_key: dict[str, Record] = {}
        self._by_cause: dict[str, list[Record]] = {}
        self._by_entity: dict[Ref, list[Record]] = {}
        self._calls: dict[str, CallRow] = {}
        self._queue: dict[str, QueueRow] = {}

    @contextmanager
    def transaction(self) -> Iterator[MemoryStore]:
        with self._lock:
            yield self

    reading = transaction

    def joined(self, connection: Any) -> MemoryStore:
        raise NotInTransaction("a store in memory has no connection to join")

    def machines(self, machines: Machines) -> Machines:
        return machines

    def close(self) -> None: ...

    # Transaction

    def entities(self, refs: Iterable[Ref]) -> dict[Ref, Entity]:
        return {ref: self._entities[ref] for ref in refs if ref in self._entities}

    def keyed(self, keys: Iterable[str]) -> dict[str, Record]:
        return {key: self._by_key[key] for key in keys if key in self._by_key}

    def caused(self, key: str) -> list[Record]:
        return list(self._by_cause.get(key, ()))

    def call(self, id: str) -> CallRow | None:
        return self._calls.get(id)

    def queued(self, keys: Iterable[str]) -> dict[str, QueueRow]:
        return {key: self._queue[key] for key in keys if key in self._queue}

    def write(self, changes: Changes, at: str) -> None:
        for each in changes.records:
            kept = each._replace(seq=len(self._records) + 1)
            self._records.append(kept)
            self._by_entity.setdefault((kept.machine, kept.entity), []).append(kept)
            if kept.key is not None:
                self._by_key[kept.key] = kept
            if kept.cause is not None:
                self._by_cause.setdefault(kept.cause, []).append(kept)
        self._entities |= changes.entities
        self._calls |= changes.calls
        self._queue |= changes.queue

    # Reading

    def entity(self, machine: str, id: str) -> Entity | None:
        return self.entities([(machine, id)]).get((machine, id))

    def all(self, machine: str) -> Iterator[Entity]:
        yield from [each for ref, each in sorted(self._entities.items()) if ref[0] == machine]

    def journal(self, machine: str | None = None, id: str | None = None) -> Iterator[Record]:
        for ref in sorted(self._by_entity):
            if machine in (None, ref[0]) and id in (None, ref[1]):
                yield from self._by_entity[ref]

    def chronicle(self, last: int) -> list[Record]:
        return self._records[-last:]

    def linked(self, machine: str, fact: str, id: str) -> list[Entity]:
        return [each for each in self.all(machine) if each.facts.get(fact) == id]

    def calls(self, *, asked_before: str | None = None) -> list[CallRow]:
        found = [each for each in self._calls.values() if each.state == "open"]
        return sorted((each for each in found if not asked_before or each.asked < asked_before), key=lambda c: c.asked)

    def all_calls(self) -> Iterator[CallRow]:
        yield from self._calls.values()

    def due(self, now: str, limit: int) -> list[QueueRow]:
        found = [each for each in self._queue.values() if each.state == "waiting" and each.due <= now]
        return sorted(found, key=lambda row: (row.due, row.key))[:limit]

    def following(self, cause: str) -> list[QueueRow]:
        return sorted((each for each in self._queue.values() if each.cause == cause), key=lambda row: row.key)

    def queue(self, *, state: str | None = None) -> list[QueueRow]:
        found = [each for each in self._queue.values() if state in (None, each.state)]
        return sorted(found, key=lambda row: (row.due, row.key))

    def find(self, text: str) -> list[Ref]:
        return sorted(ref for ref, each in self._entities.items() if text in (ref[1], each.facts.get("number")))

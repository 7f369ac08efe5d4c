"""A store in memory, for simulation, tests, and to try things out. One lock, and all changes or none."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tallystick.core.entity import Entity, Ref
from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machine, Machines
from tallystick.errors import MachineChanged, NotInTransaction, StoreError
from tallystick.masks import quoted
from tallystick.store.cursor import seq_of
from tallystick.store.protocol import UNFINISHED, DeclaredStep, Depth, Done, Found, KeptPage, Swap, retried
from tallystick.store.rows import (
    CALL_ASKS,
    CALL_ENDED,
    CALL_STAYS,
    QUEUE_STAYS,
    CallRow,
    Changes,
    EntryRow,
    QueueRow,
    with_linked,
)
from tallystick.store.schema import steps
from tallystick.store.schema.kept import check_words
from tallystick.store.waits import Scheduled, Waits, is_dated


class MemoryStore:
    url, gapless = "memory:", True

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._entities: dict[Ref, Entity] = {}
        self._entries: list[EntryRow] = []
        self._by_key: dict[str, EntryRow] = {}
        self._by_cause: dict[str, list[EntryRow]] = {}
        self._by_entity: dict[Ref, list[EntryRow]] = {}
        self._calls: dict[str, CallRow] = {}
        self._open: dict[str, CallRow] = {}
        self._calls_on: dict[Ref, dict[str, None]] = {}  # ids; of some, the writing was undone
        self._claiming: dict[str, str] = {}  # by what it claims, the id of a call; of some, the writing was undone
        self._queue: dict[str, QueueRow] = {}
        self._waiting: dict[str, QueueRow] = {}
        self._waiting_on: dict[Ref, dict[str, None]] = {}  # their keys
        self._following: dict[str, dict[str, None]] = {}  # keys, likewise
        self._machines: dict[tuple[str, int], Machine] = {}
        self._seen: dict[tuple[str, int], str] = {}
        self._newest = Machines([])
        self._having: dict[tuple[str, object], dict[Ref, None]] = {}  # by unique fact; some have had it once
        self._undo: list[Callable[[], object]] = []
        self._shared: dict[str, tuple[str, float | None]] = {}
        self._copy: sqlite3.Connection | None = None  # for questions in SQL, until the next change

    def run(self, job: Callable[[MemoryStore], Done], *, connection: Any = None) -> Done:
        if connection is not None:
            raise NotInTransaction("a store in memory has no connection to join")
        return retried(self._run, job)

    def _run(self, job: Callable[[MemoryStore], Done]) -> Done:
        with self._lock:
            self._undo, self._copy = [], None
            try:
                return job(self)
            except BaseException:
                for undo in reversed(self._undo):
                    undo()
                raise

    @contextmanager
    def reading(self) -> Iterator[MemoryStore]:
        with self._lock:
            yield self

    def machines(self, machines: Machines) -> Machines:
        for machine in machines.all():
            kept = self._machines.get((machine.name, machine.version))
            if kept is not None and kept is not machine and digest_of(kept) != digest_of(machine):
                raise MachineChanged(f"{machine.name} version {machine.version} behaves otherwise than it did before; "
                                     "give the changed page a new version")  # fmt: skip
            if kept is not None:
                check_words(kept, machine)
        now = f"{len(self._seen):09}"  # sorts as the time does at which pages came
        self._seen = {(each.name, each.version): now for each in machines.all()} | self._seen
        self._machines |= {(each.name, each.version): each for each in machines.all()}
        self._newest, self._copy = Machines(list(self._machines.values())), None
        return self._newest

    def exists(self) -> bool:
        return True

    def close(self) -> None: ...

    # Shared

    def load(self, name: str) -> str | None:
        with self._lock:
            return self._shared[name][0] if name in self._shared else None

    def swap(self, name: str, old: str | None, new: str, until: float | None = None) -> bool:
        with self._lock:
            if self.load(name) != old:
                return False
            self._replace(self._shared, {name: (new, until)})
            return True

    shared = load

    def texts(self, names: Sequence[str]) -> dict[str, str]:
        return {name: text for name in names if (text := self.load(name)) is not None}

    def swap_all(self, swaps: Sequence[Swap]) -> set[str]:
        return {each.name for each in swaps if self.swap(*each)}

    def forget(self, now: float) -> None:
        with self._lock:
            kept = self._shared.items()
            self._shared = {name: each for name, each in kept if each[1] is None or each[1] >= now}

    # Transaction

    def look(self, refs: Iterable[Ref], keys: Iterable[str] = ()) -> Found:
        keys = list(keys)
        return Found(with_linked(self._newest, self.entities, refs), self.keyed(keys), self.queued(keys))

    lock = look  # the whole store is locked

    def wait_at_most(self, seconds: float) -> None: ...

    def entities(self, refs: Iterable[Ref]) -> dict[Ref, Entity]:
        return {ref: self._entities[ref] for ref in refs if ref in self._entities}

    def keyed(self, keys: Iterable[str]) -> dict[str, EntryRow]:
        return {key: self._by_key[key] for key in keys if key in self._by_key}

    def caused(self, key: str) -> list[EntryRow]:
        return list(self._by_cause.get(key, ()))

    def call(self, id: str) -> CallRow | None:
        return self._calls.get(id)

    peek_call = call

    def queued(self, keys: Iterable[str]) -> dict[str, QueueRow]:
        return {key: self._queue[key] for key in keys if key in self._queue}

    def write(self, changes: Changes, at: str) -> None:
        self._copy = None
        for each in changes.entries:
            self._append(each)
        self._fit(changes)
        self._replace(self._entities, changes.entities, self._index_entity)
        self._replace(self._calls, changes.calls, self._index_call)
        self._replace(self._queue, changes.queue, self._index_queue)
        self._alone(changes)

    def _fit(self, changes: Changes) -> None:
        """What a call or a queued command is about stays; so does what it asks for, and how it ended."""
        for row in changes.calls.values():
            old = self._calls.get(row.id)
            anew = old is not None and (old.state, row.state) == ("unavailable", "open")
            stays = (*CALL_STAYS, *(() if anew else CALL_ASKS))
            stays = stays if old is None or old.state == "open" or anew else (*stays, *CALL_ENDED)
            stays = (*stays, "late") if old is not None and old.late is not None and not anew else stays
            _same("call", row.id, old, row, stays)
        for queued in changes.queue.values():
            _same("queued command", queued.key, self._queue.get(queued.key), queued, QUEUE_STAYS)

    def _alone(self, changes: Changes) -> None:
        """A value of a unique fact belongs to one entity of a currency, and to one open call."""
        for (machine, id), entity in changes.entities.items():
            unique = self._unique(machine)
            value = entity.facts.get(unique) if unique else None
            for other in self.linked(machine, str(unique), str(value)) if value is not None else []:
                if other.id != id and other.currency == entity.currency:
                    raise StoreError(f"{machine} {other.id!r} has the {unique} of {machine} {id!r} already")
        for row in changes.calls.values():
            same = [each.id for each in self._open.values() if each.takes == row.takes] if row.takes else []
            if len(same) > 1:
                raise StoreError(f"calls {' and '.join(same)} would take the same")
            if row.claims and self._claiming.setdefault(row.claims, row.id) != row.id:
                before = self.claiming(row.claims)
                if before is not None:
                    raise StoreError(f"call {row.id} would claim what call {before.id} claims")
                self._claiming[row.claims] = row.id

    def _index_entity(self, ref: Ref, entity: Entity | None) -> None:
        unique = self._unique(ref[0])
        value = entity.facts.get(unique) if entity is not None and unique else None
        if value is None:
            return
        self._having.setdefault((ref[0], value), {})[ref] = None

    def _unique(self, machine: str) -> str | None:
        return self._newest[machine].unique if machine in self._newest else None

    def _index_call(self, id: str, row: CallRow | None) -> None:
        if row is None or row.state != "open":
            self._open.pop(id, None)
        else:
            self._open[id] = row
        if row is not None:
            self._calls_on.setdefault((row.machine, row.entity), {})[id] = None

    def _index_queue(self, key: str, row: QueueRow | None) -> None:
        if row is None or row.state != "waiting":
            old = self._waiting.pop(key, None)
            if old is not None:
                self._waiting_on[old.machine, old.entity].pop(key, None)
        else:
            self._waiting[key] = row
            self._waiting_on.setdefault((row.machine, row.entity), {})[key] = None
        if row is not None and row.cause is not None:
            self._following.setdefault(row.cause, {})[key] = None

    def _append(self, entry: EntryRow) -> None:
        ref = entry.machine, entry.entity
        before = self._by_entity.setdefault(ref, [])
        if entry.key in self._by_key or entry.revision != len(before) + 1:
            raise StoreError(f"entry {entry.revision} of {ref[0]} {ref[1]!r} is there already, or its key is")
        kept = entry._replace(seq=len(self._entries) + 1)
        self._entries.append(kept)
        before.append(kept)
        self._undo += [self._entries.pop, before.pop]
        if kept.key is not None:
            self._by_key[kept.key] = kept
            self._undo.append(lambda: self._by_key.pop(str(kept.key)))
        if kept.cause is not None:
            causes = self._by_cause.setdefault(kept.cause, [])
            causes.append(kept)
            self._undo.append(causes.pop)

    def _replace(
        self, there: dict[Any, Any], new: dict[Any, Any], index: Callable[[Any, Any], None] = lambda *_: None
    ) -> None:
        if not new:
            return
        old = {key: there.get(key) for key in new}
        there |= new
        for key, value in new.items():
            index(key, value)

        def undo() -> None:
            for key, value in old.items():
                if value is None:
                    del there[key]
                else:
                    there[key] = value
                index(key, value)

        self._undo.append(undo)

    # Reading

    def entity(self, machine: str, id: str) -> Entity | None:
        return self.entities([(machine, id)]).get((machine, id))

    def all(self, machine: str) -> Iterator[Entity]:
        yield from [each for ref, each in sorted(self._entities.items()) if ref[0] == machine]

    def standing(self, machine: str, account: str, *, created_before: str | None = None) -> Iterator[Entity]:
        there = (each for each in self.all(machine) if each.accounts.get(account))
        found = [(self._by_entity[each.ref][0].happened, each) for each in there]
        for at, entity in sorted(found, key=lambda each: (each[0], each[1].id)):
            if created_before is None or at < created_before:
                yield entity

    def page(self, machine: str, *, state: str | None = None, after: str = "", limit: int) -> list[Entity]:
        found = [each for each in self.all(machine) if each.id > after and state in (None, each.state)]
        return sorted(found, key=lambda each: each.id)[:limit]

    def ending(self, end: str, limit: int) -> list[Ref]:
        numbers = ((ref, each.facts.get("number")) for ref, each in self._entities.items())
        found = (ref for ref, number in numbers if end and number is not None and str(number).endswith(end))
        return sorted(found)[:limit]

    def journal(self, machine: str | None = None, id: str | None = None) -> Iterator[EntryRow]:
        if machine is not None and id is not None:
            yield from self._by_entity.get((machine, id), ())
            return
        for ref in sorted(ref for ref, entries in self._by_entity.items() if entries):
            if machine in (None, ref[0]) and id in (None, ref[1]):
                yield from self._by_entity[ref]

    def chronicle(self, last: int) -> list[EntryRow]:
        return self._entries[-last:] if last > 0 else []

    def tail(self, after: str | None, limit: int, *, settled: bool = True) -> tuple[list[EntryRow], str]:
        seq = seq_of(after, len(self._entries))
        rows = self._entries[seq : seq + limit]
        return rows, str(seq + len(rows))

    def linked(self, machine: str, fact: str, id: str) -> list[Entity]:
        if fact == self._unique(machine):
            refs = sorted(self._having.get((machine, id), ()))
            return [each for ref in refs if (each := self._entities.get(ref)) and each.facts.get(fact) == id]
        return [each for each in self.all(machine) if each.facts.get(fact) == id]

    def taking(self, value: str) -> CallRow | None:
        return next((each for each in self._open.values() if each.takes == value), None)

    def claiming(self, transaction: str) -> CallRow | None:
        row = self._calls.get(self._claiming.get(transaction, ""))
        return row if row is not None and row.claims == transaction else None

    def calls(self, *, asked_before: str | None = None) -> list[CallRow]:
        found = self._open.values()
        return sorted((each for each in found if not asked_before or each.asked < asked_before), key=lambda c: c.asked)

    def calls_on(self, machine: str, id: str) -> list[CallRow]:
        found = [self._calls[each] for each in self._calls_on.get((machine, id), ()) if each in self._calls]
        return sorted(found, key=lambda row: (row.opened, row.id))

    def late_answers(self) -> list[CallRow]:
        found = (each for each in self._calls.values() if each.late is not None and each.unclear)
        return sorted(found, key=lambda row: (row.closed or "", row.id))

    def all_calls(self) -> Iterator[CallRow]:
        yield from [each for _, each in sorted(self._calls.items())]

    def due(self, now: str, limit: int) -> list[QueueRow]:
        found = [each for each in self._waiting.values() if each.due <= now]
        return sorted(found, key=lambda row: (row.due, row.key))[:limit]

    def following(self, cause: str) -> list[QueueRow]:
        found = [self._queue[key] for key in self._following.get(cause, ()) if key in self._queue]
        return sorted(found, key=lambda row: row.key)

    def waiting(self, machine: str, id: str) -> list[QueueRow]:
        found = [self._waiting[key] for key in self._waiting_on.get((machine, id), ())]
        return sorted(found, key=lambda row: (row.due, row.key))

    def waits(self, which: Waits) -> list[QueueRow]:
        found = [each for each in self._waiting.values() if which.takes(each)]
        return sorted(found, key=lambda row: (row.due, row.key))[: which.limit]

    def scheduled(self, now: str) -> list[Scheduled]:
        found: dict[tuple[str, str, str], list[str]] = {}
        for row in self._waiting.values():
            if is_dated(row) and row.due > now:
                found.setdefault((row.machine, row.command, row.due[:10]), []).append(row.due)
        return sorted(Scheduled(*of, len(due), min(due)) for of, due in found.items())

    def queue(self, *, state: str | None = None) -> list[QueueRow]:
        rows = self._waiting if state == "waiting" else self._queue
        found = [each for each in rows.values() if state in (None, each.state)]
        return sorted(found, key=lambda row: (row.due, row.key))

    def all_queued(self) -> Iterator[QueueRow]:
        yield from [each for _, each in sorted(self._queue.items())]

    def depth(self, now: str) -> Depth:
        states = Counter(each.state for each in self._queue.values())
        due = [each.due for each in self._waiting.values()]
        by_state = {state: states[state] for state in UNFINISHED}
        dated = sum(is_dated(each) and each.due > now for each in self._waiting.values())
        return Depth(by_state, sum(each <= now for each in due), min(due, default=None), dated)

    def find(self, text: str) -> list[Ref]:
        return sorted(ref for ref, each in self._entities.items() if text in (ref[1], each.facts.get("number")))

    def select(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        from tallystick.store.memory_copy import in_sqlite

        if self._copy is None:
            self._copy = in_sqlite(self, self._newest)
        return self._copy.execute(query, values).fetchall()

    def pages(self) -> list[KeptPage]:
        return [KeptPage(each.name, each.version, digest_of(each), each.text, self._seen[each.name, each.version])
                for each in self._newest.all()]  # fmt: skip

    def steps(self) -> set[DeclaredStep]:
        return {step for machine in self._newest.all() for step in steps(machine)}


def _same(what: str, name: str, old: object, new: object, columns: tuple[str, ...]) -> None:
    changed = [each for each in columns if old is not None and getattr(old, each) != getattr(new, each)]
    if changed:
        raise StoreError(f"{what} {quoted(name)} is there with another {changed[0]}, which is never changed")

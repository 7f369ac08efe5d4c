"""What a transaction does in PostgreSQL between BEGIN and COMMIT.

It is READ COMMITTED with row locks: each statement sees what was committed before it, and what has to stay is locked.
SERIALIZABLE does a tenth of the work. What is written waits until COMMIT, or until something is read, and goes in one
pipeline with that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs
import psycopg

from tallystick.core.entity import Entity, Ref
from tallystick.errors import StoreError
from tallystick.store.postgres.failures import NOTHING
from tallystick.store.postgres.reading import Cursor, Known, PostgresReading
from tallystick.store.postgres.schema import PostgresTable
from tallystick.store.postgres.statements import Ask
from tallystick.store.protocol import Found, Swap
from tallystick.store.rows import Changes
from tallystick.store.sums import SUMS, Counted


class PostgresTransaction(PostgresReading):
    BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
    LOCKING = " FOR NO KEY UPDATE"  # who writes a row that links here needs the id only, and does not wait

    def __init__(
        self, connection: psycopg.Connection[Any], known: Known, settings: str = "", *, begun: bool = False
    ) -> None:
        super().__init__(connection, known, settings, begun=begun)
        self._read: dict[Ref, Entity] = {}
        self._unsent: list[Ask] = []
        self._texts: dict[str, str | None] = {}  # shared ones that stay as they are until the end
        self._asked: list[str] = []
        self.committing = False

    def _before(self) -> list[Ask]:
        before = super()._before() + self._unsent
        self._unsent = []
        return before

    def wait_at_most(self, seconds: float) -> None:
        milliseconds = max(1, round(seconds * 1000))  # 0 would wait for ever
        self._unsent.append(("SELECT set_config('lock_timeout', %s, true)", (str(milliseconds),)))

    def lock(self, refs: Iterable[Ref], keys: Iterable[str] = ()) -> Found:
        found = self.look(refs, keys)
        self._read |= found.entities
        return found

    peek_call = PostgresReading.call

    def linked(self, machine: str, fact: str, id: str) -> list[Entity]:
        found = super().linked(machine, fact, id)
        self._read |= {each.ref: each for each in found}
        return found

    def shared(self, name: str) -> str | None:
        """A text that nobody swaps before this transaction has ended: what was decided by it stays right."""
        self._known.watched.add(name)
        if name not in self._texts:
            _, cursor = self._trip(self._statements.watch(name, "_shared"), self._statements.shared(name))
            row = cursor.fetchone()
            self._texts[name] = row[0] if row else None
        return self._texts[name]

    def _aside(self, keys: list[str]) -> list[Ask]:
        self._asked = [name for name in sorted(self._known.watched) if name not in self._texts]
        if not keys and not self._asked:
            return []
        watches = [self._statements.watch(name, "_shared") for name in self._asked]
        return [*watches, self._statements.known(keys, self._asked)]

    def _read_aside(self, cursor: Cursor) -> bool:
        seen, *texts = cursor.fetchone() or (False,)
        self._texts |= zip(self._asked, texts, strict=True)
        return bool(seen)

    def swap(self, name: str, old: str | None, new: str, until: float | None = None) -> bool:
        _, cursor = self._trip(self._statements.watch(name), self._statements.swap(name, old, new, until))
        self._texts.pop(name, None)
        return cursor.rowcount == 1

    def swap_all(self, swaps: Sequence[Swap]) -> set[str]:
        if not swaps:
            return set()
        _, cursor = self._trip(*self._statements.swap_all(swaps))
        return {name for (name,) in cursor.fetchall()}

    def forget(self, now: float) -> None:
        self._trip((f"DELETE FROM {self._statements.named('shared')} WHERE until < %s", (now,)))

    # Writing

    def write(self, changes: Changes, at: str) -> None:
        """Entries come first. A change to what is no longer as it was read meets an entry with its number there."""
        if changes.entries:
            self._unsent.append(self._statements.entry.insert([entry[:-1] for entry in changes.entries]))
        by_machine: dict[str, list[Entity]] = {}
        made_at = changes.made_at(at)
        for entity in changes.entities.values():
            by_machine.setdefault(entity.machine, []).append(entity)
        for name in self._known.order:
            self._unsent += self._put(self._tables[name], by_machine.get(name, ()), at, made_at)
        for rows, kept in ((self._statements.call, changes.calls), (self._statements.queue, changes.queue)):
            if kept:
                self._unsent.append(rows.insert([attrs.astuple(row) for row in kept.values()]))

    def _put(
        self, table: PostgresTable, entities: Iterable[Entity], at: str, made_at: Callable[[Ref], str]
    ) -> Iterator[Ask]:
        """Insert those that were not there. Of the others, change what has moved."""
        new, moved, changed = [], [], []
        for entity in entities:
            before = self._read.get(entity.ref)
            if before is None:
                new.append(table.inserted(entity, at, made_at(entity.ref)))
            elif entity.facts is before.facts and entity.machine_version == before.machine_version:
                moved.append(table.moved(entity, before.revision, at))
            else:
                changed.append(table.changed(entity, before.revision, at))
        if new:
            yield table.rows.insert(new)
        if moved:
            yield table.rows.update(table.moves, moved)
        if changed:
            yield table.rows.update(table.changes, changed)

    def count(self, counted: Counted, *, anew: bool) -> None:
        if anew:
            self._unsent += [(f"DELETE FROM {self._statements.named(table)}", ()) for table in (*SUMS, "_seen")]
        every = {**counted.sums, "_seen": counted.seen}
        self._unsent += [self._statements.sums[table].insert(rows) for table, rows in every.items() if rows]

    def flush(self) -> None:
        """Send what is written. Its errors come here."""
        if self._unsent:
            self._trip()

    def commit(self) -> None:
        """Send what is written, and COMMIT, in one trip."""
        if not self._begun and not self._unsent:
            return
        self.committing = True
        (cursor,) = self._trip(("COMMIT", ()))
        if cursor.statusmessage != "COMMIT":
            raise StoreError(f"PostgreSQL answered COMMIT with {cursor.statusmessage}; {NOTHING}")

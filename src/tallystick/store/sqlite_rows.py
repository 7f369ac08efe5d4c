"""The SQL for SQLite: what one consistent look reads, and what a transaction writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.errors import StoreError
from tallystick.store import schema
from tallystick.store.cursor import seq_of
from tallystick.store.protocol import UNFINISHED, DeclaredStep, Depth, Found, KeptPage, Swap
from tallystick.store.rows import CALL_STAYS, QUEUE_STAYS, CallRow, Changes, EntryRow, QueueRow, with_linked
from tallystick.store.schema.kept import kept_pages
from tallystick.store.sums import REPLACING, SUMS, Counted, Seen, adding
from tallystick.store.waits import Scheduled, Waits, depth, scheduled

CHUNK = 500  # values in one IN (…): SQLite takes 999 and more, a plan stays readable

_ENTRY = ", ".join(name for name in EntryRow._fields if name != "seq")
_CALL = ", ".join(field.name for field in attrs.fields(CallRow))
_QUEUE = ", ".join(field.name for field in attrs.fields(QueueRow))
_ENTRIES = f"SELECT {_ENTRY}, seq FROM entry"
_QUEUED = f"SELECT {_QUEUE} FROM queue"
_KNOWN = "SELECT 1 FROM entry WHERE key = ?1 UNION ALL SELECT 1 FROM queue WHERE key = ?1"
_ADD_ENTRY = f"INSERT INTO entry ({_ENTRY}) VALUES ({', '.join('?' * (len(EntryRow._fields) - 1))})"
# By state, in the words of the partial indexes: they are not used where a state is a parameter
_BY_INDEX = {"waiting": "state = 'waiting'"} | {
    state: f"{schema.GIVEN_UP} AND state = '{state}'" for state in ("refused", "declined", "parked")
}


class SqliteReading:
    """One consistent look, or what a transaction reads."""

    def __init__(self, connection: sqlite3.Connection, tables: dict[str, schema.Table], machines: Machines) -> None:
        self._machines = machines
        self._cursor = connection.cursor()
        self._cursor.row_factory = None  # the caller's connection may have its own
        self._tables = tables

    def close(self) -> None:
        """Give up the last statement. While one is kept, closing the connection does not undo its transaction."""
        try:  # noqa: SIM105  # `suppress` takes a microsecond of each command
            self._cursor.close()
        except sqlite3.Error:  # the connection is closed already
            pass

    def _own_cursor(self) -> sqlite3.Cursor:
        """For rows that are read one by one, while others are looked up."""
        cursor = self._cursor.connection.cursor()
        cursor.row_factory = None
        return cursor

    def look(self, refs: Iterable[Ref], keys: Iterable[str] = ()) -> Found:
        keys = list(keys)
        if len(keys) == 1 and self._cursor.execute(_KNOWN, keys).fetchone() is None:  # new, as most are
            return Found(with_linked(self._machines, self.entities, refs), {}, {})
        return Found(with_linked(self._machines, self.entities, refs), self.keyed(keys), self.queued(keys))

    def entity(self, machine: str, id: str) -> Entity | None:
        return self.entities([(machine, id)]).get((machine, id))

    def entities(self, refs: Iterable[Ref]) -> dict[Ref, Entity]:
        ids: dict[str, list[str]] = {}
        for machine, id in refs:
            ids.setdefault(machine, []).append(id)
        found = {}
        for machine, wanted in ids.items():
            table = self._tables[machine]
            for row in self._select(table.select, "id", wanted):
                found[machine, row[0]] = table.entity(row)
        return found

    def _select(self, select: str, column: str, wanted: list[str]) -> list[tuple[Any, ...]]:
        if len(wanted) == 1:
            return self._cursor.execute(f"{select} WHERE {column} = ?", wanted).fetchall()
        found = []
        for start in range(0, len(wanted), CHUNK):
            part = wanted[start : start + CHUNK]
            marks = ", ".join("?" * len(part))
            found += self._cursor.execute(f"{select} WHERE {column} IN ({marks})", part).fetchall()
        return found

    def all(self, machine: str) -> Iterator[Entity]:
        table = self._tables[machine]
        for row in self._own_cursor().execute(f"{table.select} ORDER BY id"):
            yield table.entity(row)

    def standing(self, machine: str, account: str, *, created_before: str | None = None) -> Iterator[Entity]:
        table = self._tables[machine]
        select = f'{table.select} WHERE "{account}" > 0 AND created < ? ORDER BY created, id'
        for row in self._own_cursor().execute(select, (created_before or "~",)):
            yield table.entity(row)

    def page(self, machine: str, *, state: str | None = None, after: str = "", limit: int) -> list[Entity]:
        table = self._tables[machine]
        which, given = ("AND state = ? ", [state]) if state is not None else ("", [])
        select = f"{table.select} WHERE id > ? {which}ORDER BY id LIMIT ?"
        return [table.entity(row) for row in self._cursor.execute(select, [after, *given, limit]).fetchall()]

    def ending(self, end: str, limit: int) -> list[Ref]:
        numbered = [name for name, table in sorted(self._tables.items()) if "number" in table.facts]
        select = " UNION ALL ".join(
            f'SELECT \'{name}\', id FROM "{name}" WHERE substr("number", ?1) = ?2' for name in numbered
        )
        if not (end and numbered):
            return []
        return self._cursor.execute(f"{select} ORDER BY 1, 2 LIMIT ?3", (-len(end), end, limit)).fetchall()

    def keyed(self, keys: Iterable[str]) -> dict[str, EntryRow]:
        rows = self._select(_ENTRIES, "key", list(keys))
        return {str(entry.key): entry for entry in map(EntryRow._make, rows)}

    def caused(self, key: str) -> list[EntryRow]:
        rows = self._cursor.execute(f"{_ENTRIES} WHERE cause = ? ORDER BY seq", (key,))
        return [EntryRow._make(row) for row in rows.fetchall()]

    def call(self, id: str) -> CallRow | None:
        row = self._cursor.execute(f"SELECT {_CALL} FROM call WHERE id = ?", (id,)).fetchone()
        return CallRow(*row) if row else None

    def queued(self, keys: Iterable[str]) -> dict[str, QueueRow]:
        rows = self._select(_QUEUED, "key", list(keys))
        return {row[0]: QueueRow(*row) for row in rows}

    def journal(self, machine: str | None = None, id: str | None = None) -> Iterator[EntryRow]:
        terms = [f"{name} = ?" for name, value in (("machine", machine), ("entity", id)) if value is not None]
        where = f" WHERE {' AND '.join(terms)}" if terms else ""
        given = [value for value in (machine, id) if value is not None]
        for row in self._own_cursor().execute(f"{_ENTRIES}{where} ORDER BY machine, entity, revision", given):
            yield EntryRow._make(row)

    def chronicle(self, last: int) -> list[EntryRow]:
        rows = self._cursor.execute(f"{_ENTRIES} ORDER BY seq DESC LIMIT ?", (last,)).fetchall()
        return [EntryRow._make(row) for row in reversed(rows)]

    def tail(self, after: str | None, limit: int, *, settled: bool = True) -> tuple[list[EntryRow], str]:
        """The only writer gives each entry the next number, so numbers are in the order of the commits."""
        (newest,) = self._cursor.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()
        seq = seq_of(after, newest)
        select = f"SELECT {_ENTRY}, seq FROM entry WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = [EntryRow._make(row) for row in self._cursor.execute(select, (seq, limit)).fetchall()]
        return rows, str(rows[-1].seq if rows else seq)

    def linked(self, machine: str, fact: str, id: str) -> list[Entity]:
        table = self._tables[machine]
        return [table.entity(row) for row in self._select(table.select, f'"{fact}"', [id])]

    def calls(self, *, asked_before: str | None = None) -> list[CallRow]:
        rows = self._cursor.execute(
            f"SELECT {_CALL} FROM call WHERE state = 'open' AND asked < ? ORDER BY asked, id", (asked_before or "~",)
        )
        return [CallRow(*row) for row in rows.fetchall()]

    def calls_on(self, machine: str, id: str) -> list[CallRow]:
        select = f"SELECT {_CALL} FROM call WHERE machine = ? AND entity = ? ORDER BY opened, id"
        return [CallRow(*row) for row in self._cursor.execute(select, (machine, id)).fetchall()]

    def taking(self, value: str) -> CallRow | None:
        row = self._cursor.execute(f"SELECT {_CALL} FROM call WHERE takes = ? AND state = 'open'", (value,)).fetchone()
        return CallRow(*row) if row else None

    def claiming(self, transaction: str) -> CallRow | None:
        row = self._cursor.execute(f"SELECT {_CALL} FROM call WHERE claims = ?", (transaction,)).fetchone()
        return CallRow(*row) if row else None

    def late_answers(self) -> list[CallRow]:
        rows = self._cursor.execute(f"SELECT {_CALL} FROM call WHERE late IS NOT NULL AND unclear ORDER BY closed, id")
        return [CallRow(*row) for row in rows.fetchall()]

    def all_calls(self) -> Iterator[CallRow]:
        for row in self._own_cursor().execute(f"SELECT {_CALL} FROM call ORDER BY id"):
            yield CallRow(*row)

    def due(self, now: str, limit: int) -> list[QueueRow]:
        rows = self._cursor.execute(
            f"{_QUEUED} WHERE state = 'waiting' AND due <= ? ORDER BY due, key LIMIT ?", (now, limit)
        )
        return [QueueRow(*row) for row in rows.fetchall()]

    def following(self, cause: str) -> list[QueueRow]:
        rows = self._cursor.execute(f"{_QUEUED} WHERE cause = ? ORDER BY key", (cause,))
        return [QueueRow(*row) for row in rows.fetchall()]

    def waiting(self, machine: str, id: str) -> list[QueueRow]:
        terms = "state = 'waiting' AND machine = ? AND entity = ?"
        rows = self._cursor.execute(f"{_QUEUED} WHERE {terms} ORDER BY due, key", (machine, id))
        return [QueueRow(*row) for row in rows.fetchall()]

    def waits(self, which: Waits) -> list[QueueRow]:
        rest, values = which.sql()
        return [QueueRow(*row) for row in self._cursor.execute(f"{_QUEUED} {rest}", values).fetchall()]

    def scheduled(self, now: str) -> list[Scheduled]:
        return sorted(Scheduled(*row) for row in self._cursor.execute(scheduled("queue"), (now,)).fetchall())

    def queue(self, *, state: str | None = None) -> list[QueueRow]:
        which = "" if state is None else f" WHERE {_BY_INDEX.get(state, 'state = ?')}"
        given = [] if state is None or state in _BY_INDEX else [state]
        rows = self._cursor.execute(f"{_QUEUED}{which} ORDER BY due, key", given)
        return [QueueRow(*row) for row in rows.fetchall()]

    def all_queued(self) -> Iterator[QueueRow]:
        for row in self._own_cursor().execute(f"{_QUEUED} ORDER BY key"):
            yield QueueRow(*row)

    def depth(self, now: str) -> Depth:
        count, dated, due, oldest = self._cursor.execute(depth("queue"), (now, now)).fetchone()
        given_up = f"SELECT state, count(*) FROM queue WHERE {schema.GIVEN_UP} GROUP BY state"
        found = {"waiting": count, **dict(self._cursor.execute(given_up).fetchall())}
        return Depth({state: found.get(state, 0) for state in UNFINISHED}, due, oldest, dated)

    def find(self, text: str) -> list[Ref]:
        found = []
        for name, table in sorted(self._tables.items()):
            terms = ["id = ?", *(['"number" = ?'] if "number" in table.facts else [])]
            select = f'SELECT id FROM "{name}" WHERE {" OR ".join(terms)} ORDER BY id'
            rows = self._cursor.execute(select, [text] * len(terms)).fetchall()
            found += [(name, id) for (id,) in rows]
        return found

    def select(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._own_cursor().execute(query, values).fetchall()

    def pages(self) -> list[KeptPage]:
        return kept_pages(self._cursor)

    def steps(self) -> set[DeclaredStep]:
        select = "SELECT machine, machine_version, name, command, phase, from_state, to_state FROM transition"
        return set(self._cursor.execute(select).fetchall())

    def shared(self, name: str) -> str | None:
        row = self._cursor.execute("SELECT value FROM shared WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def texts(self, names: Sequence[str]) -> dict[str, str]:
        return {name: text for name in names if (text := self.shared(name)) is not None}


def _into(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


class SqliteTransaction(SqliteReading):
    """The only writer until commit, so nobody else has to be locked out.

    It remembers what it has read. What was not there is inserted; what was there is updated, if its revision is still
    the one that was read.
    """

    def __init__(self, connection: sqlite3.Connection, tables: dict[str, schema.Table], machines: Machines) -> None:
        super().__init__(connection, tables, machines)
        self._read: dict[Ref, Entity] = {}

    def entities(self, refs: Iterable[Ref]) -> dict[Ref, Entity]:
        found = super().entities(refs)
        self._read |= found
        return found

    def linked(self, machine: str, fact: str, id: str) -> list[Entity]:
        found = super().linked(machine, fact, id)
        self._read |= {each.ref: each for each in found}
        return found

    def wait_at_most(self, seconds: float) -> None: ...

    lock = SqliteReading.look
    peek_call = SqliteReading.call

    def write(self, changes: Changes, at: str) -> None:
        try:
            self._write(changes, at)
        except sqlite3.Error as error:
            raise StoreError(f"the database refuses it: {error}; nothing was written") from error

    def _write(self, changes: Changes, at: str) -> None:
        execute = self._cursor.executemany
        if changes.entries:
            execute(_ADD_ENTRY, [entry[:-1] for entry in changes.entries])
        statements: dict[str, list[tuple[Any, ...]]] = {}
        made_at = changes.made_at(at)
        for ref, entity in changes.entities.items():
            table, before = self._tables[ref[0]], self._read.get(ref)
            if before is None:
                statements.setdefault(table.insert, []).append(table.inserted(entity, at, made_at(ref)))
            elif entity.facts is before.facts and entity.machine_version == before.machine_version:
                statements.setdefault(table.move, []).append(table.moved(entity, before.revision, at))
            else:
                statements.setdefault(table.change, []).append(table.changed(entity, before.revision, at))
        for statement, rows in statements.items():
            if execute(statement, rows).rowcount != len(rows):
                raise StoreError("an entity is not as it was read; nothing was written")
        for row in changes.calls.values():
            self._put("call", row, CALL_STAYS)
        for queued in changes.queue.values():
            self._put("queue", queued, QUEUE_STAYS)

    def _put(self, table: str, row: CallRow | QueueRow, stays: tuple[str, ...]) -> None:
        """Change a row where it may be changed, or insert it. A row that differs elsewhere is refused by a trigger."""
        values = {field.name: getattr(row, field.name) for field in attrs.fields(type(row))}
        changes = ", ".join(f"{name} = :{name}" for name in values if name not in stays)
        same = " AND ".join(f"{name} IS :{name}" for name in stays)
        if not self._cursor.execute(f"UPDATE {table} SET {changes} WHERE {same}", values).rowcount:
            marks = ", ".join(f":{name}" for name in values)
            self._cursor.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", values)

    def count(self, counted: Counted, *, anew: bool) -> None:
        if anew:
            for table in (*SUMS, "_seen"):
                self._cursor.execute(f"DELETE FROM {table}")
        for table, rows in counted.sums.items():
            self._cursor.executemany(f"{_into(table, SUMS[table][0])} {adding(table, table)}", rows)
        self._cursor.executemany(f"{_into('_seen', Seen._fields)} {REPLACING}", counted.seen)

    def swap(self, name: str, old: str | None, new: str, until: float | None = None) -> bool:
        if old is None:
            done = self._cursor.execute("INSERT OR IGNORE INTO shared (name, value, until) VALUES (?, ?, ?)",
                                        (name, new, until))  # fmt: skip
        else:
            done = self._cursor.execute("UPDATE shared SET value = ?, until = ? WHERE name = ? AND value = ?",
                                        (new, until, name, old))  # fmt: skip
        return done.rowcount == 1

    def swap_all(self, swaps: Sequence[Swap]) -> set[str]:
        return {each.name for each in swaps if self.swap(*each)}

    def forget(self, now: float) -> None:
        self._cursor.execute("DELETE FROM shared WHERE until < ?", (now,))

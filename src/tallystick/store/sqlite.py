"""SQLite: one file, one writer at a time, every commit on disk before it is answered.

Writes run in our own `BEGIN IMMEDIATE`: a deferred transaction that reads first and then writes fails with
"database is locked" as soon as two do it, and no timeout helps. Threads of one process queue on a lock (SQLite's
own waiting is polling, and unfair); processes on SQLite's. How connections are opened and kept: `connections.py`.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import Any

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machine, Machines
from tallystick.errors import MachineChanged, NotInTransaction, StoreBusy, StoreError
from tallystick.store import schema
from tallystick.store.connections import BUSY, Connections, code_of
from tallystick.store.rows import CallRow, Changes, QueueRow, Record

TIMEOUT = 30.0  # seconds to wait for another process's transaction before StoreBusy
CHUNK = 500  # values in one IN (…): SQLite takes 999 and more, a plan stays readable

_RECORD = ", ".join(name for name in Record._fields if name != "seq")
_CALL = ", ".join(field.name for field in attrs.fields(CallRow))
_CALL_AGAIN = ", ".join(f"{field.name} = excluded.{field.name}" for field in attrs.fields(CallRow))
_QUEUE = ", ".join(field.name for field in attrs.fields(QueueRow))


# No connection may cross a fork: SQLite would take one process's locks for the other's.
_STORES: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
os.register_at_fork(before=lambda: {store.path: store.close() for store in list(_STORES)})  # type: ignore[func-returns-value]


class SqliteStore:
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = TIMEOUT,
        connections: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        """`connections` is the class of the connections: for one that traces or, in tests, fails."""
        self.path: str = os.path.abspath(path)  # a daemon may change its folder later
        self.connections = connections
        self.url = f"sqlite:///{self.path}"
        self._timeout = timeout
        self._tables: dict[str, schema.Table] = {}
        self._start()
        _STORES.add(self)

    # Connections

    def _start(self) -> None:
        self._writing = threading.Lock()
        self._connections = Connections(self.path, self._timeout, self.connections)

    def _connection(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection of this process; connections must not cross a fork."""
        if self._connections.process != os.getpid():
            self._start()
        return self._connections.one()

    def close(self) -> None:
        self._connections.close()

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        with self._connection() as connection, self._writing:
            try:
                _begin(connection)
                with closing(SqliteTransaction(connection, self._tables)) as transaction:
                    yield transaction
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: {error}; nothing was written") from error
            self._commit(connection)

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if _open(connection):
                raise StoreError(f"{self.path}: {error}; nothing was written") from error
            what = "whether it was written is not known; say it again with the same key"
            raise StoreError(f"{self.path}: {error}; {what}") from error

    @contextmanager
    def reading(self) -> Iterator[SqliteReading]:
        with self._connection() as connection:
            try:
                connection.execute("BEGIN")
                with closing(SqliteReading(connection, self._tables)) as reading:
                    yield reading
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} cannot be read: {error}") from error

    @contextmanager
    def joined(self, connection: Any) -> Iterator[SqliteTransaction]:
        """Take part in the transaction that the caller has begun on its own connection to this file.

        Raises:
            NotInTransaction: no transaction is open, or it is on another database.
        """
        if not isinstance(connection, sqlite3.Connection):
            raise NotInTransaction(f"a sqlite3.Connection is needed to join, not {type(connection).__name__}")
        if not connection.in_transaction:
            raise NotInTransaction("the connection has no open transaction; execute BEGIN IMMEDIATE on it first")
        try:
            file = next((row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main"), "")
            if not file or not os.path.samefile(file, self.path):
                where = file or "a database in memory"
                raise NotInTransaction(f"the connection is on {where}, the store on {self.path}")
            with closing(SqliteTransaction(connection, self._tables)) as transaction:
                yield transaction
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}; roll your transaction back, and say it again") from error

    # Shared

    def load(self, name: str) -> str | None:
        with self.reading() as reading:
            return reading.load(name)

    def swap(self, name: str, old: str | None, new: str, until: float | None = None) -> bool:
        with self.transaction() as transaction:
            return transaction.swap(name, old, new, until)

    def forget(self, now: float) -> None:
        with self.transaction() as transaction:
            transaction.forget(now)

    # Definitions

    def machines(self, machines: Machines) -> Machines:
        """Keep the definitions and make their tables; give all versions, also those only kept here.

        Raises:
            MachineChanged: a page behaves otherwise than the one kept under the same version.
        """
        with self._connection() as connection:
            try:
                if not (self._known(connection, machines) and schema.complete(connection)):
                    self._prepare(connection, machines)
                every = schema.with_kept(connection, machines)
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} cannot take these machines: {error}") from error
        by_name: dict[str, list[Machine]] = {}
        for machine in sorted(every.all(), key=lambda each: each.version):
            by_name.setdefault(machine.name, []).append(machine)
        self._tables = {name: schema.Table(versions, every) for name, versions in by_name.items()}
        return every

    def _known(self, connection: sqlite3.Connection, machines: Machines) -> bool:
        """Whether everything is in place already, the usual case; nothing is written then."""
        try:
            rows = connection.execute("SELECT name, version, digest, definition FROM machine").fetchall()
        except sqlite3.DatabaseError as error:
            if code_of(error) == sqlite3.SQLITE_ERROR:  # there is no such table yet
                return False
            if code_of(error) == sqlite3.SQLITE_NOTADB:
                raise StoreError(f"{self.path} is no SQLite database: {error}") from error
            raise
        kept = {(name, version): (digest, text) for name, version, digest, text in rows}
        for machine in machines.all():
            digest, _ = kept.get((machine.name, machine.version), (None, None))
            if digest is not None and digest != digest_of(machine):
                raise MachineChanged(
                    f"{machine.file}: {machine.name} version {machine.version} behaves otherwise than the version "
                    f"{machine.version} that {self.path} was opened with before; give the changed page a new version"
                )
        return all(kept.get((each.name, each.version)) == (digest_of(each), each.text) for each in machines.all())

    def _prepare(self, connection: sqlite3.Connection, machines: Machines) -> None:
        connection.execute("PRAGMA foreign_keys = OFF")  # a table is remade under the links to it
        try:
            _begin(connection)
            self._keep(connection, machines)
            connection.execute("COMMIT")
        finally:
            if _open(connection):
                connection.execute("ROLLBACK")
            connection.execute("PRAGMA foreign_keys = ON")

    def _keep(self, connection: sqlite3.Connection, machines: Machines) -> None:
        schema.migrate(connection)
        if self._known(connection, machines):  # another process came first
            return
        kept = {name for (name,) in connection.execute("SELECT DISTINCT name FROM machine")}
        schema.check_unused(connection, [name for name in machines if name not in kept])
        (now,) = connection.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").fetchone()
        for machine in machines.all():
            connection.execute(
                "INSERT INTO machine (name, version, digest, definition, seen) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name, version) DO UPDATE SET definition = excluded.definition",
                (machine.name, machine.version, digest_of(machine), machine.text, now),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO transition VALUES (?, ?, ?, ?, ?, ?, ?)", schema.steps(machine)
            )
        every = schema.with_kept(connection, machines)
        connection.execute("PRAGMA legacy_alter_table = ON")  # links name the table, not the one set aside
        for name in every:
            schema.make_table(connection, every.versions(name))
        connection.execute("PRAGMA legacy_alter_table = OFF")


def _begin(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if code_of(error) not in BUSY:
            raise
        raise StoreBusy(f"another process is writing and did not end in time: {error}") from error


def _open(connection: sqlite3.Connection) -> bool:
    """Whether a transaction is open still, which is then undone."""
    try:
        return connection.in_transaction
    except sqlite3.ProgrammingError:  # the connection itself is gone
        return False


class SqliteReading:
    """One consistent look, or what a transaction reads."""

    def __init__(self, connection: sqlite3.Connection, tables: dict[str, schema.Table]) -> None:
        self._cursor = connection.cursor()
        self._cursor.row_factory = None  # the caller's connection may have its own
        self._tables = tables

    def close(self) -> None:
        """Let go of the last statement: while one is kept, closing the connection would not undo its transaction."""
        with suppress(sqlite3.Error):  # the connection is closed already
            self._cursor.close()

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

    def _select(self, select: str, column: str, wanted: list[str]) -> Iterator[tuple[Any, ...]]:
        if len(wanted) == 1:
            yield from self._cursor.execute(f"{select} WHERE {column} = ?", wanted).fetchall()
            return
        for start in range(0, len(wanted), CHUNK):
            part = wanted[start : start + CHUNK]
            marks = ", ".join("?" * len(part))
            yield from self._cursor.execute(f"{select} WHERE {column} IN ({marks})", part).fetchall()

    def all(self, machine: str) -> Iterator[Entity]:
        table = self._tables[machine]
        cursor = self._cursor.connection.cursor()
        cursor.row_factory = None
        for row in cursor.execute(f"{table.select} ORDER BY id"):
            yield table.entity(row)

    def keyed(self, keys: Iterable[str]) -> dict[str, Record]:
        rows = self._select(f"SELECT {_RECORD}, seq FROM entry", "key", list(keys))
        return {str(record.key): record for record in map(Record._make, rows)}

    def caused(self, key: str) -> list[Record]:
        rows = self._cursor.execute(f"SELECT {_RECORD}, seq FROM entry WHERE cause = ? ORDER BY seq", (key,))
        return [Record._make(row) for row in rows.fetchall()]

    def call(self, id: str) -> CallRow | None:
        row = self._cursor.execute(f"SELECT {_CALL} FROM call WHERE id = ?", (id,)).fetchone()
        return CallRow(*row) if row else None

    def queued(self, keys: Iterable[str]) -> dict[str, QueueRow]:
        rows = self._select(f"SELECT {_QUEUE} FROM queue", "key", list(keys))
        return {row[0]: QueueRow(*row) for row in rows}

    def journal(self, machine: str | None = None, id: str | None = None) -> Iterator[Record]:
        terms = [f"{name} = ?" for name, value in (("machine", machine), ("entity", id)) if value is not None]
        where = f" WHERE {' AND '.join(terms)}" if terms else ""
        cursor = self._cursor.connection.cursor()
        cursor.row_factory = None
        given = [value for value in (machine, id) if value is not None]
        for row in cursor.execute(f"SELECT {_RECORD}, seq FROM entry{where} ORDER BY machine, entity, revision", given):
            yield Record._make(row)

    def chronicle(self, last: int) -> list[Record]:
        rows = self._cursor.execute(f"SELECT {_RECORD}, seq FROM entry ORDER BY seq DESC LIMIT ?", (last,)).fetchall()
        return [Record._make(row) for row in reversed(rows)]

    def linked(self, machine: str, fact: str, id: str) -> list[Entity]:
        table = self._tables[machine]
        return [table.entity(row) for row in self._select(f"{table.select}", f'"{fact}"', [id])]

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

    def all_calls(self) -> Iterator[CallRow]:
        for row in self._cursor.execute(f"SELECT {_CALL} FROM call ORDER BY id").fetchall():
            yield CallRow(*row)

    def due(self, now: str, limit: int) -> list[QueueRow]:
        rows = self._cursor.execute(
            f"SELECT {_QUEUE} FROM queue WHERE state = 'waiting' AND due <= ? ORDER BY due, key LIMIT ?", (now, limit)
        )
        return [QueueRow(*row) for row in rows.fetchall()]

    def following(self, cause: str) -> list[QueueRow]:
        rows = self._cursor.execute(f"SELECT {_QUEUE} FROM queue WHERE cause = ? ORDER BY key", (cause,))
        return [QueueRow(*row) for row in rows.fetchall()]

    def waiting(self, machine: str, id: str) -> list[QueueRow]:
        terms = "state = 'waiting' AND machine = ? AND entity = ?"
        rows = self._cursor.execute(f"SELECT {_QUEUE} FROM queue WHERE {terms} ORDER BY due, key", (machine, id))
        return [QueueRow(*row) for row in rows.fetchall()]

    def queue(self, *, state: str | None = None) -> list[QueueRow]:
        rows = self._cursor.execute(
            f"SELECT {_QUEUE} FROM queue WHERE state = coalesce(?, state) ORDER BY due, key", (state,)
        )
        return [QueueRow(*row) for row in rows.fetchall()]

    def find(self, text: str) -> list[Ref]:
        found = []
        for name, table in sorted(self._tables.items()):
            terms = ["id = ?", *(['"number" = ?'] if "number" in table.facts else [])]
            select = f'SELECT id FROM "{name}" WHERE {" OR ".join(terms)} ORDER BY id'
            rows = self._cursor.execute(select, [text] * len(terms)).fetchall()
            found += [(name, id) for (id,) in rows]
        return found

    def load(self, name: str) -> str | None:
        row = self._cursor.execute("SELECT value FROM shared WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None


class SqliteTransaction(SqliteReading):
    """The only writer, until commit."""

    def write(self, changes: Changes, at: str) -> None:
        try:
            self._write(changes, at)
        except sqlite3.Error as error:
            raise StoreError(f"the database refuses it: {error}; nothing was written") from error

    def _write(self, changes: Changes, at: str) -> None:
        execute = self._cursor.executemany
        if changes.records:
            marks = ", ".join("?" * (len(Record._fields) - 1))
            execute(f"INSERT INTO entry ({_RECORD}) VALUES ({marks})", [record[:-1] for record in changes.records])
        by_machine: dict[str, list[Entity]] = {}
        for entity in changes.entities.values():
            by_machine.setdefault(entity.machine, []).append(entity)
        for name, entities in by_machine.items():
            table = self._tables[name]
            execute(table.upsert, [table.row(entity, at) for entity in entities])
        if changes.calls:
            marks = ", ".join("?" * len(attrs.fields(CallRow)))
            execute(f"INSERT INTO call ({_CALL}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {_CALL_AGAIN}",
                    [attrs.astuple(row) for row in changes.calls.values()])  # fmt: skip
        if changes.queue:
            marks = ", ".join("?" * len(attrs.fields(QueueRow)))
            execute(f"INSERT OR REPLACE INTO queue ({_QUEUE}) VALUES ({marks})",
                    [attrs.astuple(row) for row in changes.queue.values()])  # fmt: skip

    def swap(self, name: str, old: str | None, new: str, until: float | None) -> bool:
        if old is None:
            done = self._cursor.execute("INSERT OR IGNORE INTO shared (name, value, until) VALUES (?, ?, ?)",
                                        (name, new, until))  # fmt: skip
        else:
            done = self._cursor.execute("UPDATE shared SET value = ?, until = ? WHERE name = ? AND value = ?",
                                        (new, until, name, old))  # fmt: skip
        return done.rowcount == 1

    def forget(self, now: float) -> None:
        self._cursor.execute("DELETE FROM shared WHERE until < ?", (now,))

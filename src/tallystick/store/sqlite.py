"""SQLite: one file, one writer at a time, every commit on disk before it is answered.

Every write begins with our own `BEGIN IMMEDIATE`. If two deferred transactions read first and then write, one fails
with "database is locked", and no timeout helps. Threads of one process wait on a lock of ours, because SQLite's own
waiting is polling and unfair. Processes wait on SQLite's. `connections.py` says how connections are opened and kept.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machine, Machines
from tallystick.errors import CommitUnknown, NotInTransaction, StoreBusy, StoreError
from tallystick.store import schema
from tallystick.store.connections import BUSY, Connections, code_of, raw_connection
from tallystick.store.protocol import BUSY_TIMEOUT, Done, KeptPage, older_error, read_only_error, retried
from tallystick.store.schema.kept import are_kept, with_kept
from tallystick.store.sqlite_rows import SqliteReading, SqliteTransaction

# No connection may cross a fork: SQLite would take one process's locks for the other's.
_STORES: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
os.register_at_fork(before=lambda: {store.path: store.close() for store in list(_STORES)})  # type: ignore[func-returns-value]


class SqliteStore:
    gapless = True  # the only writer gives each entry the next number

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout: float = BUSY_TIMEOUT,
        connections: type[sqlite3.Connection] = sqlite3.Connection,
        read_only: bool = False,
    ) -> None:
        """`connections` is the class of the connections, such as one that traces or, in tests, one that fails.

        `read_only`: nothing is written here, neither a command nor a definition, and no file is made.
        """
        self.path: str = os.path.abspath(path)  # a daemon may change its folder later
        self.connections = connections
        self.url = f"sqlite:///{self.path}"
        self._timeout, self._read_only = busy_timeout, read_only
        self._tables: dict[str, schema.Table] = {}
        self._machines = Machines([])
        self._start()
        _STORES.add(self)

    # Connections

    def _start(self) -> None:
        self._writing = threading.Lock()
        self._connections = Connections(self.path, self._timeout, self.connections, self._read_only)

    def _connection(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection of this process."""
        return self._of_this_process().one()

    def _of_this_process(self) -> Connections:
        """Connections must not cross a fork."""
        if self._connections.process != os.getpid():
            self._start()
        return self._connections

    def close(self) -> None:
        self._connections.close()

    def run(self, job: Callable[[SqliteTransaction], Done], *, connection: Any = None) -> Done:
        if self._read_only:
            raise read_only_error(self.url)
        return retried(self._run, job) if connection is None else self._join(connection, job)

    def _run(self, job: Callable[[SqliteTransaction], Done]) -> Done:
        """Each command comes through here, so nothing is nested that need not be: a generator costs a microsecond."""
        connections = self._of_this_process()
        connection = connections.take()
        try:
            with self._writing:
                try:
                    _begin(connection)
                    transaction = SqliteTransaction(connection, self._tables, self._machines)
                    try:
                        done = job(transaction)
                    finally:
                        transaction.close()
                except sqlite3.Error as error:
                    raise StoreError(f"{self.path}: {error}; nothing was written") from error
                self._commit(connection)
        finally:
            connections.give_back(connection)
        return done

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if _open(connection):
                raise StoreError(f"{self.path}: {error}; nothing was written") from error
            what = "whether it was written is not known; say it again with the same key"
            raise CommitUnknown(f"{self.path}: {error}; {what}") from error

    @contextmanager
    def reading(self) -> Iterator[SqliteReading]:
        with self._connection() as connection:
            try:
                connection.execute("BEGIN")
                with closing(SqliteReading(connection, self._tables, self._machines)) as reading:
                    yield reading
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} cannot be read: {error}") from error

    def _join(self, connection: Any, job: Callable[[SqliteTransaction], Done]) -> Done:
        """Take part in the transaction that the caller has begun. A savepoint: all of the job is in it, or nothing."""
        joined = raw_connection(connection)
        try:
            file = next((row[2] for row in joined.execute("PRAGMA database_list") if row[1] == "main"), "")
            if not file or not os.path.samefile(file, self.path):
                where = file or "a database in memory"
                raise NotInTransaction(f"the connection is on {where}, the store on {self.path}")
            joined.execute("SAVEPOINT tallystick")
            try:
                with closing(SqliteTransaction(joined, self._tables, self._machines)) as transaction:
                    done = job(transaction)
            except BaseException:
                if _open(joined):  # some errors end the whole transaction
                    joined.execute("ROLLBACK TO tallystick")
                    joined.execute("RELEASE tallystick")
                raise
            joined.execute("RELEASE tallystick")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}; roll your transaction back, and say it again") from error
        return done

    # Shared

    def load(self, name: str) -> str | None:
        with self.reading() as reading:
            return reading.shared(name)

    def swap(self, name: str, old: str | None, new: str, until: float | None = None) -> bool:
        return self.run(lambda transaction: transaction.swap(name, old, new, until))

    def forget(self, now: float) -> None:
        self.run(lambda transaction: transaction.forget(now))

    # Definitions

    def exists(self) -> bool:
        if not os.path.isfile(self.path):
            return False
        # No WAL for what may be somebody else's
        with self._connections.one() if self._read_only else closing(sqlite3.connect(self.path)) as connection:
            try:
                return schema.is_made(connection)
            except sqlite3.DatabaseError as error:
                none = code_of(error) == sqlite3.SQLITE_NOTADB
                what = f"there is no store at {self.url}" if none else f"the store at {self.url} cannot be read"
                raise StoreError(f"{what}: {error}") from error

    def machines(self, machines: Machines) -> Machines:
        """Keep the definitions and make their tables. Gives all versions, also those that are only kept here.

        Raises:
            MachineChanged: a page behaves differently from the kept one with the same version.
        """
        with self._connection() as connection:
            try:
                if self._read_only:
                    if not schema.complete(connection):
                        raise older_error(self.url)
                    machines = Machines([])  # what is not kept here has no table
                elif not (self._known(connection, machines) and schema.complete(connection)):
                    self._prepare(connection, machines)
                elif schema.views_differ(connection, with_kept(connection, machines)):
                    self._make_views(connection, machines)
                every = with_kept(connection, machines)
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} cannot take these machines: {error}") from error
        by_name: dict[str, list[Machine]] = {}
        for machine in sorted(every.all(), key=lambda each: each.version):
            by_name.setdefault(machine.name, []).append(machine)
        self._tables = {name: schema.Table(versions, every) for name, versions in by_name.items()}
        self._machines = every
        return every

    def _known(self, connection: sqlite3.Connection, machines: Machines) -> bool:
        """Whether everything is in place already, as usual. Then nothing is written."""
        try:
            rows = connection.execute("SELECT name, version, digest, definition, seen FROM machine").fetchall()
        except sqlite3.DatabaseError as error:
            if code_of(error) == sqlite3.SQLITE_ERROR:  # there is no such table yet
                return False
            if code_of(error) == sqlite3.SQLITE_NOTADB:
                raise StoreError(f"{self.path} is no SQLite database: {error}") from error
            raise
        return are_kept([KeptPage(*row) for row in rows], machines)

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

    def _make_views(self, connection: sqlite3.Connection, machines: Machines) -> None:
        """They are for readers: nobody waits for them in vain."""
        try:
            self._prepare(connection, machines)
        except (StoreBusy, sqlite3.OperationalError) as error:
            logging.getLogger("tallystick.books").warning("the views were not made: %s", error)

    def _keep(self, connection: sqlite3.Connection, machines: Machines) -> None:
        schema.migrate(connection)
        later = schema.drop_views(connection)
        if not self._known(connection, machines):  # another process may have come first
            self._keep_pages(connection, machines)
        schema.make_views(connection, with_kept(connection, machines), later)

    def _keep_pages(self, connection: sqlite3.Connection, machines: Machines) -> None:
        kept = {name for (name,) in connection.execute("SELECT DISTINCT name FROM machine")}
        schema.check_unused(connection, [name for name in machines if name not in kept])
        (now,) = connection.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").fetchone()
        for machine in machines.all():
            reworded = "UPDATE machine SET definition = ? WHERE name = ? AND version = ?"
            if not connection.execute(reworded, (machine.text, machine.name, machine.version)).rowcount:
                connection.execute(
                    "INSERT INTO machine (name, version, digest, definition, seen) VALUES (?, ?, ?, ?, ?)",
                    (machine.name, machine.version, digest_of(machine), machine.text, now),
                )
            connection.executemany(
                "INSERT OR IGNORE INTO transition VALUES (?, ?, ?, ?, ?, ?, ?)", schema.steps(machine)
            )
        every = with_kept(connection, machines)
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
        raise StoreBusy(f"another process is writing and did not end in time: {error}", whole=True) from error


def _open(connection: sqlite3.Connection) -> bool:
    """Whether a transaction is still open. If so, it is undone."""
    try:
        return connection.in_transaction
    except sqlite3.ProgrammingError:  # the connection itself is gone
        return False

"""The store in PostgreSQL: its transactions, its looks, its definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from tallystick.definition.machine import Machines
from tallystick.errors import CommitUnknown, Conflict, NotInTransaction
from tallystick.store.connections import unwrapped
from tallystick.store.postgres.connections import Connection, Connections, settings
from tallystick.store.postgres.failures import NOTHING, failure, sentence
from tallystick.store.postgres.reading import PostgresReading, known
from tallystick.store.postgres.schema import Schema
from tallystick.store.postgres.statements import Statements
from tallystick.store.postgres.transaction import PostgresTransaction
from tallystick.store.postgres.url import address
from tallystick.store.protocol import BUSY_TIMEOUT, UP_TO_DATE, Done, older_error, read_only_error, retried
from tallystick.store.schema.kept import with_pages

UNKNOWN = "whether it was written is not known; say it again with the same key"


class PostgresStore:
    gapless = False  # what is undone leaves its numbers out

    def __init__(
        self,
        url: str,
        *,
        busy_timeout: float = BUSY_TIMEOUT,
        partitions: int = 0,
        connections: type[Connection] = Connection,
        read_only: bool = False,
    ) -> None:
        """`partitions`: into how many the journal is divided when it is made; 0 keeps it in one table.

        `connections` is the class of the connections, such as one that traces or, in tests, one that fails.
        `read_only`: nothing is written here. Every look is a transaction that PostgreSQL itself keeps from writing.

        Raises:
            Invalid: the URL cannot be read.
        """
        self._address = address(url)
        self.url = self._address.url
        self._partitions = partitions
        self._statements = Statements(self._address.schema)
        self._known = known(self._statements, Machines([]))
        self._connections = Connections(self._address, busy_timeout, connections)
        self._timeout, self._read_only = busy_timeout, read_only
        self._id: Any = None  # of the database, once it was asked for
        # Where sessions are shared, each transaction says for itself what a session of ours is told once.
        self._settings = "" if self._address.prepare else settings(busy_timeout, local=True)

    def close(self) -> None:
        self._connections.close()

    # Transactions

    def run(self, job: Callable[[PostgresTransaction], Done], *, connection: Any = None) -> Done:
        if self._read_only:
            raise read_only_error(self.url)
        return retried(self._run, job) if connection is None else self._join(connection, job)

    def _run(self, job: Callable[[PostgresTransaction], Done]) -> Done:
        with self._connections.one() as connection:
            transaction = PostgresTransaction(connection, self._known, self._settings)
            try:
                done = job(transaction)
                transaction.commit()
            except psycopg.Error as error:
                lost = connection.closed
                connection.close()
                if not lost:
                    raise failure(error) from error
                self._connections.close()  # those that are idle went with it
                if transaction.committing:
                    raise CommitUnknown(f"PostgreSQL: {sentence(error)}; {UNKNOWN}") from error
                raise Conflict(f"PostgreSQL: {sentence(error)}; {NOTHING}") from error
            if connection.unreplicated:
                connection.close()
                raise CommitUnknown(f"PostgreSQL: it is not known to be on the standby; {UNKNOWN}")
        return done

    def _join(self, given: Any, job: Callable[[PostgresTransaction], Done]) -> Done:
        """Take part in the transaction that the caller has begun. A savepoint: all of the job is in it, or nothing."""
        joined = _joinable(given)
        transaction = PostgresTransaction(joined, self._known, begun=True)
        try:
            self._check_ours(joined)
            with joined.transaction("tallystick"):  # the look before it has begun the caller's, if nothing had
                own = psycopg.Cursor(joined, row_factory=tuple_row)
                waits = own.execute("SELECT current_setting('lock_timeout')").fetchone()
                own.execute(settings(self._timeout, local=True))
                done = job(transaction)
                transaction.flush()
                own.execute("SELECT set_config('lock_timeout', %s, true)", waits)
        except psycopg.Error as error:
            raise failure(error, "roll your transaction back, and say it again") from error
        return done

    @contextmanager
    def reading(self) -> Iterator[PostgresReading]:
        with self._connections.one() as connection:
            try:
                yield PostgresReading(connection, self._known, self._settings)
            except psycopg.Error as error:
                if connection.closed:
                    self._connections.close()  # those that are idle went with it
                connection.close()
                raise failure(error, "it cannot be read") from error

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
        with self._connections.one() as connection:
            try:
                return Schema(connection, self._address.schema).exists()
            except psycopg.Error as error:
                connection.close()
                raise failure(error, f"{self.url} cannot be read") from error

    def machines(self, machines: Machines) -> Machines:
        """Keep the definitions and make their tables. Gives all versions, also those that are only kept here.

        Raises:
            MachineChanged: a page behaves differently from the kept one with the same version.
            StoreError: the role may not make tables; the journal was divided otherwise when it was made; it was
                restored on another server, and the role may not change its tables.
        """
        with self._connections.one() as connection:
            there = Schema(connection, self._address.schema, self._partitions)
            try:
                if self._read_only:
                    if not there.is_complete():
                        raise older_error(self.url)
                    machines = Machines([])  # what is not kept here has no table
                elif there.lacks(machines):
                    with connection.transaction():
                        connection.execute(settings(self._timeout, local=True))
                        there.make(machines)
                there.check_partitions()
                every = with_pages(there.pages(), machines)
            except psycopg.Error as error:
                connection.close()
                why = f"{self.url} cannot take these machines"
                if isinstance(error, psycopg.errors.InsufficientPrivilege):
                    why = f"{why}; {UP_TO_DATE}"
                raise failure(error, why) from error
        self._known = known(self._statements, every)
        return every

    def _check_ours(self, joined: psycopg.Connection[Any]) -> None:
        """Whether a caller's connection is on the database that this store is in. Raises NotInTransaction."""
        query = f"SELECT current_database(), store FROM {self._statements.named('_migration')} WHERE name = 'journal'"
        if self._id is None:
            with self._connections.one() as connection:
                self._id = connection.execute(query).fetchone()
        cursor = psycopg.Cursor(joined, row_factory=tuple_row)
        there = cursor.execute("SELECT to_regclass(%s)", (self._statements.named("_migration"),)).fetchone()
        if there == (None,) or cursor.execute(query).fetchone() != self._id:
            where = f"{joined.info.dbname!r} at {joined.info.host or 'a socket'}"
            raise NotInTransaction(f"the connection is on the database {where}, the store on {self.url}")


def _joinable(given: Any) -> psycopg.Connection[Any]:
    """The caller's own connection, in a transaction or about to begin one by itself.

    Raises:
        NotInTransaction: it is another thing, no transaction is open, or the one that is open has failed.
    """
    joined, _ = unwrapped(given, psycopg.Connection)
    status = joined.info.transaction_status
    if status == TransactionStatus.INERROR:
        raise NotInTransaction("the connection's transaction has failed; roll it back first")
    if status == TransactionStatus.IDLE and joined.autocommit:
        raise NotInTransaction("the connection has no open transaction; begin one on it first")
    return joined

"""The connections of one process to one PostgreSQL. They are opened when they are needed, and kept for the next use.

A short list of ours, as for SQLite, and no psycopg_pool: an engine writes one transaction at a time, so there is
nothing to queue for, and that pool's threads would not survive a fork. Whoever needs a bound for many processes puts
PgBouncer in front.

A connection is used by one process only. After a fork the child leaves its parent's connections alone: psycopg does not
close a connection that another process has opened.
"""

from __future__ import annotations

import os
import select
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8Dumper

from tallystick.errors import StoreError
from tallystick.store.postgres.failures import sentence
from tallystick.store.postgres.url import Address

MOST_IDLE = 10  # connections that are kept while nobody uses them


class Connection(psycopg.Connection[TupleRow]):
    """A connection that remembers whether it was told that a commit may not have reached the standby."""

    unreplicated = False

    def hear(self, notice: psycopg.errors.Diagnostic) -> None:
        """A cancelled wait is only a warning after a COMMIT that was answered."""
        if notice.source_function == "SyncRepWaitForLSN":
            self.unreplicated = True


def settings(timeout: float, *, local: bool) -> str:
    """Wait for a lock only so long; and a commit is on disk when it is answered, whatever the database's default is.

    `local`: for this transaction only, because the session may be shared.
    """
    milliseconds = max(1, round(timeout * 1000))  # 0 would wait for ever
    durable = (
        "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END"
    )
    here = str(local).lower()
    return (
        f"SELECT set_config('lock_timeout', '{milliseconds}', {here}), "
        f"set_config('synchronous_commit', {durable}, {here})"
    )


def _said_something(connection: Connection) -> bool:
    """Whether a server has written to a connection that asked it nothing: it has gone, or is going."""
    if not hasattr(select, "poll"):  # Windows: a command is tried again, a look tells its caller
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Connections:
    def __init__(self, address: Address, timeout: float, factory: type[Connection]) -> None:
        self._address, self._timeout, self._factory = address, timeout, factory
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._idle: list[Connection] = []
        weakref.finalize(self, _close_all, self._process, self._idle)

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection for as long as it is needed. What it has begun and not committed is undone.

        Raises:
            StoreError: the server cannot be reached.
        """
        if self._process != os.getpid():
            self._begin()
        connection = self._taken() or self._open()
        try:
            yield connection
        except psycopg.Error:
            connection.close()
            raise
        finally:
            self._give_back(connection)

    def _taken(self) -> Connection | None:
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if not connection.closed and not _said_something(connection):
                    return connection
                connection.close()
        return None

    def _give_back(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            status = connection.info.transaction_status
            if status == TransactionStatus.INTRANS:
                connection.execute("ROLLBACK")
            elif status != TransactionStatus.IDLE:  # in the middle of something, or after an error
                connection.close()
            if not connection.closed and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        _close_all(self._process, self._idle)

    def _open(self) -> Connection:
        options: dict[str, Any] = {"client_encoding": "utf8", "application_name": "tallystick"}
        given = psycopg.conninfo.conninfo_to_dict(self._address.conninfo)
        options = {name: value for name, value in options.items() if name not in given}
        try:
            connection = self._factory.connect(self._address.conninfo, autocommit=True, **options)
            connection.adapters.register_dumper(int, Int8Dumper)  # else each size of a number prepares a statement anew
            connection.add_notice_handler(connection.hear)
            if self._address.prepare:
                connection.prepare_threshold = 2
                connection.execute(settings(self._timeout, local=False))
            else:
                connection.prepare_threshold = None
        except psycopg.Error as error:
            said = self._address.without_secrets(sentence(error))
            raise StoreError(f"{self._address.url} cannot be reached: {said}") from None
        return connection


def _close_all(process: int, idle: list[Connection]) -> None:
    while idle and process == os.getpid():
        idle.pop().close()

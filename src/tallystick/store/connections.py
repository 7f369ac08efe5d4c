"""The connections of one process to one SQLite file. They are opened when they are needed, and kept for the next use.

With `synchronous=FULL` a commit survives a power cut. Every connection asks for `foreign_keys=ON`. With WAL readers go
on while one process writes. A connection that cannot undo its transaction is closed, and this undoes it.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from inspect import ismethod
from typing import Any, TypeVar

from tallystick.errors import NotInTransaction, StoreError

Found = TypeVar("Found")
BUSY = frozenset([sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED])


class Connections:
    def __init__(self, path: str, timeout: float, factory: type[sqlite3.Connection], read_only: bool = False) -> None:
        self.path, self.process, self._read_only = path, os.getpid(), read_only
        self._timeout, self._factory = timeout, factory
        self._idle: list[sqlite3.Connection] = []
        weakref.finalize(self, _close_all, self.process, self._idle)

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """A connection for as long as it is needed. What it has begun and not committed is undone.

        Raises:
            StoreError: the file cannot be opened.
        """
        connection = self.take()
        try:
            yield connection
        finally:
            self.give_back(connection)

    def take(self) -> sqlite3.Connection:
        """A connection that nobody else uses until it is given back. Raises StoreError: the file cannot be opened."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Keep it for the next use. What it has begun and not committed is undone."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._idle.append(connection)
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                connection.close()

    def close(self) -> None:
        _close_all(self.process, self._idle)

    def _open(self) -> sqlite3.Connection:
        if not (self._read_only or os.path.exists(self.path)):
            _create_private(self.path)
        where = self.path
        if self._read_only:
            from pathlib import Path  # who writes goes without it, to open sooner

            _check_left_alone(self.path)

            where = f"{Path(self.path).as_uri()}?mode=ro"
        connection = None
        try:
            connection = sqlite3.connect(
                where, timeout=self._timeout, isolation_level=None, check_same_thread=False, cached_statements=256,
                factory=self._factory, uri=self._read_only,
            )  # fmt: skip
            if self._read_only:
                connection.execute("PRAGMA query_only = ON")
                return connection
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            self._use_wal(connection)
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise StoreError(f"{self.path} cannot be opened: {error}") from error
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Ask for WAL. While another process writes to a file without WAL, SQLite does not wait by itself."""
        until = time.monotonic() + self._timeout
        while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if code_of(error) not in BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.01)


def unwrapped(given: Any, kind: type[Found]) -> tuple[Found, bool]:
    """The driver's own connection, and whether SQLAlchemy has begun a transaction around it.

    It is one itself, or what SQLAlchemy has around one: a Session, a Connection, a pooled connection.

    Raises:
        NotInTransaction: it is none of these.
    """
    begun, found = False, given
    for _ in range(4):
        if isinstance(found, kind):
            return found, begun
        in_transaction = getattr(found, "in_transaction", None)
        begun = begun or (callable(in_transaction) and bool(in_transaction()))
        inner = getattr(found, "driver_connection", None) or getattr(found, "connection", None)
        found = inner() if ismethod(inner) else inner  # a sqlite3.Connection can be called, too
    wanted = f"a {kind.__module__}.{kind.__name__}, or SQLAlchemy's Session or Connection"
    raise NotInTransaction(f"{wanted} is needed to join, not {type(given).__name__}")


def raw_connection(given: Any) -> sqlite3.Connection:
    """The caller's own connection, with its transaction open.

    Where SQLAlchemy has begun a transaction and sqlite3 is still waiting for the first write, it is begun here.

    Raises:
        NotInTransaction: it is none of these, or no transaction is open.
    """
    found, begun = unwrapped(given, sqlite3.Connection)
    if not found.in_transaction:
        if not begun:
            raise NotInTransaction("the connection has no open transaction; execute BEGIN IMMEDIATE on it first")
        found.execute("BEGIN IMMEDIATE")
    return found


def code_of(error: sqlite3.Error) -> int | None:
    """SQLite's own code of an error, without its finer kinds. None: Python's layer has raised it."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _close_all(process: int, idle: list[sqlite3.Connection]) -> None:
    while idle and process == os.getpid():
        idle.pop().close()


def _check_left_alone(path: str) -> None:
    """SQLite makes two files beside books that nobody has open, for a reader too, and they stay.

    If they are not their owner's, he cannot write any more. (To root's files SQLite itself gives the right owner.)
    """
    if not hasattr(os, "geteuid") or os.path.exists(f"{path}-shm") or not os.path.exists(path):
        return
    if os.geteuid() not in (0, os.stat(path).st_uid):
        raise StoreError(
            f"{path} belongs to another user and nobody has it open: to read it now would leave files beside it that"
            " keep its owner from writing. Read it while its owner has it open, as its owner, or read a copy"
        )


def _create_private(path: str) -> None:
    """Readable by its owner only: card numbers are money."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"{path} cannot be made: {error.strerror}") from error

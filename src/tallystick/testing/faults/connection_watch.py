"""SQLite connections that say what they do: before and after every statement.

`SqliteStore` takes the class of its connections. `watched_connection` makes a class that calls a `ConnectionWatch` for
every statement, for each row of `executemany`, and for opening and closing. What the watch raises, the statement
raises.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

OPEN, CLOSE = "OPEN", "CLOSE"  # the connection itself, where others have their SQL


class ConnectionWatch(Protocol):
    """Is called around each statement, with the connection it runs on."""

    def before(self, connection: sqlite3.Connection, sql: str) -> None: ...
    def after(self, connection: sqlite3.Connection, sql: str) -> None: ...


def watched_connection(watch: ConnectionWatch) -> type[sqlite3.Connection]:
    """The class of connections that call this watch."""

    def each(connection: sqlite3.Connection, sql: str, rows: Iterable[Any]) -> Iterator[Any]:
        for row in rows:  # SQLite executes a row between the yield and the next turn
            watch.before(connection, sql)
            yield row
            watch.after(connection, sql)

    @contextmanager
    def closed_on_error(cursor: Cursor) -> Iterator[Cursor]:
        """Close the cursor as SQLite's own would be: a traceback must not keep the statement, and with it a lock."""
        try:
            yield cursor
        except BaseException:
            with suppress(sqlite3.Error):
                cursor.close()
            raise

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
            watch.before(self.connection, sql)
            super().execute(sql, parameters)
            watch.after(self.connection, sql)
            return self

        def executemany(self, sql: str, rows: Iterable[Any], /) -> Cursor:
            super().executemany(sql, each(self.connection, sql, rows))
            return self

    class Connection(sqlite3.Connection):
        def __init__(self, *args: Any, **options: Any) -> None:
            watch.before(self, OPEN)
            super().__init__(*args, **options)
            watch.after(self, OPEN)

        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            with closed_on_error(Cursor(self)) as cursor:
                return cursor.execute(sql, parameters)

        def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
            with closed_on_error(Cursor(self)) as cursor:
                return cursor.executemany(sql, rows)

        def close(self) -> None:
            watch.before(self, CLOSE)
            super().close()
            watch.after(self, CLOSE)

    return Connection

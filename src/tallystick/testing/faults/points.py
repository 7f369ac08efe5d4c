"""Where a process may die, and where its database may fail: before and after every statement and every call.

`SqliteStore` takes the class of its connections. `watched` makes one that tells a `Watch` of every statement, of the
rows of `executemany` one by one, and of opening and closing; what the watch raises, the statement raises.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Provider

OPEN, CLOSE = "OPEN", "CLOSE"
LONGEST = 300  # seconds that a child may take


class Watch(Protocol):
    """Told of each statement by the connection it runs on."""

    def before(self, connection: sqlite3.Connection, sql: str) -> None: ...
    def after(self, connection: sqlite3.Connection, sql: str) -> None: ...


def watched(watch: Watch) -> type[sqlite3.Connection]:
    """The class of connections that tell this watch."""

    def each(connection: sqlite3.Connection, sql: str, rows: Iterable[Any]) -> Iterator[Any]:
        for row in rows:  # SQLite executes a row between the yield and the next turn
            watch.before(connection, sql)
            yield row
            watch.after(connection, sql)

    @contextmanager
    def let_go(cursor: Cursor) -> Iterator[Cursor]:
        """As SQLite's own: a traceback does not keep the cursor, and with it the statement and its lock."""
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
            with let_go(Cursor(self)) as cursor:
                return cursor.execute(sql, parameters)

        def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
            with let_go(Cursor(self)) as cursor:
                return cursor.executemany(sql, rows)

        def close(self) -> None:
            watch.before(self, CLOSE)
            super().close()
            watch.after(self, CLOSE)

    return Connection


class Points:
    """Numbers the points of a run from 1. Here nothing happens at any of them; `names` says where they were."""

    def __init__(self) -> None:
        self.taken = 0
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.taken += 1
        self.names.append(name)

    def before(self, connection: sqlite3.Connection, sql: str) -> None:
        self(f"before {_short(sql)}")

    def after(self, connection: sqlite3.Connection, sql: str) -> None:
        self(f"after {_short(sql)}")


class Dies(Points):
    """The process is killed at one point: nothing after it is done, not even an exception handler."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def __call__(self, name: str) -> None:
        super().__call__(name)
        if self.taken == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


class Pointed:
    """A provider with a point before and after whatever it is asked."""

    def __init__(self, provider: Provider, points: Points) -> None:
        self._provider, self._points = provider, points
        self.name, self.local = provider.name, provider.local

    def perform(self, call: Call) -> Outcome:
        self._points(f"before the call: {call.verb}")
        outcome = self._provider.perform(call)
        self._points(f"after the call: {call.verb}")
        return outcome

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        self._points(f"before looking up: {call.verb}")
        found = self._provider.look_up(call)
        self._points(f"after looking up: {call.verb}")
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)


def _short(sql: str) -> str:
    words = " ".join(sql.split())
    return words if len(words) <= 60 else f"{words[:59]}…"


def in_a_child(job: Callable[[], object]) -> str:
    """Do it in a process of its own; how that ended."""
    return ended(started(job))


def started(job: Callable[[], object]) -> int:
    """A process that does it. It is forked, so it costs no start of Python.

    Where this process has other threads, Python warns of locks that they hold. What is done here takes none of theirs;
    should one be missed, the child ends after a while.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:  # pragma: no cover  # another process
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LONGEST)
        code = 1
        try:
            job()
            code = 0
        except BaseException:  # noqa: BLE001  # it is said, and this process ends here whatever happened
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def ended(child: int) -> str:
    """How a process ended: "" if well, "killed", or in other words."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "killed" if number == signal.SIGKILL else f"ended by signal {number}"
    return f"failed with code {os.WEXITSTATUS(status)}" if os.WEXITSTATUS(status) else ""

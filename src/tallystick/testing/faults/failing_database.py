"""Lets the n-th call to the database fail, for every n, in every way a database fails; and the process goes on.

    python -m tallystick.testing.faults failing-database --calls 400     # spread over all stories and faults

After each failure: the error is one of ours, and what it says is true; nothing is half-written, and no lock is left.
The same process gives the same command again, and that works. At the end the books are those of an undisturbed run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import attrs

from tallystick.errors import StoreBusy, StoreError
from tallystick.testing.faults.connection_watch import CLOSE, watched_connection
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.faults.story import BOOKS, Story, StoryRun
from tallystick.testing.faults.trial import Trial, rows_if_any, sample, trial

NOTHING = "nothing was written"
BEGIN, COMMIT = "BEGIN IMMEDIATE", "COMMIT"
OPENINGS = 5  # a process that cannot open its books tries again


def failing_calls(story: Story, calls: int | None = None, progress: Progress | None = None) -> FaultReport:
    """Let so many calls to the database fail, or all, in every way; judge what comes of it."""
    with trial(story, progress) as opened:
        _Failures(opened).run(calls)
    return opened.report


# The ways in which a database fails


@attrs.frozen
class Fault:
    """One way in which a database fails."""

    name: str
    code: int
    text: str
    first: Callable[[sqlite3.Connection], object] = lambda connection: None  # what happens before it is reported
    times: int = 1  # calls that fail, one after the other
    only: str | None = None  # only this statement
    done: bool = False  # it is done, and then reported as failed

    def __str__(self) -> str:
        return self.name


def _undo(connection: sqlite3.Connection) -> None:
    """After some errors SQLite has rolled back by itself."""
    with suppress(sqlite3.Error):
        sqlite3.Connection.execute(connection, "ROLLBACK")


def _lose(connection: sqlite3.Connection) -> None:
    _undo(connection)
    with suppress(sqlite3.Error):
        sqlite3.Connection.close(connection)


FAULTS = (
    Fault("locked", sqlite3.SQLITE_BUSY, "database is locked"),
    Fault("disk full", sqlite3.SQLITE_FULL, "database or disk is full", _undo),
    Fault("I/O error", sqlite3.SQLITE_IOERR, "disk I/O error", _undo),
    Fault("I/O errors in a row", sqlite3.SQLITE_IOERR, "disk I/O error", times=4),
    Fault("connection lost", sqlite3.SQLITE_CANTOPEN, "unable to open database file", _lose),
    Fault("COMMIT unknown, done", sqlite3.SQLITE_IOERR, "disk I/O error", only=COMMIT, done=True),
    Fault("COMMIT unknown, not done", sqlite3.SQLITE_IOERR, "disk I/O error", _undo, only=COMMIT),
)


class FailingDatabase:
    """Watches connections, and lets the database fail at one call: the first is 1, and 0 is none."""

    def __init__(self, number: int, fault: Fault | None, path: Path) -> None:
        self._number, self._fault, self._path = number, fault, path
        self.calls: list[str] = []  # all that were made, by the first line of their SQL
        self.failed: list[str] = []  # those that failed
        self.committed: object = None  # what stood in the books before the failure

    def before(self, connection: sqlite3.Connection, sql: str) -> None:
        if sql != CLOSE:
            self.calls.append(sql.partition("\n")[0])
            if len(self.calls) == self._number:
                self.committed = committed(self._path)
            self._fail(connection, done=False)

    def after(self, connection: sqlite3.Connection, sql: str) -> None:
        if sql != CLOSE:
            self._fail(connection, done=True)

    def _fail(self, connection: sqlite3.Connection, *, done: bool) -> None:
        fault = self._fault
        if fault is None or fault.done != done or not self._number <= len(self.calls) < self._number + fault.times:
            return
        fault.first(connection)
        self.failed.append(self.calls[-1])
        error = sqlite3.OperationalError(fault.text)
        error.sqlite_errorcode = fault.code
        raise error


def committed(path: Path) -> object:
    """What another process sees of the books: enough to tell that something was written."""
    queries = ("SELECT count(*) FROM entry", "SELECT id, state, attempts, note FROM call", "SELECT * FROM queue")
    with closing(sqlite3.connect(path)) as connection:
        try:
            return [connection.execute(query).fetchall() for query in queries]
        except sqlite3.OperationalError:  # there are no tables yet
            return None


# After a failure


class _Failures:
    def __init__(self, opened: Trial) -> None:
        self._trial, self._story = opened, opened.story
        self._figures = opened.report.figures

    def run(self, calls: int | None) -> None:
        names = self._run_with(0, None, "undisturbed").calls
        share = None if calls is None else -(-calls // len(FAULTS))
        for fault in FAULTS:
            places = [number for number, name in enumerate(names, 1) if fault.only in (None, name)]
            self._trial.progress(f"{fault}, {len(places)} places")
            for index in sample(share, len(places)):
                self._at(places[index - 1], fault, names[places[index - 1] - 1])
        self._figures["calls to the database in them"] += len(names)

    def _at(self, number: int, fault: Fault, name: str) -> None:
        where = f"call {number}, {name[:60]}: {fault}"
        self._figures["failed calls"] += 1
        self._figures[f"failed: {fault}"] += 1
        if not self._run_with(number, fault, where).failed:
            self._trial.find(where, ["it was not reached"])

    def _run_with(self, number: int, fault: Fault | None, where: str) -> FailingDatabase:
        """The whole story, by one process, while this call fails."""
        with self._trial.copy() as folder:
            database = FailingDatabase(number, fault, folder / BOOKS)

            def tolerated(error: BaseException) -> bool:
                if not isinstance(error, StoreError):
                    return False
                self._trial.find(where, self._after(error, database, folder))
                return True

            self._trial.finish(where, folder, partial(self._opened, database, folder, tolerated))
        return database

    def _opened(self, database: FailingDatabase, folder: Path, tolerated: Callable[[BaseException], bool]) -> StoryRun:
        for _ in range(OPENINGS):
            try:
                return StoryRun(self._story, folder, connections=watched_connection(database), tolerated=tolerated)
            except StoreError as error:
                tolerated(error)
        raise AssertionError(f"the books were not opened in {OPENINGS} tries")

    def _after(self, error: StoreError, database: FailingDatabase, folder: Path) -> Iterable[str]:
        """What is wrong at the moment in which the caller has the error."""
        self._figures["errors that reached the caller"] += 1
        path, said = folder / BOOKS, str(error)
        if not database.failed:
            yield f"nothing has failed, but the caller is told: {said}"
            return
        theirs = "the order's own" in said
        if isinstance(error, StoreBusy) != (database.failed[0] == BEGIN and "locked" in said) and not theirs:
            yield f"it is raised as {type(error).__name__}: {said}"
        if NOTHING in said and len(database.failed) == 1 and committed(path) != database.committed:
            yield f"the caller is told that nothing was written, but it was: {said}"
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            try:
                other.execute(BEGIN)
                other.execute("ROLLBACK")
            except sqlite3.OperationalError as locked:
                yield f"a lock is left: {locked}"
        rows = rows_if_any(folder)
        if rows is not None:
            yield from self._trial.wrong_now(folder, rows)

"""The n-th call to the database fails, for every n, in every way a database fails; and the process goes on.

    python -m tallystick.testing.faults.failing_database --calls 400     # spread over all stories and faults
    python -m tallystick.testing.faults.failing_database --calls all

After each: the error was one of ours and true in what it says; nothing is half-written, no lock is left; the same
command said again by the same process is done, and at the end the books are those of an undisturbed run.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import attrs

from tallystick.errors import StoreBusy, StoreError
from tallystick.testing.faults.crash import Undisturbed, blank, undisturbed, wrong_at_the_end
from tallystick.testing.faults.harness import options, over_stories
from tallystick.testing.faults.points import CLOSE, watched
from tallystick.testing.faults.report import Progress, Ran, room, spread, to_stderr
from tallystick.testing.faults.story import BOOKS, OTHER_BOOKS, Story, Telling, copy, remove, told
from tallystick.testing.referee.verdict import Rows, judge

NOTHING = "nothing was written"
BEGIN, COMMIT = "BEGIN IMMEDIATE", "COMMIT"
OPENINGS = 5  # a process that cannot open its books tries again


# The ways in which a database fails


@attrs.frozen
class Fault:
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


class Fails:
    """A watch under which the database fails at one call."""

    def __init__(self, at: int, fault: Fault | None, path: Path) -> None:
        self._at, self._fault, self._path = at, fault, path
        self.calls: list[str] = []
        self.failed: list[str] = []
        self.committed: object = None  # before it failed

    def before(self, connection: sqlite3.Connection, sql: str) -> None:
        if sql != CLOSE:
            self.calls.append(sql.partition("\n")[0])
            if len(self.calls) == self._at:
                self.committed = committed(self._path)
            self._perhaps(connection, done=False)

    def after(self, connection: sqlite3.Connection, sql: str) -> None:
        if sql != CLOSE:
            self._perhaps(connection, done=True)

    def _perhaps(self, connection: sqlite3.Connection, *, done: bool) -> None:
        fault = self._fault
        if fault is None or fault.done != done or not self._at <= len(self.calls) < self._at + fault.times:
            return
        fault.first(connection)
        self.failed.append(self.calls[-1])
        error = sqlite3.OperationalError(fault.text)
        error.sqlite_errorcode = fault.code
        raise error


def committed(path: Path) -> object:
    """What another process sees of it: enough to tell that something was written."""
    queries = ("SELECT count(*) FROM entry", "SELECT id, state, attempts, note FROM call", "SELECT * FROM queue")
    with closing(sqlite3.connect(path)) as connection:
        try:
            return [connection.execute(query).fetchall() for query in queries]
        except sqlite3.OperationalError:  # there are no tables yet
            return None


# After a failure


class _Failures:
    def __init__(self, story: Story, folder: Path) -> None:
        self._story, self._room = story, folder
        self._blank = blank(story, folder / "blank")
        aside = copy(self._blank, folder / "undisturbed")
        self._undisturbed: Undisturbed = undisturbed(story, aside)
        remove(aside)
        self._ran = Ran()

    def run(self, calls: int | None, progress: Progress) -> Ran:
        counted = self._told(Fails(0, None, self._room), "undisturbed", self._room / "counted")
        names = counted.calls
        share = None if calls is None else -(-calls // len(FAULTS))
        for fault in FAULTS:
            places = [n for n, name in enumerate(names, 1) if fault.only in (None, name)]
            progress(f"{self._story.name}: {fault}, {len(places)} places, {len(self._ran.findings)} findings")
            for index in spread(share, len(places)):
                n = places[index - 1]
                self._at(n, fault, names[n - 1])
        self._ran.figures["stories"] += 1
        self._ran.figures["calls to the database in them"] += len(names)
        return self._ran

    def _at(self, n: int, fault: Fault, name: str) -> None:
        where = f"{self._story.name}, call {n}, {name[:60]}: {fault}"
        folder = self._room / f"{n}"
        fails = self._told(Fails(n, fault, folder / BOOKS), where, folder)
        self._ran.figures[f"failed: {fault}"] += 1
        if not fails.failed:
            self._find(where, ["it was not reached"])

    def _told(self, fails: Fails, where: str, folder: Path) -> Fails:
        copy(self._blank, folder)

        def tolerated(error: BaseException) -> bool:
            if not isinstance(error, StoreError):
                return False
            self._find(where, self._after(error, fails, folder))
            return True

        try:
            telling = self._opened(fails, folder, tolerated)
            telling.tell()
            telling.close()
            self._find(where, wrong_at_the_end(self._story, folder, self._undisturbed.shape))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            self._find(where, [f"it ends with {type(error).__name__}: {error}"])
        remove(folder)
        return fails

    def _opened(self, fails: Fails, folder: Path, tolerated: Callable[[BaseException], bool]) -> Telling:
        for _ in range(OPENINGS):
            try:
                return Telling(self._story, folder, 0, connections=watched(fails), fault=tolerated)
            except StoreError as error:
                tolerated(error)
        raise AssertionError(f"the books were not opened in {OPENINGS} tries")

    def _after(self, error: StoreError, fails: Fails, folder: Path) -> Iterable[str]:
        """What is wrong at the moment in which the caller has the error."""
        self._ran.figures["errors that reached the caller"] += 1
        path, said = folder / BOOKS, str(error)
        if not fails.failed:
            yield f"nothing has failed, but the caller is told: {said}"
            return
        theirs = "the order's own" in said
        if isinstance(error, StoreBusy) != (fails.failed[0] == BEGIN and "locked" in said) and not theirs:
            yield f"it is raised as {type(error).__name__}: {said}"
        if NOTHING in said and len(fails.failed) == 1 and committed(path) != fails.committed:
            yield f"the caller is told that nothing was written, but it was: {said}"
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            try:
                other.execute(BEGIN)
                other.execute("ROLLBACK")
            except sqlite3.OperationalError as locked:
                yield f"a lock is left: {locked}"
        if committed(path) is not None:
            rows = Rows.of_sqlite(str(path))
            yield from judge(rows, self._story.provided(folder / OTHER_BOOKS), told(folder), settled=False)

    def _find(self, where: str, sentences: Iterable[str]) -> None:
        self._ran.findings += [f"{where}: {sentence}" for sentence in sentences]


def failing_calls(story: Story, calls: int | None = None, progress: Progress | None = None) -> Ran:
    """Let the database fail at calls of a story, all or so many, in all ways; judge what comes of it."""
    with room() as folder:
        return _Failures(story, folder).run(calls, progress or (lambda line: None))


def main(arguments: Sequence[str] | None = None) -> int:
    about = "Let the database fail at calls of our machines' own stories."
    given = options("failing", about, "calls", 400).parse_args(arguments)
    return over_stories(given, lambda story, calls: failing_calls(story, calls, to_stderr),
                        total="failed calls", of="failed: ")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

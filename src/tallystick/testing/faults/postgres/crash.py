"""The same stories on a real PostgreSQL, at every trip to it: lines are cut, backends killed, clients killed.

    python -m tallystick.testing.faults postgres --trips 70

A *trip* is what a client sends before it waits for an answer. At each the line is cut before the server has it, or
after the server has done it; or the client's backend is ended, or killed with SIGKILL, after which the server ends all
others and recovers; or the client is killed with SIGKILL, before or after, or where it asks the provider. A sample cuts
lines at COMMITs only, where what a caller hears matters most. Whatever of this happens, the story is run again from its
start with the same keys, and ends with the books of an undisturbed run on SQLite: what is the same there is the same
here.
"""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import attrs
import psycopg
from psycopg.rows import TupleRow

from tallystick.errors import CommitUnknown, StoreError
from tallystick.store.postgres.store import PostgresStore
from tallystick.testing.faults.child_process import KILLED, run_in_child, start_child, wait_for_child
from tallystick.testing.faults.comparison import ComparableBooks
from tallystick.testing.faults.kill_points import KilledAt, KillPoints
from tallystick.testing.faults.postgres.proxy import Act, Proxy
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.faults.story import OTHER_BOOKS, Story, StoryRun, acknowledged
from tallystick.testing.faults.trial import Trial, sample, trial
from tallystick.testing.postgres_server import Server, new_database
from tallystick.testing.referee import Rows, judge
from tallystick.testing.store_rows import rows_of

NOTHING = "nothing was written"
PATIENCE = 10.0  # seconds to wait for a lock of a backend that is about to end
NO_TABLES = "no tables"
SETTINGS = ("fsync=off", "full_page_writes=off", "shared_buffers=32MB", "autovacuum=off", "jit=off")
FAULTS = ("cut before", "cut after", "backend ended", "backend killed", "client killed before", "client killed after",
          "client killed at a call")  # fmt: skip


def postgres_trips(story: Story, trips: int | None = None, progress: Progress | None = None) -> FaultReport:
    """Disturb so many trips of a story, or all, in every way; judge what comes of it. Raises NoServer."""
    with trial(story, progress) as opened, new_database() as empty:
        if story.steps:  # one without steps makes the tables itself: it is about that
            with closing(PostgresStore(empty)) as store:
                store.machines(story.machines)
        _Trips(opened, psycopg.conninfo.conninfo_to_dict(empty)).run(trips)
    return opened.report


@cache
def _server(process: int) -> Server:
    """One whose backends may be killed: it ends all others with them, so nothing else may use it. Raises NoServer."""
    server = Server(*SETTINGS)
    server.init()
    server.start()
    atexit.register(lambda: server.remove() if os.getpid() == process else None)
    return server


@attrs.define
class _Told:
    """What a caller hears of the database while a story runs, and how it stood before the fault."""

    before: object = None
    errors: list[tuple[StoreError, object]] = attrs.field(factory=list)  # each with how it stands then


class _Trips:
    def __init__(self, opened: Trial, template: Mapping[str, object]) -> None:
        self._trial, self._story = opened, opened.story
        self._template = str(template["dbname"])
        self._figures = opened.report.figures

    def run(self, trips: int | None) -> None:
        trip_names, calls = self._names()
        self._figures["trips in the stories"] += len(trip_names)
        share = None if trips is None else -(-trips // len(FAULTS))
        for number, fault in enumerate(FAULTS):
            names = calls if fault.endswith("call") else trip_names
            self._trial.progress(f"{fault}, {len(names)} places")
            sampled = share is not None and fault.startswith("cut")
            places = [at for at, name in enumerate(names, 1) if not sampled or name.endswith("COMMIT")]
            for index in sample(share, len(places)):
                at = places[(index + number * 7) % len(places)]  # others for each fault
                self._at(at, fault, f"trip {at}, {names[at - 1]}: {fault}")

    def _names(self) -> tuple[list[str], list[str]]:
        """The trips of a run that is not disturbed, and its points at the provider. It ends as it does on SQLite."""
        calls, where = KillPoints(), "undisturbed on PostgreSQL"
        with self._opened() as (folder, url), Proxy(url, folder) as line:
            with self._trial.guarded(where):
                self._run(folder, line.url, 0, points=calls).finish()
            trips = list(line.trips)  # without those of who looks at it afterwards
            self._compare(where, folder, url)
        return trips, calls.names

    def _at(self, at: int, fault: str, where: str) -> None:
        self._figures["disturbed trips"] += 1
        self._figures[fault] += 1
        with self._opened(fault) as (folder, url), self._trial.guarded(where):
            if fault == "client killed at a call":
                self._ended(where, run_in_child(lambda: self._run(folder, url, 0, points=KilledAt(at)).finish()))
            elif fault.startswith("client killed"):
                self._kill(at, fault, where, folder, url)
            else:
                self._cut(at, fault, where, folder, url)
            self._trial.find(where, self._wrong(folder, url, settled=False))
            self._finish(f"{where}; run again", folder, url)

    def _kill(self, at: int, fault: str, where: str, folder: Path, url: str) -> None:
        clients: list[int] = []

        def kill(_: int) -> None:
            while not clients:  # it was quicker than the line that notes its number
                time.sleep(0.001)
            os.kill(clients[0], signal.SIGKILL)

        acts: dict[str, Act] = {fault.rpartition(" ")[2]: kill}
        with Proxy(url, folder, at, **acts) as line:
            clients.append(start_child(lambda: self._run(folder, line.url, 0).finish()))
            ended = wait_for_child(clients[0])
        self._ended(where, ended)

    def _ended(self, where: str, ended: str) -> None:
        if ended != KILLED:
            self._trial.find(where, [f"the client was not killed but {ended or 'ended well'}"])

    def _cut(self, at: int, fault: str, where: str, folder: Path, url: str) -> None:
        told = _Told()

        def before(backend: int) -> None:
            told.before = _committed(url)
            if fault == "backend ended":
                with psycopg.connect(url, autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
            elif fault == "backend killed":
                _kill(backend, url)

        def tolerated(error: BaseException) -> bool:
            if isinstance(error, StoreError):
                told.errors.append((error, _committed(url)))
            return isinstance(error, StoreError)

        after: Act | None = (lambda backend: None) if fault == "cut after" else None
        with Proxy(url, folder, at, before=before, after=after) as line:
            self._run(folder, line.url, 0, tolerated).finish()
            if len(line.trips) < at:
                self._trial.find(where, ["it was not reached"])
        self._figures["errors that reached the caller"] += len(told.errors)
        for error, stands in told.errors:
            self._figures["of these, CommitUnknown"] += isinstance(error, CommitUnknown)
            if NOTHING in str(error) and told.before is not None and stands != told.before:
                self._trial.find(where, [f"the caller is told that nothing was written, but it was: {error}"])

    @contextmanager
    def _opened(self, fault: str = "") -> Iterator[tuple[Path, str]]:
        """A folder for the provider's books, and a database with the tables."""
        with self._trial.empty_folder() as folder:
            if fault != "backend killed":
                with new_database(self._template) as url:
                    yield folder, url
            else:
                yield folder, self._on_a_server_of_its_own()

    def _on_a_server_of_its_own(self) -> str:
        """The URL of a database that nobody has used. The one before it is gone."""
        server = _server(os.getpid())
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS story WITH (FORCE)")
            connection.execute("CREATE DATABASE story")
        url = server.url("story")
        if self._story.steps:
            with closing(PostgresStore(url)) as store:
                store.machines(self._story.machines)
        return url

    def _run(
        self, folder: Path, url: str, process: int, tolerated: Callable[[BaseException], bool] | None = None,
        points: KillPoints | None = None,
    ) -> StoryRun:  # fmt: skip
        def run(**more: Any) -> StoryRun:
            store = PostgresStore(url, busy_timeout=PATIENCE)
            own = partial(_their_own, url)
            return StoryRun(self._story, folder, process, store=store, own=own, points=points, **more)

        if tolerated is None:
            return run()
        with suppress(StoreError):  # the trip was one of those that open the books
            return run(tolerated=tolerated)
        return run(tolerated=tolerated)

    def _finish(self, where: str, folder: Path, url: str) -> None:
        """Run the story to its end, and compare it with the undisturbed run."""
        with self._trial.guarded(where):
            self._run(folder, url, 1).finish()
            self._compare(where, folder, url)

    def _compare(self, where: str, folder: Path, url: str) -> None:
        self._trial.find(where, self._wrong(folder, url, settled=True))
        books = ComparableBooks.of(_rows(url), self._story.machines)
        self._trial.find(where, self._trial.undisturbed.books.differences(books))

    def _wrong(self, folder: Path, url: str, *, settled: bool) -> Iterable[str]:
        if _committed(url) == NO_TABLES:
            return
        yield from judge(
            _rows(url), self._story.provider_books(folder / OTHER_BOOKS), acknowledged(folder), settled=settled
        )
        yield from self._story.wrong(folder)


def _rows(url: str) -> Rows:
    with closing(PostgresStore(url)) as store:
        return rows_of(store)


def _committed(url: str) -> object:
    """What another process sees of the books: enough to tell that something was written."""
    queries = ("SELECT count(*) FROM tallystick.entry",
               "SELECT id, state, attempts, note FROM tallystick.call ORDER BY 1",
               "SELECT key, state, attempts, due FROM tallystick.queue ORDER BY 1")  # fmt: skip
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('tallystick.queue')").fetchone() == (None,):
            return NO_TABLES
        return [connection.execute(query).fetchall() for query in queries]


def _kill(backend: int, url: str) -> None:
    """The server ends all its other backends then, and recovers. Raises OperationalError if it does not come back."""
    until = time.monotonic() + PATIENCE
    with closing(psycopg.connect(url, autocommit=True)) as other, suppress(psycopg.OperationalError):
        os.kill(backend, signal.SIGKILL)
        while time.monotonic() < until:
            other.execute("SELECT pg_sleep(0.005)")
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
        time.sleep(0.005)


@contextmanager
def _their_own(url: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """A transaction of the order system's own. Its errors are StoreErrors, as ours are."""
    try:
        with psycopg.connect(url) as connection:
            yield connection
    except psycopg.Error as error:
        raise StoreError(f"the order's own transaction: {error}") from error

"""The same stories on a real PostgreSQL, at every trip to it: lines are cut, backends ended, clients killed.

    python -m tallystick.testing.faults postgres --trips 60

A *trip* is what a client sends before it waits for an answer. At each the line is cut before the server has it, or
after the server has done it; or the server ends the client's backend; or the client is killed with SIGKILL, before or
after. A sample cuts lines at COMMITs only, where what a caller hears matters most. Whatever of this happens, the story
is run again from its start with the same keys, and ends with the books of an undisturbed run on SQLite: what is the
same there is the same here.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import attrs
import psycopg

from tallystick.errors import CommitUnknown, StoreError
from tallystick.store.postgres.store import PostgresStore
from tallystick.testing.faults.child_process import KILLED, start_child, wait_for_child
from tallystick.testing.faults.comparison import ComparableBooks
from tallystick.testing.faults.postgres.proxy import Act, Proxy
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.faults.story import OTHER_BOOKS, Story, StoryRun, acknowledged
from tallystick.testing.faults.trial import Trial, sample, trial
from tallystick.testing.postgres_server import new_database
from tallystick.testing.referee import Rows, judge
from tallystick.testing.store_rows import rows_of

NOTHING = "nothing was written"
PATIENCE = 10.0  # seconds to wait for a lock of a backend that is about to end
OF_A_FILE = ("opened", "with the order")  # stories of ours that make the file's tables, or join its connection
FAULTS = ("cut before", "cut after", "backend ended", "client killed before", "client killed after")


def postgres_trips(story: Story, trips: int | None = None, progress: Progress | None = None) -> FaultReport:
    """Disturb so many trips of a story, or all, in every way; judge what comes of it. Raises NoServer."""
    with trial(story, progress) as opened, new_database() as empty:
        store = PostgresStore(empty)
        store.machines(story.machines)
        store.close()
        _Trips(opened, psycopg.conninfo.conninfo_to_dict(empty)).run(trips)
    return opened.report


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
        names = self._names()
        self._figures["trips in the stories"] += len(names)
        share = None if trips is None else -(-trips // len(FAULTS))
        for number, fault in enumerate(FAULTS):
            self._trial.progress(f"{fault}, {len(names)} trips")
            sampled = share is not None and fault.startswith("cut")
            places = [at for at, name in enumerate(names, 1) if not sampled or name.endswith("COMMIT")]
            for index in sample(share, len(places)):
                at = places[(index + number * 7) % len(places)]  # others for each fault
                self._at(at, fault, f"trip {at}, {names[at - 1]}: {fault}")

    def _names(self) -> list[str]:
        """The trips of a run that is not disturbed. It ends as it does on SQLite."""
        with self._opened() as (folder, url), Proxy(url, folder) as line:
            self._finish("undisturbed on PostgreSQL", folder, line.url, 0)
            return line.trips

    def _at(self, at: int, fault: str, where: str) -> None:
        self._figures["disturbed trips"] += 1
        self._figures[fault] += 1
        with self._opened() as (folder, url), self._trial.guarded(where):
            if fault.startswith("client killed"):
                self._kill(at, fault, where, folder, url)
            else:
                self._cut(at, fault, where, folder, url)
            self._trial.find(where, self._wrong(folder, url, settled=False))
            self._finish(f"{where}; run again", folder, url, 1)

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
        if ended != KILLED:
            self._trial.find(where, [f"the client was not killed but {ended or 'ended well'}"])

    def _cut(self, at: int, fault: str, where: str, folder: Path, url: str) -> None:
        told = _Told()

        def before(backend: int) -> None:
            told.before = _committed(url)
            if fault == "backend ended":
                with psycopg.connect(url, autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])

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
    def _opened(self) -> Iterator[tuple[Path, str]]:
        """A folder for the provider's books, and a database with the tables."""
        with self._trial.empty_folder() as folder, new_database(self._template) as url:
            yield folder, url

    def _run(
        self, folder: Path, url: str, process: int, tolerated: Callable[[BaseException], bool] | None = None
    ) -> StoryRun:
        store = PostgresStore(url, busy_timeout=PATIENCE)
        if tolerated is None:
            return StoryRun(self._story, folder, process, store=store)
        with suppress(StoreError):  # the trip was one of those that open the books
            return StoryRun(self._story, folder, process, store=store, tolerated=tolerated)
        return StoryRun(self._story, folder, process, store=store, tolerated=tolerated)

    def _finish(self, where: str, folder: Path, url: str, process: int) -> None:
        """Run the story to its end, and compare it with the undisturbed run."""
        with self._trial.guarded(where):
            self._run(folder, url, process).finish()
            self._trial.find(where, self._wrong(folder, url, settled=True))
            books = ComparableBooks.of(_rows(url), self._story.machines)
            self._trial.find(where, self._trial.undisturbed.books.differences(books))

    def _wrong(self, folder: Path, url: str, *, settled: bool) -> Iterable[str]:
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
        return [connection.execute(query).fetchall() for query in queries]

"""One story that is disturbed many times: how it ends undisturbed, copies of its files, and what was found."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import attrs

from tallystick.testing.faults.comparison import ComparableBooks
from tallystick.testing.faults.connection_watch import watched_connection
from tallystick.testing.faults.kill_points import KillPoints
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.faults.story import BOOKS, OTHER_BOOKS, Story, StoryRun, acknowledged
from tallystick.testing.referee import Rows, judge

MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it


@attrs.frozen
class Undisturbed:
    """How a story ends if nobody disturbs it, and the points on its way."""

    points: Sequence[str]
    books: ComparableBooks


class Trial:
    """A story, how it ends undisturbed, and the report on its disturbed runs. Opened with `trial`."""

    def __init__(self, story: Story, folder: Path, progress: Progress | None) -> None:
        self.story, self._progress = story, progress
        self.report = FaultReport()
        self._folder, self._folders = folder, 0
        self._start = new_books(story, folder / "start")
        with self.copy() as aside:
            self.undisturbed = undisturbed(story, aside)
        self.report.figures["stories"] += 1

    @contextmanager
    def empty_folder(self) -> Iterator[Path]:
        """A new folder, removed afterwards."""
        self._folders += 1
        made = self._folder / str(self._folders)
        made.mkdir()
        try:
            yield made
        finally:
            shutil.rmtree(made)

    @contextmanager
    def copy(self, folder: Path | None = None) -> Iterator[Path]:
        """A copy of the files of a folder, or of new books; removed afterwards."""
        with self.empty_folder() as made:
            shutil.copytree(folder or self._start, made, copy_function=shutil.copyfile, dirs_exist_ok=True)
            yield made

    @contextmanager
    def guarded(self, where: str) -> Iterator[None]:
        """Whatever is raised is a finding."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.find(where, [f"it ends with {type(error).__name__}: {error}"])

    def progress(self, what: str) -> None:
        if self._progress is not None:
            self._progress(f"{self.story.name}: {what}, {len(self.report.findings)} findings")

    def find(self, where: str, sentences: Iterable[str]) -> None:
        self.report.find(f"{self.story.name}, {where}", sentences)

    def wrong_now(self, folder: Path, rows: Rows) -> Iterator[str]:
        """What is wrong with unfinished books."""
        yield from judge(rows, self.story.provider_books(folder / OTHER_BOOKS), acknowledged(folder), settled=False)
        yield from self.story.wrong(folder)

    def finish(self, where: str, folder: Path, run: Callable[[], StoryRun], *, steady: bool = True) -> None:
        """Run the story to its end, and compare it with the undisturbed run. `steady`: no clock was set back."""
        with self.guarded(where):
            run().finish()
            rows = Rows.of_sqlite(folder / BOOKS)
            self.find(where, _wrong_at_the_end(self.story, folder, rows, steady=steady))
            books = ComparableBooks.of(rows, self.story.machines)
            self.find(where, self.undisturbed.books.differences(books))


@contextmanager
def trial(story: Story, progress: Progress | None) -> Iterator[Trial]:
    """Run the story undisturbed, in files that are gone afterwards. Raises AssertionError if it does not go well."""
    with temporary_folder() as folder:
        yield Trial(story, folder, progress)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """In memory, if there is such a place: processes are killed here, never the machine."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tallystick-", dir=place) as folder:
        yield Path(folder)


def new_books(story: Story, folder: Path) -> Path:
    """Empty books with their tables. A story without steps makes the tables itself: it is about that."""
    folder.mkdir()
    if story.steps:
        StoryRun(story, folder).close()
    return folder


def undisturbed(story: Story, folder: Path) -> Undisturbed:
    """Run it to its end. Raises AssertionError if that does not go well already."""
    points = KillPoints()
    StoryRun(story, folder, points=points, connections=watched_connection(points)).finish()
    rows = Rows.of_sqlite(folder / BOOKS)
    wrong = list(_wrong_at_the_end(story, folder, rows))
    assert not wrong, f"{story.name}, undisturbed: {wrong}"
    return Undisturbed(points.names, ComparableBooks.of(rows, story.machines))


def rows_if_any(folder: Path) -> Rows | None:
    """The rows in the books of a folder; None before they have tables."""
    if not (folder / BOOKS).exists():
        return None
    with closing(sqlite3.connect(folder / BOOKS)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'machine'").fetchone():
            return None
    return Rows.of_sqlite(folder / BOOKS)


def sample(wanted: int | None, of: int) -> list[int]:
    """So many numbers from 1 to `of`, evenly, odd and even ones by turns; all of them for None."""
    if wanted is None or wanted >= of:
        return list(range(1, of + 1))
    return [min(1 + index * of // wanted | 1, of) - index % 2 or 1 for index in range(wanted)]


def _wrong_at_the_end(story: Story, folder: Path, rows: Rows, *, steady: bool = True) -> Iterator[str]:
    yield from judge(rows, story.provider_books(folder / OTHER_BOOKS), acknowledged(folder), steady=steady)
    yield from story.wrong(folder)

"""Tears SQLite's log where a machine may stop in the middle of writing it; the books must be those of a moment before.

    python -m tallystick.testing.faults torn-log --tears 500       # spread evenly over all of them

A story is run without a checkpoint, so that everything it writes stands in the write-ahead log. After every commit we
note how long the log is and what the books hold. Then copies of the log are cut or damaged, at every frame and around
it. The books that SQLite opens must be those of the last commit that is whole before the tear: nothing that was
acknowledged by then is missing, and nothing of the next commit is there. The provider's books are as they were when the
next commit began. Run again, the story has to come to its undisturbed end.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

import attrs

from tallystick.testing.faults.connection_watch import OPEN, watched_connection
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.faults.story import ACKNOWLEDGED, BOOKS, OTHER_BOOKS, Story, StoryRun
from tallystick.testing.faults.trial import Trial, rows_if_any, sample, trial
from tallystick.testing.referee import Rows

WAL = f"{BOOKS}-wal"
HEAD, FRAME_HEAD = 32, 24  # bytes before the first frame, and before each frame's page
OTHERS = (OTHER_BOOKS, ACKNOWLEDGED)


def torn_logs(story: Story, tears: int | None = None, progress: Progress | None = None) -> FaultReport:
    """Tear the log of a story in so many ways, or in all, and judge the books that are left."""
    with trial(story, progress) as opened:
        _TornLogs(opened).run(tears)
    return opened.report


# What stood in the books, and when


@attrs.frozen
class Moment:
    """After a commit."""

    log: int  # bytes of the log
    digest: str  # of what the books hold
    others: Mapping[str, int]  # bytes of the other files when the commit began


class Moments:
    """Watches connections, keeps the moments, and keeps SQLite from emptying its log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._others: dict[str, int] = {}
        self.all = [Moment(0, digest(rows_if_any(folder)), {})]

    def before(self, connection: sqlite3.Connection, sql: str) -> None:
        if sql == "COMMIT":
            files = [self._folder / name for name in OTHERS]
            self._others = {file.name: file.stat().st_size for file in files if file.exists()}

    def after(self, connection: sqlite3.Connection, sql: str) -> None:
        if sql == OPEN:
            sqlite3.Connection.execute(connection, "PRAGMA wal_autocheckpoint = 0")
        if sql == "COMMIT":
            log = (self._folder / WAL).stat().st_size
            if log > self.all[-1].log:  # something was written
                self.all.append(Moment(log, digest(rows_if_any(self._folder)), self._others))


def digest(rows: Rows | None) -> str:
    """What the books hold, as a hash."""
    if rows is None:
        return "no tables"
    everything = repr((rows.entities, rows.entries, rows.calls, rows.queue, sorted(rows.pages), sorted(rows.steps)))
    return hashlib.sha256(everything.encode()).hexdigest()


# The ways to tear a log


@attrs.frozen
class Tear:
    """What is done to a log from this byte on."""

    how: str
    at: int


def _cut(log: bytes, at: int) -> bytes:
    return log[:at]


def _flip(log: bytes, at: int) -> bytes:
    return log[:at] + bytes([log[at] ^ 0x10]) + log[at + 1 :]


def _zeros(log: bytes, at: int) -> bytes:
    return log[:at] + bytes(len(log) - at)


def _rubbish(log: bytes, at: int) -> bytes:
    return log[:at] + Random(at).randbytes(len(log) - at)  # noqa: S311  # rubbish


def _old_frame(log: bytes, at: int) -> bytes:
    """A write that went to the wrong place: the first frame stands where this one should."""
    size = FRAME_HEAD + page_size(log)
    return log[:at] + log[HEAD : HEAD + size] + log[at + size :]


TEARS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "cut": _cut, "a bit flipped": _flip, "zeros from there": _zeros, "rubbish from there": _rubbish,
    "an old frame": _old_frame,
}  # fmt: skip


def page_size(log: bytes) -> int:
    return int.from_bytes(log[8:12], "big")


def tears(log: bytes) -> list[Tear]:
    """At every byte of the head of the log, and at every frame and around it."""
    page = page_size(log)
    found = [Tear("cut", at) for at in (0, 1, HEAD - 1)] + [Tear("a bit flipped", at) for at in range(HEAD)]
    for frame in range(HEAD, len(log), FRAME_HEAD + page):
        data, middle = frame + FRAME_HEAD, frame + FRAME_HEAD + page // 2
        found += [Tear("cut", at) for at in (frame - 1, frame, frame + 1, data - 1, data, data + 1, middle)]
        found += [Tear("a bit flipped", frame + field) for field in (3, 7, 11, 15, 19, 23)]  # its head's six numbers
        found += [Tear("a bit flipped", at) for at in (data, middle, data + page - 1)]
        found += [Tear(how, at) for how in ("zeros from there", "rubbish from there") for at in (frame, middle)]
        if frame > HEAD:
            found.append(Tear("an old frame", frame))
    return found


def intact(log: bytes, torn: bytes, at: int) -> int:
    """How many bytes are as they were."""
    for index in range(at, min(len(log), len(torn))):
        if log[index] != torn[index]:
            return index
    return min(len(log), len(torn))


# Tearing


class _TornLogs:
    def __init__(self, opened: Trial) -> None:
        self._trial, self._story = opened, opened.story
        self._figures = opened.report.figures
        self._files, self._moments = self._recorded()
        self._log = self._files[WAL]
        self._known: set[tuple[int, str]] = set()  # commit, and kind of tear after which the story was finished

    def _recorded(self) -> tuple[dict[str, bytes], Sequence[Moment]]:
        """The files as they stand at the story's end, before anything is closed; the moments on the way there."""
        with self._trial.copy() as folder:
            moments = Moments(folder)
            run = StoryRun(self._story, folder, connections=watched_connection(moments))
            run.run()
            files = {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}
            run.close()
        return files, moments.all

    def run(self, wanted: int | None) -> None:
        every = tears(self._log)
        for index, number in enumerate(sample(wanted, len(every))):
            if index % 500 == 0:
                self._trial.progress(f"tear {number} of {len(every)}")
            self._at(every[number - 1])
        self._figures["commits"] += len(self._moments) - 1
        self._figures["frames"] += (len(self._log) - HEAD) // (FRAME_HEAD + page_size(self._log))

    def _at(self, tear: Tear) -> None:
        log = TEARS[tear.how](self._log, tear.at)
        left = intact(self._log, log, tear.at)
        if left == len(self._log):
            self._figures["changed nothing"] += 1
            return
        commit = sum(moment.log <= left for moment in self._moments) - 1
        self._figures["torn logs"] += 1
        self._figures[f"torn: {tear.how}"] += 1
        where = f"{tear.how} at byte {tear.at} of the log, after commit {commit}"
        with self._trial.empty_folder() as folder, self._trial.guarded(where):
            self._lay_out(folder, log, commit)
            self._trial.find(where, self._opened(folder, self._moments[commit]))
            if (commit, tear.how) not in self._known:
                self._known.add((commit, tear.how))
                self._figures["run on to the end"] += 1
                self._trial.finish(where, folder, partial(StoryRun, self._story, folder, 1))

    def _lay_out(self, folder: Path, log: bytes, commit: int) -> None:
        """The books and their torn log; the other files as they were when the torn commit began."""
        files = {BOOKS: self._files[BOOKS], WAL: log}
        for name in OTHERS:
            whole = self._files.get(name, b"")
            following = self._moments[commit + 1 :]
            files[name] = whole[: following[0].others.get(name, 0)] if following else whole
        for name, content in files.items():
            if content:
                (folder / name).write_bytes(content)

    def _opened(self, folder: Path, moment: Moment) -> Iterator[str]:
        """What is wrong with the books as SQLite opens them."""
        rows = rows_if_any(folder)
        found = digest(rows)
        if found != moment.digest:
            known = [number for number, each in enumerate(self._moments) if each.digest == found]
            yield f"the books are not those of that commit, but {f'of commit {known[0]}' if known else 'of none'}"
        if rows is not None:
            yield from self._trial.wrong_now(folder, rows)

"""SQLite's log torn where a machine may stop in the middle of writing it: the books are those of a moment before.

    python -m tallystick.testing.faults.torn_log --tears 500       # spread evenly over all of them
    python -m tallystick.testing.faults.torn_log --tears 20000

A story is told without a checkpoint, so that everything it wrote stands in the write-ahead log, and after every commit
it is noted how long the log is and what the books hold. Then copies of the log are cut or damaged, at every frame and
around it. Opened, the books have to be exactly those of the last commit that is whole before the tear: nothing of
what was acknowledged by then is missing, nothing of the next is there. The provider's books are as they were when the
next commit began; and the story, told again, comes to its undisturbed end.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import attrs

from tallystick.testing.faults.crash import blank, undisturbed, whole, wrong_at_the_end
from tallystick.testing.faults.harness import options, over_stories
from tallystick.testing.faults.points import OPEN, watched
from tallystick.testing.faults.report import Progress, Ran, room, spread, to_stderr
from tallystick.testing.faults.story import BOOKS, OTHER_BOOKS, TOLD, Story, Telling, copy, remove, told
from tallystick.testing.referee.verdict import Rows, judge

WAL = f"{BOOKS}-wal"
HEAD, FRAME_HEAD = 32, 24  # bytes before the first frame, and before each frame's page
OTHERS = (OTHER_BOOKS, TOLD)


# What stood in the books, and when


@attrs.frozen
class Moment:
    """After a commit: how long the log is, and what the books hold. `begun`: the other files when it began."""

    log: int
    digest: str
    begun: Mapping[str, int]


class Records:
    """A watch that keeps the moments, and keeps SQLite from emptying its log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun: dict[str, int] = {}
        self.moments: list[Moment] = []

    def before(self, connection: sqlite3.Connection, sql: str) -> None:
        if sql == "COMMIT":
            self._begun = sizes(self._folder)

    def after(self, connection: sqlite3.Connection, sql: str) -> None:
        if sql == OPEN:
            sqlite3.Connection.execute(connection, "PRAGMA wal_autocheckpoint = 0")
        if sql == "COMMIT":
            log = (self._folder / WAL).stat().st_size
            if log > (self.moments[-1].log if self.moments else 0):  # something was written
                self.moments.append(Moment(log, digest(self._folder / BOOKS), self._begun))


def sizes(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in OTHERS if (folder / name).exists()}


def digest(path: Path) -> str:
    """What the books hold, in a word."""
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'machine'").fetchone():
            return "no tables"
    rows = Rows.of_sqlite(str(path))
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
    """A write that went astray: the first frame stands where this one should."""
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


class _Torn:
    def __init__(self, story: Story, folder: Path) -> None:
        self._story, self._room = story, folder
        start = blank(story, folder / "blank")
        aside = copy(start, folder / "undisturbed")
        self._shape = undisturbed(story, aside).shape
        remove(aside)
        self._files, self._moments = self._recorded(start)
        self._log = self._files[WAL]
        self._known: set[tuple[int, str]] = set()
        self._ran = Ran()

    def _recorded(self, start: Path) -> tuple[dict[str, bytes], Sequence[Moment]]:
        """The files as they stand at the story's end, before anything is closed; the moments on the way there."""
        folder = copy(start, self._room / "recorded")
        first = Moment(0, digest(folder / BOOKS) if (folder / BOOKS).exists() else "no tables", {})
        records = Records(folder)
        telling = Telling(self._story, folder, 0, connections=watched(records))
        telling.tell()
        files = {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}
        telling.close()
        remove(folder)
        return files, [first, *records.moments]

    def run(self, wanted: int | None, progress: Progress) -> Ran:
        every = tears(self._log)
        for number, index in enumerate(spread(wanted, len(every))):
            if number % 500 == 0:
                progress(f"{self._story.name}: tear {index} of {len(every)}, {len(self._ran.findings)} findings")
            self._at(every[index - 1])
        self._ran.figures["stories"] += 1
        self._ran.figures["commits"] += len(self._moments) - 1
        self._ran.figures["frames"] += (len(self._log) - HEAD) // (FRAME_HEAD + page_size(self._log))
        return self._ran

    def _at(self, tear: Tear) -> None:
        log = TEARS[tear.how](self._log, tear.at)
        left = intact(self._log, log, tear.at)
        if left == len(self._log):
            self._ran.figures["changed nothing"] += 1
            return
        number = sum(moment.log <= left for moment in self._moments) - 1
        self._ran.figures[f"torn: {tear.how}"] += 1
        where = f"{self._story.name}, {tear.how} at byte {tear.at} of the log, after commit {number}"
        folder = self._laid_out(log, number)
        try:
            self._find(where, self._opened(folder, self._moments[number]))
            if (number, tear.how) not in self._known:
                self._known.add((number, tear.how))
                self._ran.figures["told on to the end"] += 1
                whole(Telling(self._story, folder, 1))
                self._find(where, wrong_at_the_end(self._story, folder, self._shape))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            self._find(where, [f"it ends with {type(error).__name__}: {error}"])
        remove(folder)

    def _laid_out(self, log: bytes, number: int) -> Path:
        """The books and their torn log; the other files as they were when the torn commit began."""
        folder = self._room / "torn"
        folder.mkdir()
        (folder / BOOKS).write_bytes(self._files[BOOKS])
        (folder / WAL).write_bytes(log)
        begun = self._moments[number + 1].begun if number + 1 < len(self._moments) else {}
        for name in OTHERS:
            size = begun.get(name, 0) if begun or number + 1 < len(self._moments) else len(self._files.get(name, b""))
            if size:
                (folder / name).write_bytes(self._files[name][:size])
        return folder

    def _opened(self, folder: Path, moment: Moment) -> Iterator[str]:
        """What is wrong with the books as SQLite opens them."""
        found = digest(folder / BOOKS)
        if found != moment.digest:
            known = [number for number, each in enumerate(self._moments) if each.digest == found]
            yield f"the books are not those of that commit, but {f'of commit {known[0]}' if known else 'of none'}"
        if found != "no tables":
            rows = Rows.of_sqlite(str(folder / BOOKS))
            yield from judge(rows, self._story.provided(folder / OTHER_BOOKS), told(folder), settled=False)

    def _find(self, where: str, sentences: Iterable[str]) -> None:
        self._ran.findings += [f"{where}: {sentence}" for sentence in sentences]


def torn_logs(story: Story, wanted: int | None = None, progress: Progress | None = None) -> Ran:
    """Tear the log of a story in all ways, or in so many; judge what the books are then."""
    with room() as folder:
        return _Torn(story, folder).run(wanted, progress or (lambda line: None))


def main(arguments: Sequence[str] | None = None) -> int:
    given = options("torn", "Tear SQLite's log under our machines' own stories.", "tears", 500).parse_args(arguments)
    return over_stories(given, lambda story, tears: torn_logs(story, tears, to_stderr), total="torn logs", of="torn: ")


if __name__ == "__main__":
    sys.exit(main())

"""Killed at every point, and once more while it recovers: at the end the books are as if nothing had happened.

    python -m tallystick.testing.faults.crash --points 300        # spread evenly over all of them
    python -m tallystick.testing.faults.crash --points all

A *point* is before or after a statement of the database or a call to the provider. For each, a process tells a
story and is killed there with SIGKILL: no handler runs, nothing is closed. What it leaves is looked at by the referee;
then another process opens the books, recovers, tells the story again from its start with the same keys, and has to
end with the very books of a run that nobody disturbed. Recovery is killed at its own points too.

`crash_points` does this for a story of your own, on machines of your own; docs/crashes.md has an example.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs

from tallystick.testing.faults.harness import options, over_stories
from tallystick.testing.faults.points import Dies, Points, in_a_child, watched
from tallystick.testing.faults.report import Progress, Ran, room, spread, to_stderr
from tallystick.testing.faults.story import BOOKS, OTHER_BOOKS, Shape, Story, Telling, copy, remove, told
from tallystick.testing.referee.verdict import Rows, judge

READS = 4  # points in a recovery that only reads


def crash_points(story: Story, points: int | None = None, progress: Progress | None = None) -> Ran:
    """Kill a process at points of a story, all or so many of them, and again in recovery; judge what comes of it."""
    with room() as folder:
        return _Crashes(story, folder).run(points, progress or (lambda line: None))


@attrs.define
class Undisturbed:
    """How a story ends if nobody disturbs it, and the points on its way."""

    names: Sequence[str]
    shape: Shape


def undisturbed(story: Story, folder: Path) -> Undisturbed:
    """Tell it to its end. Raises AssertionError if that is not well already."""
    points = Points()
    whole(Telling(story, folder, 0, points, watched(points)))
    rows = Rows.of_sqlite(str(folder / BOOKS))
    wrong = [*judge(rows, story.provided(folder / OTHER_BOOKS), told(folder)), *story.wrong(folder)]
    assert not wrong, f"{story.name}, undisturbed: {wrong}"
    return Undisturbed(points.names, Shape.of(rows, story.machines))


def whole(telling: Telling) -> None:
    telling.tell()
    telling.close()


def blank(story: Story, folder: Path) -> Path:
    """Books with their tables and nothing in them; a story without a step is about making these."""
    folder.mkdir()
    if story.steps:
        Telling(story, folder, 0).close()
    return folder


def wrong_at_the_end(story: Story, folder: Path, wanted: Shape, *, steady: bool = True) -> Iterator[str]:
    """What the referee says of finished books, and where they are not those of the undisturbed run."""
    rows = Rows.of_sqlite(str(folder / BOOKS))
    yield from judge(rows, story.provided(folder / OTHER_BOOKS), told(folder), steady=steady)
    yield from story.wrong(folder)
    yield from wanted.differences(Shape.of(rows, story.machines))


class _Crashes:
    def __init__(self, story: Story, folder: Path) -> None:
        self._story, self._room = story, folder
        self._blank = blank(story, folder / "blank")
        self._undisturbed = undisturbed(story, copy(self._blank, folder / "undisturbed"))
        self._known: set[str] = set()
        self._number = 0
        self._ran = Ran()

    def run(self, points: int | None, progress: Progress) -> Ran:
        names = self._undisturbed.names
        first = spread(None if points is None else max(1, points * 2 // 3), len(names))
        again = 0 if points is None else max(points - len(first), 0)
        for number, n in enumerate(first):
            if number % 100 == 0:
                progress(f"{self._story.name}: point {n} of {len(names)}, {len(self._ran.findings)} findings")
            share = None if points is None else (again * (number + 1)) // len(first) - (again * number) // len(first)
            self._at(n, names[n - 1], share)
        self._ran.figures["stories"] += 1
        self._ran.figures["points in the stories"] += len(names)
        return self._ran

    def _at(self, n: int, name: str, again: int | None) -> None:
        """Kill at a point; `again`: so many times in recovery too, None: at all its points, once for each state."""
        where = f"{self._story.name}, killed at point {n}, {name}"
        folder = self._killed(self._blank, Dies(n), 0, where)
        self._ran.figures["killed after a point" if name.startswith("after") else "killed before a point"] += 1
        state = self._left(folder, where)
        if again or (again is None and state not in self._known):
            self._in_recovery(folder, again, where)
        self._known.add(state)
        self._ends(folder, 1, where)

    def _in_recovery(self, folder: Path, again: int | None, where: str) -> None:
        names = self._recovery(folder, where)
        if again is None:  # all of them; but where nothing is left to do, nothing is written that could be half done
            again = len(names) if any("INSERT" in name for name in names) else READS
        for m in self._shifted(again, len(names)):
            there = f"{where}; and in recovery at point {m}, {names[m - 1]}"
            twice = self._killed(folder, Dies(m), 1, there)
            self._ran.figures["killed in recovery"] += 1
            self._left(twice, there)
            self._ends(twice, 2, there)

    def _recovery(self, folder: Path, where: str) -> Sequence[str]:
        """Recover a copy of what a crash left; the points on the way."""
        counted, aside = Points(), self._aside(folder)
        try:
            recovery = Telling(self._story, aside, 1, counted, watched(counted))
            recovery.rest()
            recovery.close()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            self._find(where, [f"recovery ends with {type(error).__name__}: {error}"])
            return ()
        finally:
            remove(aside)
        return counted.names

    def _shifted(self, wanted: int, of: int) -> Iterable[int]:
        """Other points at each turn, so that a sample goes everywhere."""
        first = self._number * 37
        return [1 + (first + index * of // wanted) % of for index in range(min(wanted, of))]

    def _killed(self, start: Path, dies: Dies, life: int, where: str) -> Path:
        """The files that a process leaves which is killed on its way."""
        folder = self._aside(start)

        def tells() -> None:
            telling = Telling(self._story, folder, life, dies, watched(dies))
            if life:
                telling.rest()
                telling.close()
            else:
                whole(telling)

        ended = in_a_child(tells)
        if ended != "killed":
            self._find(where, [f"the process was not killed but {ended or 'ended well'}"])
        return folder

    def _left(self, folder: Path, where: str) -> str:
        """What the referee says of the files as the crash left them; a digest of what is in them."""
        look = self._aside(folder)  # who opens and closes them changes them
        if not (look / BOOKS).exists():
            remove(look)
            return ""
        rows = Rows.of_sqlite(str(look / BOOKS)) if _has_tables(look / BOOKS) else None
        if rows is not None:
            provided = self._story.provided(look / OTHER_BOOKS)
            self._find(where, judge(rows, provided, told(look), settled=False))
            self._find(where, self._story.wrong(look))
        other = (look / OTHER_BOOKS).read_bytes() if (look / OTHER_BOOKS).exists() else b""
        state = hashlib.sha256(other)
        if rows is not None:
            for part in (rows.entities, rows.calls, rows.queue):
                state.update(repr(part).encode())
        remove(look)
        return state.hexdigest()

    def _ends(self, folder: Path, life: int, where: str) -> None:
        """The next process goes on to the end."""
        try:
            whole(Telling(self._story, folder, life))
            self._find(where, wrong_at_the_end(self._story, folder, self._undisturbed.shape))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            self._find(where, [f"told again, it ends with {type(error).__name__}: {error}"])
        remove(folder)

    def _aside(self, folder: Path) -> Path:
        self._number += 1
        return copy(folder, self._room / str(self._number))

    def _find(self, where: str, sentences: Iterable[str]) -> None:
        self._ran.findings += [f"{where}: {sentence}" for sentence in sentences]


def _has_tables(path: Path) -> bool:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'machine'").fetchone() is not None


def main(arguments: Sequence[str] | None = None) -> int:
    about = "Kill processes at points of our machines' own stories."
    given = options("crash", about, "points", 300).parse_args(arguments)
    return over_stories(given, lambda story, points: crash_points(story, points, to_stderr),
                        total="crash points", of="killed")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

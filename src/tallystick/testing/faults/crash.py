"""Kills processes at every point of a story, and kills others while they recover.

    python -m tallystick.testing.faults crash --points 300        # spread evenly over all of them

A *point* is before or after a statement of the database or a call to the provider. At each, a process that runs the
story is killed with SIGKILL: no handler runs, nothing is closed. The referee judges what it leaves. Then another
process opens the books, recovers, and runs the story again from its start with the same keys. It has to end with the
books of the undisturbed run. A process that recovers is killed at its own points too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tallystick.testing.faults.child_process import KILLED, run_in_child
from tallystick.testing.faults.connection_watch import watched_connection
from tallystick.testing.faults.kill_points import KilledAt, KillPoints
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.faults.story import OTHER_BOOKS, Story, StoryRun
from tallystick.testing.faults.trial import Trial, rows_if_any, sample, trial

READS = 4  # points of a recovery that only reads; more would be the same


def crash_points(story: Story, points: int | None = None, progress: Progress | None = None) -> FaultReport:
    """Kill processes at so many points of a story, and in recovery, or at all; judge what they leave."""
    with trial(story, progress) as opened:
        _Crashes(opened).run(points)
    return opened.report


class _Crashes:
    def __init__(self, opened: Trial) -> None:
        self._trial, self._story = opened, opened.story
        self._figures = opened.report.figures
        self._known: set[str] = set()  # states of the files that recovery was killed in

    def run(self, points: int | None) -> None:
        names = self._trial.undisturbed.points
        first = sample(None if points is None else max(1, points * 2 // 3), len(names))
        again = 0 if points is None else max(points - len(first), 0)
        for index, number in enumerate(first):
            if index % 100 == 0:
                self._trial.progress(f"point {number} of {len(names)}")
            share = None if points is None else (again * (index + 1)) // len(first) - (again * index) // len(first)
            self._at(number, names[number - 1], share)
        self._figures["points in the stories"] += len(names)

    def _at(self, number: int, name: str, again: int | None) -> None:
        """Kill at a point, and `again` so often in recovery; None: at all points, once for each state of the files."""
        where = f"killed at point {number}, {name}"
        with self._trial.copy() as folder:
            self._kill(folder, 0, number, where)
            self._figures[f"killed {name.partition(' ')[0]} a point"] += 1
            state = self._left(folder, where)
            if again or (again is None and state not in self._known):
                self._in_recovery(folder, again, number, where)
            self._known.add(state)
            self._trial.finish(where, folder, partial(StoryRun, self._story, folder, 1))

    def _in_recovery(self, folder: Path, wanted: int | None, number: int, where: str) -> None:
        names = self._recovery(folder, where)
        if wanted is None:  # all of them; but a recovery that has nothing to do writes nothing that could be half done
            wanted = len(names) if any("INSERT" in name for name in names) else READS
        for index in range(min(wanted, len(names))):
            at = 1 + (number * 37 + index * len(names) // wanted) % len(names)  # others each time: a sample goes around
            there = f"{where}; and in recovery at point {at}, {names[at - 1]}"
            with self._trial.copy(folder) as second:
                self._kill(second, 1, at, there)
                self._figures["killed in recovery"] += 1
                self._left(second, there)
                self._trial.finish(there, second, partial(StoryRun, self._story, second, 2))

    def _recovery(self, folder: Path, where: str) -> Sequence[str]:
        """The points on the way of a recovery that is not killed."""
        points, done = KillPoints(), []
        with self._trial.copy(folder) as aside, self._trial.guarded(f"{where}; its recovery"):
            _recover(StoryRun(self._story, aside, 1, points=points, connections=watched_connection(points)))
            done = points.names
        return done

    def _kill(self, folder: Path, process: int, number: int, where: str) -> None:
        """Let a process run the story, or recover if it is not the first one, and kill it on its way."""

        def job() -> None:
            killed = KilledAt(number)
            run = StoryRun(self._story, folder, process, points=killed, connections=watched_connection(killed))
            if process:
                _recover(run)
            else:
                run.finish()

        self._figures["crash points"] += 1
        ended = run_in_child(job)
        if ended != KILLED:
            self._trial.find(where, [f"the process was not killed but {ended or 'ended well'}"])

    def _left(self, folder: Path, where: str) -> str:
        """Judge the files as the crash left them; a digest of what is in them."""
        with self._trial.copy(folder) as aside:  # opening and closing the books changes their files
            rows = rows_if_any(aside)
            other = aside / OTHER_BOOKS
            state = hashlib.sha256(other.read_bytes() if other.exists() else b"")
            if rows is not None:
                self._trial.find(where, self._trial.wrong_now(aside, rows))
                for part in (rows.entities, rows.calls, rows.queue):
                    state.update(repr(part).encode())
        return state.hexdigest()


def _recover(run: StoryRun) -> None:
    run.rest()
    run.close()

"""Lets two processes recover the same books at once, and lets clocks jump: nothing is doubled, nothing is lost.

    python -m tallystick.testing.faults recovery-races --races 60 --jumps 30

For a *race*, a process is killed where something is left to do. Then two others open its books at the same moment, and
both recover and do what is due. For *jumps*, the clock is set forward and back between commands, by hours and by years.
After either, the story ends with the books of the undisturbed run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

from tallystick.testing.faults.child_process import run_in_child, start_child, wait_for_child
from tallystick.testing.faults.connection_watch import watched_connection
from tallystick.testing.faults.kill_points import KilledAt
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.faults.story import BOOKS, Story, StoryRun
from tallystick.testing.faults.trial import Trial, sample, trial
from tallystick.testing.referee import Rows

JUMPS = [timedelta(hours=1), timedelta(days=1), timedelta(days=40), timedelta(days=365), timedelta(days=3650)]


def recovery_races(
    story: Story, races: int | None = None, progress: Progress | None = None, *, jumps: int = 3
) -> FaultReport:
    """Kill at so many points of a story, or at all, and let two recover. Run it `jumps` times while the clock jumps."""
    if not story.steps:
        return FaultReport()  # there is nothing to recover
    with trial(story, progress) as opened:
        _Races(opened).run(races, jumps)
    return opened.report


class _Races:
    def __init__(self, opened: Trial) -> None:
        self._trial, self._story = opened, opened.story
        self._figures = opened.report.figures

    def run(self, races: int | None, jumps: int) -> None:
        names = self._trial.undisturbed.points
        half = None if races is None else -(-races // 2)
        chosen = []
        for what in (" the call", "after COMMIT"):  # a call is not answered; a follow-up is due
            places = [number for number, name in enumerate(names, 1) if what in name]
            chosen += [places[index - 1] for index in sample(half, len(places))]
        self._trial.progress(f"{len(chosen)} races, {jumps} runs with jumps")
        for number in chosen:
            self._race(number, names[number - 1])
        if not any(isinstance(step, timedelta) for step in self._story.steps):  # those would end at another time
            for seed in range(jumps):
                self._jump(seed)

    def _race(self, number: int, name: str) -> None:
        where = f"killed at point {number}, {name}, and recovered by two"
        with self._trial.copy() as folder:
            run_in_child(partial(self._killed, folder, number))
            with self._trial.copy(folder) as aside:  # opening the books changes their files
                rows = Rows.of_sqlite(aside / BOOKS)
            self._figures["races"] += 1
            self._figures["races about a call"] += any(each["state"] == "open" for each in rows.calls)
            self._figures["races about what is due"] += any(each["state"] == "waiting" for each in rows.queue)
            reads, writes = os.pipe()
            racers = [start_child(partial(self._recovers, folder, twin, reads)) for twin in "ab"]
            os.close(reads)
            os.write(writes, b"..")  # one for each: both set out
            os.close(writes)
            self._trial.find(where, [f"one of them {how}" for each in racers if (how := wait_for_child(each))])
            self._trial.finish(where, folder, partial(StoryRun, self._story, folder, 2))

    def _killed(self, folder: Path, number: int) -> None:
        killed = KilledAt(number)
        StoryRun(self._story, folder, points=killed, connections=watched_connection(killed)).finish()

    def _recovers(self, folder: Path, twin: str, reads: int) -> None:
        run = StoryRun(self._story, folder, 1, twin=twin, timeout=10.0)
        os.read(reads, 1)
        run.engine.recover()
        run.engine.run_due()
        run.close()

    def _jump(self, seed: int) -> None:
        chance = Random(f"{self._story.name} {seed}")  # noqa: S311  # to be repeatable
        taken: list[timedelta] = []
        with self._trial.copy() as folder:
            run = partial(StoryRun, self._story, folder, jumps=clock_jumps(chance, taken))
            self._trial.finish(f"run while the clock jumps (seed {seed})", folder, run, steady=False)
        self._figures["jumps of the clock"] += len(taken)
        self._figures["jumps backward"] += sum(jump < timedelta() for jump in taken)


def clock_jumps(chance: Random, taken: list[timedelta]) -> Iterator[timedelta]:
    """Forward and back, so that over the years nothing runs away; never before the story has begun."""
    ahead = timedelta()
    while True:
        by = chance.choice(JUMPS)
        jump = -min(by, ahead) if chance.random() < 0.5 else by
        ahead += jump
        taken.append(jump)
        yield jump

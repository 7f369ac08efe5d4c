"""Two who recover the same books at the same time, and clocks that jump: one wins, nothing is doubled, nothing is lost.

    python -m tallystick.testing.faults.recovery_races --races 60 --jumps 30

A *race*: a process is killed where something is left to do; then two others open its books at the same moment, and
both recover and do what is due. A *jump*: while a story is told, the clock is set forward and back, by hours and by
years, between what is said. After either, the story ends in the books of an undisturbed run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

from tallystick.testing.faults.crash import blank, undisturbed, whole, wrong_at_the_end
from tallystick.testing.faults.harness import options, over_stories
from tallystick.testing.faults.points import Dies, ended, in_a_child, started, watched
from tallystick.testing.faults.report import Progress, Ran, room, spread, to_stderr
from tallystick.testing.faults.story import BOOKS, Story, Telling, copy, remove
from tallystick.testing.referee.verdict import Rows

JUMPS = [timedelta(hours=1), timedelta(days=1), timedelta(days=40), timedelta(days=365), timedelta(days=3650)]


class _Meeting:
    def __init__(self, story: Story, folder: Path) -> None:
        self._story, self._room = story, folder
        self._blank = blank(story, folder / "blank")
        aside = copy(self._blank, folder / "undisturbed")
        self._undisturbed = undisturbed(story, aside)
        remove(aside)
        self._ran = Ran()

    # Two recoverers

    def race(self, n: int) -> None:
        where = f"{self._story.name}, killed at point {n}, {self._undisturbed.names[n - 1]}, and recovered by two"
        folder, dies = copy(self._blank, self._room / "race"), Dies(n)
        in_a_child(lambda: whole(Telling(self._story, folder, 0, dies, watched(dies))))
        look = copy(folder, self._room / "look")
        rows = Rows.of_sqlite(str(look / BOOKS))
        remove(look)  # who opens the books changes their files
        self._ran.figures["races"] += 1
        self._ran.figures["races about a call"] += any(each["state"] == "open" for each in rows.calls)
        self._ran.figures["races about what is due"] += any(each["state"] == "waiting" for each in rows.queue)
        reads, writes = os.pipe()
        racers = [started(partial(self._recovers, folder, twin, reads)) for twin in "ab"]
        os.close(reads)
        os.write(writes, b"..")  # one for each: both set out
        os.close(writes)
        self._find(where, [f"one of them {how}" for each in racers if (how := ended(each))])
        self._ends(where, folder, 2)

    def _recovers(self, folder: Path, twin: str, reads: int) -> None:
        telling = Telling(self._story, folder, 1, twin=twin, timeout=10.0)
        os.read(reads, 1)
        telling.engine.recover()
        telling.engine.run_due()
        telling.close()

    # Jumps

    def jump(self, seed: int) -> None:
        where = f"{self._story.name}, told while the clock jumps (seed {seed})"
        folder = copy(self._blank, self._room / "jump")
        chance = Random(f"{self._story.name} {seed}")  # noqa: S311  # to be repeatable
        taken: list[timedelta] = []
        try:
            whole(Telling(self._story, folder, 0, jumps=_jumps(chance, taken)))
            self._find(where, wrong_at_the_end(self._story, folder, self._undisturbed.shape, steady=False))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            self._find(where, [f"it ends with {type(error).__name__}: {error}"])
        self._ran.figures["jumps of the clock"] += len(taken)
        self._ran.figures["jumps backward"] += sum(jump < timedelta() for jump in taken)
        remove(folder)

    def run(self, races: int | None, jumps: int, progress: Progress) -> Ran:
        half = None if races is None else -(-races // 2)
        chosen = []
        for what in (" the call", "after COMMIT"):  # what is asked is not answered; what is to follow is due
            left = [n for n, name in enumerate(self._undisturbed.names, 1) if what in name]
            chosen += [left[index - 1] for index in spread(half, len(left))]
        progress(f"{self._story.name}: {len(chosen)} races, {jumps} tellings with jumps")
        for n in chosen:
            self.race(n)
        if not any(isinstance(step, timedelta) for step in self._story.steps):  # which would be another time
            for seed in range(jumps):
                self.jump(seed)
        self._ran.figures["stories"] += 1
        return self._ran

    def _ends(self, where: str, folder: Path, life: int) -> None:
        try:
            whole(Telling(self._story, folder, life))
            self._find(where, wrong_at_the_end(self._story, folder, self._undisturbed.shape))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            self._find(where, [f"told again, it ends with {type(error).__name__}: {error}"])
        remove(folder)

    def _find(self, where: str, sentences: Iterable[str]) -> None:
        self._ran.findings += [f"{where}: {sentence}" for sentence in sentences]


def _jumps(chance: Random, taken: list[timedelta]) -> Iterator[timedelta]:
    """Forward and back, so that over the years nothing runs away; never before the story has begun."""
    ahead = timedelta()
    while True:
        by = chance.choice(JUMPS)
        jump = -min(by, ahead) if chance.random() < 0.5 else by
        ahead += jump
        taken.append(jump)
        yield jump


def meeting(story: Story, races: int | None = None, jumps: int = 3, progress: Progress | None = None) -> Ran:
    """Let two recover at once after kills at points of a story, all or so many; and tell it while the clock jumps."""
    with room() as folder:
        return _Meeting(story, folder).run(races, jumps, progress or (lambda line: None))


def main(arguments: Sequence[str] | None = None) -> int:
    about = "Let two recover at once, and the clock jump, under our machines' own stories."
    known = options("recoverers", about, "races", 60)
    known.add_argument("--jumps", default=2, type=int, help="tellings of each story with jumps (default: 2)")
    given = known.parse_args(arguments)
    return over_stories(given, lambda story, races: meeting(story, races, given.jumps, to_stderr),
                        among=lambda story: story.steps)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

"""Measure two ways to do the same work, in turns, and compare them.

A shared machine is slow for seconds at a time. So the two take turns within each round, each first in every other
round, and each round gives one ratio. The result is the median of these ratios. Beside it stands the middle half of
them, which is the spread. What never waits is measured in processor time, because others can make that only a little
longer; what waits for a disk, a lock or a network is measured by the clock on the wall.
"""

from __future__ import annotations

import gc
import math
import statistics
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time

import attrs

from benchmarks.profiling import Profile, profiled
from benchmarks.rows import Row

Work = Callable[[], int]  # what is timed; says how many operations that was
Clock = Callable[[], float]
Contestant = Callable[[], Work]  # makes ready for one round, before the clock starts
MEMORY = Path("/dev/shm")  # where a commit costs nothing
SECONDS = {"quick": 0.0, "usual": 4.0, "release": 20.0}  # for one row
ROUNDS = 200  # at most
PROFILED = 5  # rounds under the profiler


class Absent(Exception):
    """A row cannot be measured here, and why."""


@attrs.frozen
class Result:
    """What a row gave."""

    row: Row
    values: Sequence[float] = ()  # one for each round, in the row's unit
    ours: float | None = None  # seconds an operation, median
    theirs: float | None = None
    absent: str | None = None  # why it was not measured
    note: str = ""
    profile: Profile | None = None  # if it misses its target
    failed: bool = False  # the benchmark itself is wrong; `absent` has the error

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Between these is the middle half of the rounds."""
        if len(self.values) < 2:
            return self.value, self.value
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    @property
    def met(self) -> bool | None:
        """None: there is no target, or it was not measured."""
        return None if self.absent else self.row.met(self.value)


@attrs.frozen
class Run:
    """One row being measured."""

    row: Row
    size: str = "usual"  # quick: does every row run? usual; release: larger, and longer
    folder: str | None = None  # on the disk that is measured

    def sized(self, usual: int, quick: int, release: int | None = None) -> int:
        return {"quick": quick, "usual": usual, "release": release or usual}[self.size]

    @contextmanager
    def scratch(self, *, disk: bool = False) -> Iterator[Path]:
        """A folder for databases: where a commit costs nothing, or on the disk that is measured.

        Raises:
            Absent: the system has no /dev/shm.
        """
        if not disk and not MEMORY.is_dir():
            raise Absent(f"{MEMORY} is not there, so every commit costs something")
        with tempfile.TemporaryDirectory(prefix="tallystick-bench-", dir=self.folder if disk else MEMORY) as folder:
            yield Path(folder)

    def compare(
        self, ours: Contestant, theirs: Contestant, *, waits: bool = False, clock: Clock | None = None,
        profile: Contestant | None = None, note: str = "", least: int = 5,
    ) -> Result:  # fmt: skip
        """Let both work in turns. `waits`: for a disk, a lock or a network. `clock`: one of its own, in seconds.

        If the target is missed, `profile`, or else our part, is done once more under the profiler.
        """
        clock = clock or (perf_counter if waits else process_time)
        pairs = in_turns(ours, theirs, clock=clock, seconds=SECONDS[self.size], least=2 if self.quick else least)
        values = [other / mine if self.row.faster else mine / other for mine, other in pairs]
        mine, other = statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
        result = Result(self.row, values, mine, other, note=note)
        return self.explained(result, profile or ours, perf_counter if waits else process_time)

    def explained(self, result: Result, ours: Contestant, clock: Clock = process_time) -> Result:
        """The result; if it misses its target, with the profile of our part."""
        if self.quick or result.met is not False:
            return result
        return attrs.evolve(result, profile=profiled([ours() for _ in range(PROFILED)], clock))

    @property
    def quick(self) -> bool:
        return self.size == "quick"


def in_turns(
    ours: Contestant, theirs: Contestant, *, clock: Clock, seconds: float, least: int
) -> list[tuple[float, float]]:
    """What an operation took in each round, as (ours, theirs) in seconds; for about `seconds`, after a warm-up."""
    pairs: list[tuple[float, float]] = []
    until = None
    for turn in range(-1, ROUNDS):
        both = [_timed(each, clock) for each in ((ours, theirs) if turn % 2 else (theirs, ours))]
        mine, other = both if turn % 2 else both[::-1]
        until = until or perf_counter() + seconds
        if turn >= 0:
            pairs.append((mine, other))
        if len(pairs) >= least and perf_counter() > until:
            break
    return pairs


def _timed(contestant: Contestant, clock: Clock) -> float:
    work = contestant()
    gc.collect()
    begin = clock()
    done = work()
    return (clock() - begin) / done


def measured(row: Row, size: str, folder: str | None) -> Result:
    """Measure one row. What it needs and is not there is in its result."""
    file, _, function = row.code.partition(".")
    try:
        timed = getattr(import_module(f"benchmarks.timed.{file}"), function)
        result: Result = timed(Run(row, size, folder), **row.given)
    except Absent as why:
        result = Result(row, absent=str(why))
    except ModuleNotFoundError as missing:
        if str(missing.name).startswith(("benchmarks", "tallystick")):
            raise
        result = Result(row, absent=f"{missing.name} is not installed: pip install 'tallystick[bench]'")
    except Exception as error:  # noqa: BLE001  # the other rows are measured all the same; the run fails in the end
        traceback.print_exc()
        result = Result(row, absent=f"failed: {type(error).__name__}: {error!s:.200}", failed=True)
    if not all(math.isfinite(value) for value in result.values):
        result = Result(row, absent="failed: it gives no finite number", failed=True)
    return result

"""Measure two or more ways to do the same work, in turns, and compare them.

A shared machine is slow for seconds at a time. So the contestants take turns within each round, in another order each
round. The ratio is the median of the ratios of all rounds, with its quartiles. Beside it is the ratio of each one's
best round, when nobody else was in the way. Work that never waits is measured in processor time, because others can
make that only a little longer.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time

Work = Callable[[], int]  # what is timed; says how many operations that was
Contestant = Callable[[], Work]  # makes ready for one round, before the clock starts


@dataclass(frozen=True)
class Setting:
    quick: bool = False
    folder: str | None = None
    skipped: list[str] = field(default_factory=list)  # what could not be measured, and why

    def skip(self, why: str) -> None:
        self.skipped.append(why)

    def rounds(self, usual: int) -> int:
        return max(3, usual // 4) if self.quick else usual

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for databases on the disk that is measured."""
        with tempfile.TemporaryDirectory(prefix="tallystick-bench-", dir=self.folder) as folder:
            yield Path(folder)


@dataclass(frozen=True)
class Target:
    """What we want: `at most` so many times the time, or `at least` so many times the speed."""

    kind: str
    number: float

    def met(self, value: float) -> bool:
        return value <= self.number if self.kind == "at most" else value >= self.number

    def text(self, unit: str) -> str:
        return f"{'≤' if self.kind == 'at most' else '≥'} {self.number:g} {unit}"


@dataclass(frozen=True)
class Line:
    """One comparison. `value` is how many times as fast ours is (or as slow, if the target is `at most`)."""

    part: str
    what: str
    against: str
    value: float
    low: float  # quartiles over the rounds
    high: float
    best: float  # the same of the best round of each
    ours: float | None = None  # seconds an operation, median
    theirs: float | None = None
    unit: str = "×"
    target: Target | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.met(self.value)


@dataclass
class Times:
    """Seconds for one operation, one number for each round."""

    by_name: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        return statistics.median(self.by_name[name])

    def line(
        self, part: str, what: str, ours: str, theirs: str, target: Target | None = None, *,
        slower: bool = False, note: str = "",
    ) -> Line:  # fmt: skip
        """How many times as fast `ours` is as `theirs`; with `slower`, how many times as long it takes."""
        pairs = zip(self.by_name[ours], self.by_name[theirs], strict=True)
        ratios = [mine / other if slower else other / mine for mine, other in pairs]
        low, middle, high = statistics.quantiles(ratios, n=4)
        mine, other = min(self.by_name[ours]), min(self.by_name[theirs])
        best = mine / other if slower else other / mine
        return Line(part, what, theirs, middle, low, high, best, self.median(ours), self.median(theirs),
                    target=target, note=note)  # fmt: skip


def in_turns(contestants: Mapping[str, Contestant], rounds: int, *, warm: int = 1, waits: bool = True) -> Times:
    """Let each do its work once a round. The first `warm` rounds do not count. `waits`: for a disk or a lock."""
    clock = perf_counter if waits else process_time
    names = list(contestants)
    times = Times({name: [] for name in names})
    for turn in range(-warm, rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            work = contestants[name]()
            gc.collect()
            begin = clock()
            done = work()
            took = clock() - begin
            if turn >= 0:
                times.by_name[name].append(took / done)
    return times


def alone(measured: Callable[[Setting], list[Line]]) -> None:
    """The main of one module."""
    from benchmarks import report

    setting = Setting(quick="--quick" in sys.argv[1:])
    report.show(measured(setting), report.machine(setting))

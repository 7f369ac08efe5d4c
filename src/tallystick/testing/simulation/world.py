"""A simulated world: processes of ours on one store, a provider's half, one true time, and everything from a seed.

A process is an engine. It may die at any of its steps: around every transaction and every request. Then another one
starts on the same store, which is all that is left. Between two steps of one process another may come in and do
something whole: recover, run what is due. Each process has a clock of its own, which is wrong by some seconds, and all
of them may jump together, forward or back, as a wall clock does that somebody sets.

What is not simulated, because no record can tell: that a process sleeps longer than the grace of `recover` after its
last look at the clock and before its request, or that a request arrives later than that. So who comes in just there is
quick, late requests arrive within `LATEST`, clocks differ by `SKEW` at most, and a jump of hours waits until nothing is
on its way.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from random import Random
from typing import TYPE_CHECKING, Any

import attrs

from tallystick.core.entity import Entity
from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.store.rows import CallRow

if TYPE_CHECKING:
    from tallystick.testing.simulation.provider_double import Half

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
LATEST = 20.0  # seconds after which a late request has arrived
SKEW = 15.0  # seconds a process's clock is wrong by
DEEPEST = 2  # processes that come in between the steps of one that came in between

BETWEEN = ("before a transaction", "after its commit", "before sending", "after sending", "after looking up")


class Crash(BaseException):
    """The process is gone. Not an Exception: nobody may catch it and go on."""


@attrs.define
class Weather:
    """What goes wrong, and how often: chances, drawn for each seed."""

    faults: float  # of a request
    reading_faults: float  # of a look-up
    deaths: float  # of a process, at each of its steps
    meetings: float  # that another process comes in, at each step
    jumps: float  # that the clock is set, before an operation
    kinds: tuple[str, ...]  # faults of this seed

    @classmethod
    def drawn(cls, chance: Random, kinds: tuple[str, ...]) -> Weather:
        some = tuple(kind for kind in kinds if chance.random() < 0.7) or kinds
        return cls(
            chance.choice([0.03, 0.1, 0.25, 0.5]), chance.choice([0.0, 0.1, 0.3]), chance.choice([0.0, 0.002, 0.01]),
            chance.choice([0.0, 0.01, 0.05]), chance.choice([0.0, 0.005, 0.02]), some,
        )  # fmt: skip

    def clear(self) -> None:
        self.faults = self.reading_faults = self.deaths = self.meetings = self.jumps = 0.0


class World:
    def __init__(self, seed: int, machines: Machines, half: Half, kinds: tuple[str, ...]) -> None:
        self.chance = Random(f"{seed}:world")  # noqa: S311  # to be repeatable
        self.weather = Weather.drawn(self.chance, kinds)
        self.half = half
        self.store = MemoryStore()
        self.seconds = 0.0  # true time since START
        self.set_by = 0.0  # what all our clocks are wrong by
        self.late: list[tuple[float, Callable[[], object]]] = []
        self.counts: Counter[str] = Counter()  # crashes, meetings, jumps, persons, points
        self.faults: Counter[str] = Counter()
        self.story: deque[tuple[object, ...]] = deque(maxlen=60)
        self.steady = True  # no clock was ever set back
        self._machines, self._ids, self._depth, self._sending = machines, 0, 0, 0
        self.engines = [self._start() for _ in range(DEEPEST + 1)]

    # Processes

    def _start(self) -> Engine:
        skew = self.chance.uniform(-SKEW, SKEW) if self.weather.jumps else 0.0
        self.steady = self.steady and not skew
        store: Any = Dying(self.store, self.at)

        def clock() -> datetime:
            return START + timedelta(seconds=self.seconds + self.set_by + skew)

        provider, random = self.half.provider(self, clock), Random(self.chance.getrandbits(32))  # noqa: S311
        return Engine(self._machines, store, provider, clock=clock, ids=self._id, random=random)

    def _id(self) -> str:
        self._ids += 1
        return f"call-{self._ids:05}"

    @property
    def engine(self) -> Engine:
        """The process that is running."""
        return self.engines[self._depth]

    def alive(self, deed: Callable[[], object]) -> bool:
        """Let the running process do something; if it dies of it, start another on the same store."""
        depth = self._depth
        try:
            deed()
        except Crash as crash:
            self._depth = depth
            self.counts["crashes"] += 1
            self.story.append(("the process dies", str(crash)))
            self.engines[depth] = self._start()
            return False
        return True

    def at(self, where: str) -> None:
        """A process is at one of its steps."""
        self.counts["steps"] += 1
        weather = self.weather
        if weather.deaths and self.chance.random() < weather.deaths:
            raise Crash(where)
        if weather.meetings and where in BETWEEN and self._depth < DEEPEST and self.chance.random() < weather.meetings:
            self._meet(where)

    def _meet(self, where: str) -> None:
        """Another process does something whole between two steps of this one."""
        self.counts["meetings"] += 1
        self.story.append(("another process comes in", where))
        self._depth += 1
        self._sending += where == "before sending"
        try:
            if self.chance.random() < 0.7:
                self.alive(lambda: self.engine.recover())
            else:
                self.alive(lambda: self.engine.run_due(3))
        finally:
            self._depth -= 1
            self._sending -= where == "before sending"

    # Time

    def on(self, seconds: float) -> None:
        """True time goes on; what was late arrives."""
        self.seconds += seconds
        if self.late:
            arrived = [deed for due, deed in self.late if due <= self.seconds]
            self.late = [each for each in self.late if each[0] > self.seconds]
            for deed in arrived:
                deed()

    def drag(self, seconds: float) -> None:
        """A request takes its time, unless somebody is about to send."""
        if not self._sending:
            self.on(seconds)

    def put_off(self, deed: Callable[[], object]) -> None:
        self.late.append((self.seconds + self.chance.uniform(0.1, LATEST), deed))

    def jump(self) -> None:
        """Somebody sets the clock: a few seconds, or hours once nothing is on its way any more."""
        if self.late:
            return
        by = self.chance.choice([-3600.0, -90.0, -1.0, 1.0, 90.0, 3600.0, 86400.0]) * self.chance.random()
        if abs(self.set_by + by) > self.half.farthest:
            by = -self.set_by  # somebody sets it right
        self.set_by += by
        self.steady = self.steady and by >= 0
        self.counts["clock set forward" if by > 0 else "clock set back"] += 1
        self.story.append(("the clock is set", round(by, 3)))

    def fault(self, verb: str) -> str:
        """What goes wrong with a request."""
        weather = self.weather
        reading = verb == "look_up"
        if self.chance.random() >= (weather.reading_faults if reading else weather.faults):
            return ""
        fault = self.chance.choice(("lost", "raises", "ambiguous") if reading else weather.kinds)
        self.faults[f"look-up {fault}" if reading else fault] += 1
        self.story.append((verb, "goes wrong", fault))
        return fault

    # Looking

    def entity(self, machine: str, id: str) -> Entity | None:
        with self.store.reading() as reading:
            return reading.entity(machine, id)

    def open_calls(self) -> list[CallRow]:
        with self.store.reading() as reading:
            return reading.calls()

    def waiting(self) -> bool:
        with self.store.reading() as reading:
            return bool(reading.queue(state="waiting"))


class Dying:
    """The store as a process sees it that may die around every transaction."""

    def __init__(self, inner: Store, at: Callable[[str], object]) -> None:
        self._inner, self._at = inner, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self._at("before a transaction")
        with self._inner.transaction() as transaction:
            yield transaction
            self._at("before its commit")
        self._at("after its commit")

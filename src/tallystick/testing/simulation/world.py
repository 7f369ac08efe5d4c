"""A simulated world: processes of ours on one store, the provider's side, one true time, and everything from a seed.

A process is an engine. It may die at any of its steps: around every transaction and every request. Then another one
starts on the same store, which is all that is left. Between two steps of one process another may come in and do
something whole: recover, or run what is due. Each process has a clock of its own, which is wrong by some seconds. All
clocks may jump together, forward or back, as a wall clock does when somebody sets it.

Two things are not simulated, because no record can tell them: that a process sleeps longer than the grace of `recover`
between its last look at the clock and its request, and that a request arrives later than that. So who comes in just
there is quick, late requests arrive within `LATEST`, clocks differ by `SKEW` at most, and clocks are set only when
nothing is on its way.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import attrs

from tallystick.core.entity import Entity
from tallystick.definition.machine import Machines
from tallystick.engine.engine import Engine
from tallystick.provider.protocol import Provider
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.store.rows import CallRow
from tallystick.testing.simulation.dying_store import DyingStore, ProcessDied

Clock = Callable[[], datetime]
Connect = Callable[["SimulatedWorld", Clock], Provider]  # how a new process reaches the provider

START = datetime(2026, 1, 1, tzinfo=timezone.utc)  # the true time when a run begins
LATEST = 20.0  # seconds after which a late request has arrived
SKEW = 15.0  # seconds that a process's clock is wrong by, at most
DEEPEST = 2  # processes that come in between the steps of one that came in between
BETWEEN = ("before a transaction", "after its commit", "before sending", "after sending", "after looking up")


@attrs.define
class FaultRates:
    """Chances from 0 to 1, drawn for each seed."""

    faults: float  # of a request
    reading_faults: float  # of a look-up
    deaths: float  # of a process, at each of its steps
    meetings: float  # that another process comes in, at each step
    jumps: float  # that the clock is set, before an operation
    kinds: tuple[str, ...]  # faults of this seed

    @classmethod
    def drawn(cls, chance: Random, kinds: tuple[str, ...]) -> FaultRates:
        some = tuple(kind for kind in kinds if chance.random() < 0.7) or kinds
        return cls(
            chance.choice([0.03, 0.1, 0.25, 0.5]), chance.choice([0.0, 0.1, 0.3]), chance.choice([0.0, 0.002, 0.01]),
            chance.choice([0.0, 0.01, 0.05]), chance.choice([0.0, 0.005, 0.02]), some,
        )  # fmt: skip

    def clear(self) -> None:
        """From now on nothing goes wrong."""
        self.faults = self.reading_faults = self.deaths = self.meetings = self.jumps = 0.0


class SimulatedWorld:
    """`clock_tolerance`: by how many seconds our clocks may be wrong before look-ups misread the provider's record."""

    def __init__(
        self, seed: int, machines: Machines, connect: Connect, fault_kinds: tuple[str, ...], clock_tolerance: float
    ) -> None:
        self.chance = Random(f"{seed}:world")  # noqa: S311  # to be repeatable
        self.rates = FaultRates.drawn(self.chance, fault_kinds)
        self._connect, self._clock_tolerance = connect, clock_tolerance
        self.store: Store = MemoryStore()
        self.seconds = 0.0  # true time since START
        self.clock_error = 0.0  # seconds that all our clocks are wrong by
        self.late: list[tuple[float, Callable[[], object]]] = []  # requests on their way, and when they arrive
        self.events: Counter[str] = Counter()  # crashes, meetings, jumps, persons, points
        self.faults: Counter[str] = Counter()
        self.recent: deque[tuple[object, ...]] = deque(maxlen=60)  # what happened last, to be shown
        self.steady = True  # no clock was ever set back
        self._machines, self._ids, self._depth, self._sending = machines, 0, 0, 0
        self.engines = [self._start() for _ in range(DEEPEST + 1)]

    # Processes

    def _start(self) -> Engine:
        skew = self.chance.uniform(-SKEW, SKEW) if self.rates.jumps else 0.0
        self.steady = self.steady and not skew
        store: Any = DyingStore(self.store, self.at)

        def clock() -> datetime:
            return START + timedelta(seconds=self.seconds + self.clock_error + skew)

        provider, random = self._connect(self, clock), Random(self.chance.getrandbits(32))  # noqa: S311
        return Engine(self._machines, store, provider, clock=clock, ids=self._id, random=random)

    def _id(self) -> str:
        self._ids += 1
        return f"call-{self._ids:05}"

    @property
    def engine(self) -> Engine:
        """The process that is running."""
        return self.engines[self._depth]

    def survives(self, deed: Callable[[], object]) -> bool:
        """Let the running process do something; if it dies of it, start another on the same store."""
        depth = self._depth
        try:
            deed()
        except ProcessDied as died:
            self._depth = depth
            self.events["crashes"] += 1
            self.recent.append(("the process dies", str(died)))
            self.engines[depth] = self._start()
            return False
        return True

    def at(self, where: str) -> None:
        """A process is at one of its steps. Raises ProcessDied, now and then."""
        self.events["steps"] += 1
        rates = self.rates
        if rates.deaths and self.chance.random() < rates.deaths:
            raise ProcessDied(where)
        if rates.meetings and where in BETWEEN and self._depth < DEEPEST and self.chance.random() < rates.meetings:
            self._meet(where)

    def _meet(self, where: str) -> None:
        """Another process does something whole between two steps of this one."""
        self.events["meetings"] += 1
        self.recent.append(("another process comes in", where))
        self._depth += 1
        self._sending += where == "before sending"
        try:
            if self.chance.random() < 0.7:
                self.survives(lambda: self.engine.recover())
            else:
                self.survives(lambda: self.engine.run_due(3))
        finally:
            self._depth -= 1
            self._sending -= where == "before sending"

    # Time

    def advance(self, seconds: float) -> None:
        """True time goes on; late requests arrive."""
        self.seconds += seconds
        if self.late:
            arrived = [deed for due, deed in self.late if due <= self.seconds]
            self.late = [each for each in self.late if each[0] > self.seconds]
            for deed in arrived:
                deed()

    def take_time(self, seconds: float) -> None:
        """A request takes so long, unless somebody is about to send."""
        if not self._sending:
            self.advance(seconds)

    def arrive_later(self, deed: Callable[[], object]) -> None:
        """A request arrives within LATEST seconds."""
        self.late.append((self.seconds + self.chance.uniform(0.1, LATEST), deed))

    def set_clock(self) -> None:
        """Somebody sets the clock: a few seconds, or hours once nothing is on its way any more."""
        if self.late:
            return
        by = self.chance.choice([-3600.0, -90.0, -1.0, 1.0, 90.0, 3600.0, 86400.0]) * self.chance.random()
        if abs(self.clock_error + by) > self._clock_tolerance:
            by = -self.clock_error  # somebody sets it right
        self.clock_error += by
        self.steady = self.steady and by >= 0
        self.events["clock set forward" if by > 0 else "clock set back"] += 1
        self.recent.append(("the clock is set", round(by, 3)))

    def fault(self, verb: str) -> str:
        """What goes wrong with a request."""
        rates = self.rates
        reading = verb == "look_up"
        if self.chance.random() >= (rates.reading_faults if reading else rates.faults):
            return ""
        fault = self.chance.choice(("lost", "raises", "ambiguous") if reading else rates.kinds)
        self.faults[f"look-up {fault}" if reading else fault] += 1
        self.recent.append((verb, "goes wrong", fault))
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

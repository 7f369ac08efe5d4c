"""How fast requests may be sent: a leaky bucket and a circuit breaker.

Both are a small value and two or three pure functions over it; a `Cell` keeps the value. In one process that is
`MemoryCell`. Processes on the same books share a cell in their store, which loads the value and swaps it if nobody else
has meanwhile. Times are seconds of one clock: a wall clock if the value is shared.

    bucket    each request pours one drop in; the bucket leaks `rate` drops a second and holds `burst`. What does not
              fit waits for its turn; a request that would wait too long pours nothing
    circuit   after `failures` in a row nothing is sent for `pause` seconds. Then one request tries: if it succeeds,
              the circuit is closed; if it fails, or says nothing, it stays open for another pause
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic

import attrs

from tallystick.provider.protocol import Cell, State


@attrs.frozen
class Bucket:
    """How full it was, and when. If it is more than `burst`, some wait for their turn."""

    level: float = 0.0
    at: float = 0.0


@attrs.frozen
class Circuit:
    """Failures in a row, and until when nothing is sent."""

    failures: int = 0
    until: float = 0.0


# Pure


def poured(bucket: Bucket, now: float, rate: float, burst: int) -> tuple[Bucket, float]:
    """The bucket with one drop more, and the seconds to wait before sending."""
    now = max(now, bucket.at)  # a clock set back leaks nothing
    level = max(0.0, bucket.level - (now - bucket.at) * rate) + 1
    return Bucket(level, now), max(0.0, (level - burst) / rate)


def admitted(circuit: Circuit, now: float, failures: int, pause: float) -> Circuit | None:
    """The circuit after one more request is let through, or None if it may not be."""
    if circuit.failures < failures:
        return circuit
    if now < circuit.until:
        return None
    return attrs.evolve(circuit, until=now + pause)  # this one tries; the others go on waiting


def failed(circuit: Circuit, now: float, failures: int, pause: float) -> Circuit:
    count = circuit.failures + 1
    return Circuit(count, now + pause if count >= failures else circuit.until)


# Kept


class MemoryCell(Generic[State]):
    """A state in this process."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()

    def load(self) -> State:
        return self._state

    def swap(self, old: State, new: State) -> bool:
        with self._lock:
            if self._state != old:
                return False
            self._state = new
            return True


class LeakyBucket:
    """So many requests a second in the long run, and so many at once."""

    def __init__(
        self, rate: float, burst: int, *, cell: Cell[Bucket] | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.rate, self.burst = rate, burst
        self._cell = cell or MemoryCell(Bucket())
        self._clock = clock

    def turn(self, longest: float) -> float | None:
        """Seconds to wait before sending; None if they were more than `longest`, and then nothing was poured."""
        while True:
            before = self._cell.load()
            after, wait = poured(before, self._clock(), self.rate, self.burst)
            if wait > longest:
                return None
            if self._cell.swap(before, after):
                return wait

    def fill(self) -> None:
        """The provider says that it is too much: as if the bucket were full."""
        while True:
            before = self._cell.load()
            now, _ = poured(before, self._clock(), self.rate, self.burst)
            after = Bucket(max(now.level - 1, float(self.burst)), now.at)
            if self._cell.swap(before, after):
                return


class CircuitBreaker:
    """Sends nothing for a while after so many failures in a row."""

    def __init__(
        self, failures: int, pause: float, *,
        cell: Cell[Circuit] | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.failures, self.pause = failures, pause
        self._cell = cell or MemoryCell(Circuit())
        self._clock = clock

    def admits(self) -> bool:
        """Whether a request may be sent now."""
        while True:
            before = self._cell.load()
            after = admitted(before, self._clock(), self.failures, self.pause)
            if after is None:
                return False
            if after == before or self._cell.swap(before, after):
                return True

    def tell(self, *, well: bool) -> None:
        """What became of a request that was sent."""
        while True:
            before = self._cell.load()
            after = Circuit() if well else failed(before, self._clock(), self.failures, self.pause)
            if after == before or self._cell.swap(before, after):
                return

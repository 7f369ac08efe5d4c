"""How fast requests may be sent: a leaky bucket and a circuit breaker.

Both are a small value and two or three pure functions over it; a `Cell` keeps the value. In one process that is
`MemoryCell`. Processes on the same books share a cell in their store, which loads the value and swaps it if nobody else
has meanwhile. Times are seconds of one clock: a wall clock if the value is shared.

    bucket    each request pours one drop in; the bucket leaks `rate` drops a second and holds `burst`. What does not
              fit waits for its turn; a request that would wait too long pours nothing.
              In a shared bucket a process pours a portion at once, as much as it lately used in a second, because each
              pouring is a commit. A drop of it is good for a second after its turn, then it is lost, as it is with a
              process that dies. So in any time no more is sent than was poured in that time and the second before it;
              and the shared bucket holds less by what leaks in a second, so that the limit stands
    circuit   after `failures` in a row nothing is sent for `pause` seconds. Then one request tries: if it succeeds,
              the circuit is closed; if it fails, or says nothing, it stays open for another pause
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Generic

import attrs

from tallystick.provider.protocol import Cell, State

LIFE = 1.0  # seconds for which a drop of a portion is good after its turn


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


def poured(
    bucket: Bucket, now: float, rate: float, burst: float, most: int = 1, longest: float = 0.0
) -> tuple[Bucket, list[float]]:
    """The bucket with a drop more, and the seconds to wait before sending it.

    It may be up to `most` drops: as many as would wait no longer than `longest`.
    """
    now = max(now, bucket.at)  # a clock set back leaks nothing
    level = max(0.0, bucket.level - (now - bucket.at) * rate)
    count = max(1, min(most, int(burst + rate * longest - level)))
    waits = [max(0.0, (level + drop - burst) / rate) for drop in range(1, count + 1)]
    return Bucket(level + count, now), waits


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
    """So many requests a second in the long run, and so many at once. Thread-safe.

    With a `cell` it is shared, and poured in portions if `rate` is more than one a second. They are good for a second
    if `burst` is greater than `rate`; with less room, for less.
    """

    def __init__(
        self, rate: float, burst: int, *, cell: Cell[Bucket] | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.rate, self.burst = rate, burst
        self._good_for = min(LIFE, (burst - 1) / rate) if cell is not None and rate > 1 else 0.0  # seconds
        self._holds = burst - rate * self._good_for
        self._cell = cell or MemoryCell(Bucket())
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: deque[float] = deque()  # of drops that were poured and are not used: when each may be sent
        self._poured_at, self._used = 0.0, 0  # how many of the last portion were used

    def turn(self, longest: float) -> float | None:
        """Seconds to wait before sending; None if they were more than `longest`, and then nothing was poured."""
        with self._lock:
            now = self._clock()
            while self._turns and not now - self._good_for <= self._turns[0] <= now + longest + LIFE:
                self._turns.popleft()  # too old, or of a clock that was set back
            if not self._turns and not self._pour(now, longest):
                return None
            if self._turns[0] > now + longest:
                return None
            self._used += 1
            return max(0.0, self._turns.popleft() - now)

    def _pour(self, now: float, longest: float) -> bool:
        passed = max(LIFE / 4, now - self._poured_at)
        wanted = min(ceil(self._used * LIFE / passed), int(self.rate * self._good_for))
        while True:
            before = self._cell.load()
            after, waits = poured(before, now, self.rate, self._holds, wanted, longest)
            if waits[0] > longest:
                return False
            if self._cell.swap(before, after):
                self._turns.extend(now + wait for wait in waits)
                self._poured_at, self._used = now, 0
                return True

    def fill(self) -> None:
        """The provider says that it is too much: as if the bucket were full."""
        with self._lock:
            self._turns.clear()
            while True:
                before = self._cell.load()
                now, _ = poured(before, self._clock(), self.rate, self._holds)
                after = Bucket(max(now.level - 1, self._holds), now.at)
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

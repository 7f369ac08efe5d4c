"""What goes wrong in a simulation, how often, and by how much."""

from __future__ import annotations

from datetime import datetime, timezone
from random import Random

import attrs

START = datetime(2026, 1, 1, tzinfo=timezone.utc)  # the true time when a run begins
LATEST = 20.0  # seconds after which a late request has arrived
SKEW = 15.0  # seconds that a process's clock is wrong by, at most


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

"""One command with one commit, against sqlite3 by hand that writes the same rows.

Where a commit costs nothing, in memory, processor time is compared: this is work against work. For a disk with a sync
of so many seconds, these are added for each COMMIT, so that the load of the machine is not in it. On the real disk the
clock on the wall counts.
"""

from __future__ import annotations

from benchmarks.measure import Result, Run
from benchmarks.rivals import rivals

CARDS = 1000
EACH = 40  # commands in a round


def redeem(run: Run, *, sync: float = 0.0, disk: bool = False) -> Result:
    with rivals(run, run.sized(CARDS, 20), sync=sync, counted=True, disk=disk) as both:
        return run.compare(*both.redeems(EACH), waits=disk, clock=None if disk else both.clock)


def payment(run: Run, *, sync: float = 0.0, disk: bool = False) -> Result:
    with rivals(run, run.sized(CARDS, 20), sync=sync, counted=True, disk=disk) as both:
        return run.compare(*both.payments(EACH // 2), waits=disk, clock=None if disk else both.clock)


def control(run: Run) -> Result:
    """By hand against itself: what the yardstick makes of nothing."""
    with rivals(run, run.sized(CARDS, 20)) as one, rivals(run, run.sized(CARDS, 20)) as other:
        return run.compare(one.redeems(EACH)[1], other.redeems(EACH)[1])

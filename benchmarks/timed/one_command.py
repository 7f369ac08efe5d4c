"""One command with one commit, against sqlite3 by hand that writes the same rows.

Where a commit costs nothing, in memory, processor time is compared: this is work against work. With a sync of so many
seconds, or on a disk, the clock on the wall is.
"""

from __future__ import annotations

from benchmarks.measure import Result, Run
from benchmarks.rivals import rivals

CARDS = 1000
EACH = 40  # commands in a round


def redeem(run: Run, *, sync: float = 0.0, disk: bool = False) -> Result:
    with rivals(run, run.sized(CARDS, 20), sync=sync, disk=disk) as both:
        return run.compare(*both.redeems(EACH), waits=disk or sync > 0)


def payment(run: Run, *, sync: float = 0.0, disk: bool = False) -> Result:
    with rivals(run, run.sized(CARDS, 20), sync=sync, disk=disk) as both:
        return run.compare(*both.payments(EACH // 2), waits=disk or sync > 0)


def control(run: Run) -> Result:
    """By hand against itself: what the yardstick makes of nothing."""
    with rivals(run, run.sized(CARDS, 20)) as one, rivals(run, run.sized(CARDS, 20)) as other:
        return run.compare(one.redeems(EACH)[1], other.redeems(EACH)[1])

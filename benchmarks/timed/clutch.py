"""Clutch over HTTP, against httpcore and sqlite3 by hand."""

from __future__ import annotations

from benchmarks.measure import Absent, Result, Run


def redeem(run: Run) -> Result:
    raise Absent("the code by hand for Clutch is not written yet")

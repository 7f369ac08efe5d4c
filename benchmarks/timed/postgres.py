"""PostgreSQL. Its store is not there yet."""

from __future__ import annotations

from benchmarks.measure import Absent, Result, Run


def two_trips(run: Run) -> Result:
    raise Absent("the PostgreSQL store is not there yet")


one_trip = bulk = two_trips

"""Which moment or period a report is of.

    as_of       up to and including a moment; a day: up to its end
    start, end  from a moment on, up to but without another one; days: from the first's begin to the last's end

Days are days of UTC, as the journal has its times.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone

import attrs

from tallystick.errors import Invalid
from tallystick.reports.report import STEP, readable
from tallystick.store.rows import stamp

When = datetime | date | str
YEARS = (1900, 9000)  # that can be asked for: ages count back from there, and the books may be ahead


@attrs.frozen
class Period:
    start: datetime | None  # what came before it is the opening
    before: datetime | None  # nothing from here on counts; None: everything does
    as_of: datetime  # the last moment that counts
    note: str | None = None

    @property
    def first(self) -> str:
        """As the journal has it. Without a start: before everything."""
        return stamp(self.start) if self.start is not None else ""

    @property
    def bound(self) -> str:
        """As the journal has it. Without an end: after everything."""
        return stamp(self.before) if self.before is not None else "~"


def period(now: datetime, as_of: When | None = None, start: When | None = None, end: When | None = None) -> Period:
    """Raises Invalid: both a moment and a period, a period that ends before it begins, or what is no time."""
    if as_of is not None and (start is not None or end is not None):
        raise Invalid("a report is of a moment (as_of) or of a period (from and to), not of both")
    now = now.astimezone(timezone.utc)
    first = _moment("from", start, end=False)
    before = _moment("to", end, end=True) if end is not None else _moment("as_of", as_of, end=True)
    if before is not None and as_of is not None and _is_moment(as_of):
        before += STEP
    if first is not None and before is not None and (first > before or (first == before and not _is_moment(end))):
        raise Invalid(readable(f"the period ends before it begins: from {stamp(first)} to {stamp(before - STEP)}"))
    if first is not None and first > now:
        raise Invalid(readable(f"the period begins later than now: from {stamp(first)}; now it is {stamp(now)}"))
    if before is None or before > now:
        coming = None if before is None else "the end is still to come: this is how it is now"
        return Period(first, None, now, coming)
    return Period(first, before, before - STEP)


def _is_moment(when: When | None) -> bool:
    return isinstance(when, datetime) or (isinstance(when, str) and not _DAY.fullmatch(when))


_UTC = re.compile(r" UTC$")  # as reports print it
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _moment(what: str, when: When | None, *, end: bool) -> datetime | None:
    """A time as it was given; a day is where it begins, or where it ends."""
    if when is None:
        return None
    if isinstance(when, str):
        when = _read(what, when)
    if not isinstance(when, date):
        raise Invalid(f"{what} is a datetime, a date, or its text, not {when!r:.60}")
    if not YEARS[0] <= when.year <= YEARS[1]:
        raise Invalid(f"{what} {when} lies outside the years {YEARS[0]} to {YEARS[1]}")
    if isinstance(when, datetime):
        return datetime.fromisoformat(stamp(when))  # in the journal's steps; refuses what has no time zone
    return datetime.combine(when + timedelta(days=1) if end else when, time(), timezone.utc)


def _read(what: str, text: str) -> datetime | date:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else datetime.fromisoformat(_UTC.sub("Z", text))
    except ValueError:
        raise Invalid(
            f"{what} is a day such as 2026-11-30, or a moment such as 2026-11-30T17:00Z, not {text!r:.60}"
        ) from None

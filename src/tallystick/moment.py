"""A moment as it is kept: a text in UTC that sorts as time does. Nothing here asks what time it is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from tallystick.errors import Invalid


def stamp(moment: datetime) -> str:
    """A moment as it is kept: UTC to the millisecond, so that text sorts as time does.

    Raises:
        Invalid: it is no datetime, has no time zone, or lies outside the years 1 to 9999 of UTC.
    """
    if not isinstance(moment, datetime):
        raise Invalid(f"a moment is a datetime with a time zone, not {moment!r:.60}")
    if moment.tzinfo is None:
        raise Invalid(f"{moment} has no time zone; give one, such as timezone.utc")
    try:
        moment = moment if moment.tzinfo is timezone.utc else moment.astimezone(timezone.utc)
    except OverflowError:
        raise Invalid(f"{moment} lies outside the years that can be kept") from None
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def moment_of(where: str, given: object) -> str:
    """A moment that somebody gives, a datetime or ISO 8601 with a time zone, as it is kept. Raises Invalid."""
    try:
        return stamp(datetime.fromisoformat(given) if isinstance(given, str) else given)  # type: ignore[arg-type]
    except (ValueError, Invalid) as error:
        why = str(error) if isinstance(error, Invalid) else f"{given!r:.60} is no date and time"
        raise Invalid(f"{where}: {why}; a time is like 2027-01-31T00:00:00-03:00") from None


def later(moment: str, seconds: int) -> str:
    """The moment so many seconds after a kept one; the last that can be kept, if it lies behind that."""
    try:
        return stamp(datetime.fromisoformat(moment) + timedelta(seconds=seconds))
    except OverflowError:
        return stamp(datetime.max.replace(tzinfo=timezone.utc))

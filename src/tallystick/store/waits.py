"""What waits in the queue, asked for page by page: in SQL for both databases, and row by row for the store in memory.

Millions of cards may wait for the date on which they expire. Nobody reads them one by one, so they are *dated*:
follow-ups with a time of their page, which nobody has tried yet. All else that waits is few, and people look at it.
Both kinds have an index of their own, and the words here are those of the two indexes.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from tallystick.store.rows import QueueRow

DATED = "state = 'waiting' AND cause IS NOT NULL AND attempts = 0"
OTHER = "state = 'waiting' AND (cause IS NULL OR attempts > 0)"


class Scheduled(NamedTuple):
    """How many dated commands of one kind have their time on one day."""

    machine: str
    command: str
    day: str  # in UTC, such as 2026-12-31
    number: int
    first: str  # the earliest time


@attrs.frozen
class Waits:
    """Which of the commands that wait, by time and key."""

    dated: bool
    limit: int
    of: tuple[str, str] | None = None  # machine and command
    since: str | None = None  # from this time on, or this day, month or year
    until: str | None = None  # this time included
    after: tuple[str, str] | None = None  # time and key of the last one that was read

    def sql(self, mark: str = "?") -> tuple[str, list[object]]:
        """What follows FROM in a query, with a mark for each value."""
        terms, values = [DATED if self.dated else OTHER], list[object]()
        if self.of is not None:
            terms.append(f"machine = {mark} AND command = {mark}")
            values += self.of
        if self.since is not None and (self.after is None or self.after[0] < self.since):
            terms.append(f"due >= {mark}")
            values.append(self.since)
        if self.until is not None:
            terms.append(f"due <= {mark}")
            values.append(self.until)
        if self.after is not None:
            terms.append(f"(due, key) > ({mark}, {mark})")
            values += self.after
        return f"WHERE {' AND '.join(terms)} ORDER BY due, key LIMIT {mark}", [*values, self.limit]

    def takes(self, row: QueueRow) -> bool:
        """Whether a row is one of these."""
        return (
            row.state == "waiting"
            and is_dated(row) == self.dated
            and self.of in (None, (row.machine, row.command))
            and (self.since is None or row.due >= self.since)
            and (self.until is None or row.due <= self.until)
            and (self.after is None or (row.due, row.key) > self.after)
        )


def is_dated(row: QueueRow) -> bool:
    """Whether a waiting row has its time from a page, and nobody has tried it yet."""
    return row.cause is not None and not row.attempts


def scheduled(table: str, mark: str = "?") -> str:
    """The query for what is dated and later than a time, day by day. Many have the same time: that is counted first."""
    return (
        "SELECT machine, command, substr(due, 1, 10), CAST(sum(number) AS bigint), min(due) FROM "
        f"(SELECT machine, command, due, count(*) AS number FROM {table} WHERE {DATED} AND due > {mark} "
        "GROUP BY machine, command, due) AS times GROUP BY machine, command, substr(due, 1, 10)"
    )


def depth(table: str, mark: str = "?") -> str:
    """The query for how many wait; how many of these are dated and later, or due; and the earliest time."""
    waiting = f"FROM {table} WHERE state = 'waiting'"
    return (
        "SELECT dated + other, dated - due_by_date, due, oldest FROM ("
        f"SELECT (SELECT count(*) FROM {table} WHERE {DATED}) AS dated, "
        f"(SELECT count(*) FROM {table} WHERE {DATED} AND due <= {mark}) AS due_by_date, "
        f"(SELECT count(*) FROM {table} WHERE {OTHER}) AS other, "
        f"(SELECT count(*) {waiting} AND due <= {mark}) AS due, (SELECT min(due) {waiting}) AS oldest) AS counts"
    )

"""What there is to see: calls, commands, uncovered parts and late answers; what each is about, and their totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs

from tallystick.money import Money
from tallystick.provider.protocol import Result
from tallystick.store.rows import CallRow, QueueRow, is_changed

DAYS, MONTHS = 7, 12  # that are told one by one; all later ones by their year


@attrs.frozen
class Uncovered:
    """A payment with an uncovered part. Hold it again, write down who else pays it, or cancel it."""

    payment: str  # the payment's id
    order: str  # the order's id, as it was given
    card: str  # the card's id
    number: str  # of the card, masked
    state: str  # of the payment
    amount: Money  # that is uncovered


@attrs.frozen
class OpenCall:
    """A call in doubt."""

    row: CallRow  # as the store has it
    why: str  # what it waits for, with the evidence
    due: datetime | None  # when `recover` looks at it; None: it waits for a person

    @property
    def amount(self) -> Money | None:
        """What the provider was asked for, if the verb has an amount, and nobody has changed the row."""
        if is_changed(self.row) or self.row.amount is None:
            return None
        return Money(self.row.amount, self.row.currency)


@attrs.frozen
class LateAnswer:
    """A closed call of which the provider said something else later. A person sets right what the two disagree on."""

    row: CallRow  # as the store has it
    why: str  # how it was closed, and what was said later
    said: Result  # what was said later
    amount: Money | None  # that this is about, if it is about money
    reference: str | None  # the provider's id of what it did then


@attrs.frozen
class Queued:
    """A command of the queue that is not done."""

    row: QueueRow  # as the store has it
    why: str  # what it waits for, or why it was given up
    amount: Money | None  # that it would move, if it has one
    due: datetime | None  # when `run_due` tries it; None: it waits for a person


@attrs.frozen
class Dated:
    """Commands of one kind that wait for the date that their page gives them, such as of cards that expire."""

    machine: str
    command: str
    count: int  # how many
    first: datetime | None  # the earliest date, in UTC; None: somebody has changed it in the database
    days: Mapping[str, int]  # by day in UTC, such as 2026-12-31, in their order

    @property
    def periods(self) -> list[tuple[str, int]]:
        """The first days one by one, then months, then years. Of a part of a month or year: "later in 2026-12"."""
        told = list(self.days)[:DAYS]
        told += list(dict.fromkeys(day[:7] for day in self.days if day not in told))[:MONTHS]
        found: Counter[str] = Counter()
        for day, count in self.days.items():
            name = next(name for name in (day, day[:7], day[:4]) if name in told or name == day[:4])
            within = any(len(each) > len(name) and each.startswith(name) for each in told)
            found[f"later in {name}" if within else name] += count
        return list(found.items())


@attrs.frozen
class Total:
    """How many things wait, and how much money they are about."""

    count: int  # how many
    amounts: Mapping[str, int]  # minor units by currency; a sum may be more than one `Money` can be. None if not known


def total(amounts: Iterable[Money | None]) -> Total:
    """The total of things with these amounts; None: a thing without an amount."""
    listed = list(amounts)
    sums: dict[str, int] = {}
    for each in listed:
        if each is not None:
            sums[each.currency] = sums.get(each.currency, 0) + each.minor
    return Total(len(listed), dict(sorted(sums.items())))


@attrs.frozen
class Stuck:
    """What waits for a person, and nothing else.

    `calls` are open, and the provider's record does not decide; or it could not be looked up for more than `REACH`.
    `queue` has the commands that were refused, declined, or parked after too many tries. What somebody has changed in
    the database is in both: nothing is done with it.
    """

    calls: tuple[OpenCall, ...]
    queue: tuple[Queued, ...]
    uncovered: tuple[Uncovered, ...]  # payments with an uncovered part
    late: tuple[LateAnswer, ...] = ()  # closed calls of which the provider said something else later

    def __bool__(self) -> bool:
        return bool(self.calls or self.queue or self.uncovered or self.late)

    @property
    def totals(self) -> dict[str, Total]:
        """By kind: they are not one sum, because a refused command and an uncovered part may be the same money."""
        return {
            "calls": total(each.amount for each in self.calls),
            "queue": total(each.amount for each in self.queue),
            "uncovered": total(each.amount for each in self.uncovered),
            "late": total(each.amount for each in self.late),
        }


@attrs.frozen
class Waiting:
    """What is not done yet and needs nobody: `run_due` and `recover` take it on when it is due.

    What waits for a date of its page may be millions of cards. It is counted; `books.queue.waiting` lists it.
    """

    calls: tuple[OpenCall, ...]  # that `recover` will look at
    queue: tuple[Queued, ...]  # what `run_due` will try: what is due, or waits for another reason than its page's date
    dated: tuple[Dated, ...] = ()  # what waits for a date of its page
    more: int = 0  # of the queue, that are not listed

    def __bool__(self) -> bool:
        return bool(self.calls or self.queue or self.dated)

    @property
    def totals(self) -> dict[str, Total]:
        """By kind. What money the queue is about is only known if all of it is listed."""
        queue = total(each.amount for each in self.queue)
        return {
            "calls": total(each.amount for each in self.calls),
            "queue": Total(queue.count + self.more, {} if self.more else queue.amounts),
            "dated": Total(sum(each.count for each in self.dated), {}),
        }

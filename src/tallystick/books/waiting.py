"""What waits: for a person (`stuck`), or for its time or for a machine (`waiting`).

Everything that is not done is either `stuck` or `waiting`. What `run_due` or `recover` will still try by itself is
`waiting`, and has a time. What they have given up is `stuck`.

What waits for a date of its page may be a million cards that expire. It is counted by day, and listed page by page.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

import attrs

from tallystick.books.old_holds import PAYMENT, named
from tallystick.core.entity import Entity
from tallystick.engine.engine import GRACE, Engine
from tallystick.engine.queue import listing
from tallystick.engine.queue.rows import CHANGED, ENDED
from tallystick.engine.sealing import from_books
from tallystick.errors import Invalid, NotFound
from tallystick.masks import quoted
from tallystick.money import Money
from tallystick.provider.protocol import Result
from tallystick.store.protocol import Reading
from tallystick.store.rows import CallRow, QueueRow, is_changed, is_later, stamp
from tallystick.store.waits import Scheduled

LISTED = 1000  # of what waits
LOOKED = 10_000  # commands that are looked at, whether somebody has changed them in the database
DAYS, MONTHS = 7, 12  # that are told one by one; all later ones by their year
_PERIOD = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
REACH = timedelta(hours=1)  # a call that no look-up has ended by then needs a person, if only one who starts `recover`


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


def stuck(engine: Engine, *, now: datetime | None = None) -> Stuck:
    """Calls that no record decides, commands that were given up, payments of which nobody covers a part."""
    with engine.store.reading() as reading:
        calls = [each for each in _calls(reading, now or engine.now()) if each.due is None]
        ended = [row for state in ENDED for row in reading.queue(state=state)]
        waits = islice(listing.not_dated(reading, stamp(now or engine.now())), LOOKED)
        queue = _all_queued(engine, reading, [
            *(row for row in ended if is_changed(row) or not _is_done_with(engine, reading, row)),
            *(row for row in waits if is_changed(row)),
        ])  # fmt: skip
        uncovered = [
            Uncovered(*named(reading, each), Money(each.accounts["uncovered"], each.currency))
            for each in reading.standing(PAYMENT, "uncovered")
            if not _is_followed(reading, each, stamp(now or engine.now()))
        ]
        late = tuple(_late_answers(reading))
    return Stuck(tuple(calls), tuple(queue), tuple(uncovered), late)


def _is_done_with(engine: Engine, reading: Reading, row: QueueRow) -> bool:
    """Whether a follow-up that was refused has nothing to do any more, as its page says it: nobody has to look."""
    entity = reading.entity(row.machine, row.entity)
    if row.state != "refused" or row.cause is None or entity is None:
        return False
    machine = engine.machines.at(row.machine, entity.machine_version)
    command = machine.commands.get(row.command)
    if command is None or command.owed:
        return False
    if machine.states[entity.state].final and (entity.state, row.command) not in machine.table:
        return True
    refusal = engine.may(row.machine, row.entity, row.command, from_books(json.loads(row.args))).refusal
    return refusal is not None and refusal.done_with


def _late_answers(reading: Reading) -> Iterator[LateAnswer]:
    """Those that nothing explains. Of two calls that look alike, one may have been given the other's transaction."""
    for row in reading.late_answers():
        said = row.late_answer
        assert said is not None
        others = (each for each in reading.calls_on(row.machine, row.entity) if each.id != row.id)
        if said.reference is not None and any(said.reference in each.ids for each in others):
            continue
        minor = said.amount if said.amount is not None else row.amount
        amount = Money(minor, row.currency) if minor is not None else None
        yield LateAnswer(row, row.note or "", said.result, amount, said.reference)


def _is_followed(reading: Reading, entity: Entity, now: str) -> bool:
    """Whether something follows that will still be done to it, and is not put off to a later time by its page."""
    rows = reading.waiting(*entity.ref)
    return any(row.cause is not None and not is_changed(row) and not is_later(row, now) for row in rows)


def waiting(engine: Engine, *, now: datetime | None = None, limit: int = LISTED) -> Waiting:
    """Commands that wait for their time or their next try, and calls that `recover` can still end.

    Of commands that wait for another reason than a date of their page, the first `limit` are listed.
    """
    now = now or engine.now()
    at = stamp(now)
    with engine.store.reading() as reading:
        calls = [each for each in _calls(reading, now) if each.due is not None]
        dated: dict[tuple[str, str], list[Scheduled]] = {}
        for each in reading.scheduled(at):
            dated.setdefault((each.machine, each.command), []).append(each)
        rows = list(islice(listing.not_dated(reading, at), limit))
        queue = _all_queued(engine, reading, [row for row in rows if not is_changed(row)])
        count = reading.depth(at).by_state["waiting"] - sum(each.number for days in dated.values() for each in days)
    return Waiting(tuple(calls), tuple(queue), tuple(_dated(*each) for each in dated.items()), count - len(rows))


def _dated(of: tuple[str, str], days: Sequence[Scheduled]) -> Dated:
    by_day = {each.day: each.number for each in days}
    return Dated(*of, sum(by_day.values()), _moment(min(each.first for each in days)), by_day)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # somebody has changed it in the database, and verify says so
        return None


def about(engine: Engine, key: str, *, now: datetime | None = None) -> Waiting:
    """Only what the command with this key waits for, and what follows it."""
    with engine.store.reading() as reading:
        calls = [each for each in _calls(reading, now or engine.now()) if each.due is not None and each.row.key == key]
        rows = [*reading.queued([key]).values(), *reading.following(key)]
        found = sorted((row for row in rows if row.state == "waiting"), key=lambda row: (row.due, row.key))
        return Waiting(tuple(calls), _all_queued(engine, reading, [row for row in found if not is_changed(row)]))


def listed(
    engine: Engine, *, of: str | None = None, on: str | None = None, after: str | None = None, skip: int = 0,
    limit: int = LISTED,
) -> tuple[Queued, ...]:  # fmt: skip
    """Commands that wait, one by one, dated or not, the longest waiting first: as `Queue.waiting`, with amounts.

    Args:
        of: only one kind, such as `gift_card.expire`.   on: only of one day in UTC, or month, or year: 2026-12-31.
        after: only what comes after the one with this key.   skip: leave out the first ones.

    Raises:
        NotFound: there is no such command, or nothing was ever queued under the key `after`.
        Invalid: `on` is no day, month or year.
    """
    known = [f"{each.name}.{name}" for each in engine.machines.all() for name in each.commands]
    if of is not None and of not in known:
        raise NotFound("command", of, list(dict.fromkeys(known)))
    if on is not None and not _PERIOD.fullmatch(on):
        raise Invalid(f"{quoted(on)[:60]} is no day, month or year: write 2026-12-31, 2026-12 or 2026")
    machine, _, command = (of or "").partition(".")
    end = None if on is None else f"{on}~"  # comes after every time that begins so
    with engine.store.reading() as reading:
        rows = listing.waiting(reading, machine or None, command=command or None, since=on, until=end, after=after)
        return _all_queued(engine, reading, list(islice(rows, skip, skip + limit)))


def _calls(reading: Reading, now: datetime) -> Iterator[OpenCall]:
    for row in reading.calls():
        if is_changed(row):
            yield OpenCall(row, CHANGED, None)
            continue
        asked = datetime.fromisoformat(row.asked)
        if row.unclear:
            yield OpenCall(row, row.note or "", None)
        elif now - asked > REACH:
            text = (
                f"{row.note or 'no answer came'}; no look-up has ended it for {_hours(now - asked)}: does recover run?"
            )
            yield OpenCall(row, text, None)
        elif not row.attempts:
            yield OpenCall(row, "it was not sent yet: send it, or recover does", asked + GRACE)
        else:
            yield OpenCall(row, f"{row.note or 'no answer came yet'}; recover looks it up", asked + GRACE)


def _hours(length: timedelta) -> str:
    hours = length // timedelta(hours=1)
    return f"{hours} hours" if hours > 1 else "an hour"


def _all_queued(engine: Engine, reading: Reading, rows: Sequence[QueueRow]) -> tuple[Queued, ...]:
    """Rows with what they are about, which is read at once."""
    there = reading.entities({(row.machine, row.entity) for row in rows if not is_changed(row)})
    return tuple(
        Queued(row, CHANGED, None, None) if is_changed(row) else _queued(engine, there[row.machine, row.entity], row)
        for row in rows
    )


def _queued(engine: Engine, entity: Entity, row: QueueRow) -> Queued:
    types = engine.machines.at(row.machine, entity.machine_version).commands[row.command].arguments
    kept = [(types.get(name), value) for name, value in json.loads(row.args).items()]
    minor = [value for type_, value in kept if type_ and type_.kind == "money" and isinstance(value, int)]
    amount = Money(minor[0], entity.currency) if minor else None
    why, due = row.why or "", None
    if row.state == "waiting":
        due = datetime.fromisoformat(row.due)
        if not row.attempts and not why:
            why = f"it follows {row.cause}" if row.cause else "its time"
    return Queued(row, why, amount, due)

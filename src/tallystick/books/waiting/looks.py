"""How it is found, in one look at the store: by indexes, however much waits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from tallystick.books.waiting.kinds import Dated, LateAnswer, OpenCall, Queued, Stuck, Uncovered, Waiting
from tallystick.books.waiting.old_holds import PAYMENT, named
from tallystick.core.entity import Entity
from tallystick.engine.engine import GRACE, Engine
from tallystick.engine.queue import listing
from tallystick.engine.queue.rows import CHANGED, ENDED
from tallystick.engine.sealing import from_books
from tallystick.errors import Invalid, NotFound
from tallystick.masks import quoted
from tallystick.money import Money
from tallystick.store.protocol import Reading
from tallystick.store.rows import QueueRow, is_changed, is_later, stamp
from tallystick.store.waits import Scheduled

LISTED = 1000  # of what waits
LOOKED = 10_000  # commands that are looked at, whether somebody has changed them in the database
_PERIOD = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
REACH = timedelta(hours=1)  # a call that no look-up has ended by then needs a person, if only one who starts `recover`


def stuck(engine: Engine, *, now: datetime | None = None) -> Stuck:
    """Calls that no record decides, commands that were given up, payments of which nobody covers a part."""
    with engine.store.reading() as reading:
        calls = [each for each in open_calls(reading, now or engine.now()) if each.due is None]
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
        calls = [each for each in open_calls(reading, now) if each.due is not None]
        dated: dict[tuple[str, str], list[Scheduled]] = {}
        for each in reading.scheduled(at):
            dated.setdefault((each.machine, each.command), []).append(each)
        rows = list(islice(listing.not_dated(reading, at), limit))
        queue = _all_queued(engine, reading, [row for row in rows if not is_changed(row)])
        depth = reading.depth(at)
    more = depth.by_state["waiting"] - depth.dated - len(rows)
    return Waiting(tuple(calls), tuple(queue), tuple(_dated(*each) for each in dated.items()), more)


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
        every = open_calls(reading, now or engine.now())
        calls = [each for each in every if each.due is not None and each.row.key == key]
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
        rows = listing.waiting(
            engine.machines, reading, machine or None, command=command or None, since=on, until=end, after=after
        )
        return _all_queued(engine, reading, list(islice(rows, skip, skip + limit)))


def open_calls(reading: Reading, now: datetime) -> Iterator[OpenCall]:
    """Calls in doubt, the oldest first: for a person, or for `recover`."""
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

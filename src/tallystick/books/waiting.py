"""What waits: for a person (`stuck`), for its time or for a machine (`waiting`), or for nobody at all (old holds).

Everything that is not done is either `stuck` or `waiting`. What `run_due` or `recover` will still try by itself is
`waiting`, and has a time. What they have given up is `stuck`.

A provider's hold never expires, so a forgotten order keeps a customer's money for ever. `books.holds_older_than`
lists such holds by the times of our journal. `release` gives them back, one by one, by the payment's own `cancel`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from tallystick.core.entity import Entity
from tallystick.engine.engine import GRACE, Engine
from tallystick.engine.queue.rows import CHANGED, ENDED
from tallystick.engine.receipt import Command, Receipt
from tallystick.engine.sealing import from_books
from tallystick.errors import Invalid
from tallystick.masks import mask
from tallystick.money import Money
from tallystick.provider.protocol import Result
from tallystick.store.protocol import Reading
from tallystick.store.rows import CallRow, EntryRow, QueueRow, is_changed, is_later, stamp

CARD, PAYMENT = "gift_card", "payment"
REACH = timedelta(hours=1)  # a call that no look-up has ended by then needs a person, if only one who starts `recover`


@attrs.frozen
class OldHold:
    """A payment's hold in force."""

    payment: str  # the payment's id
    order: str  # the order's id, as it was given
    card: str  # the card's id
    number: str  # of the card, masked
    state: str  # of the payment
    amount: Money  # that is held
    hold: str | None  # the provider's name for it
    since: datetime  # in force, in UTC
    revision: int  # of the payment, when this was seen


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
class Total:
    """How many things wait, and how much money they are about."""

    count: int  # how many
    amounts: Mapping[str, int]  # minor units by currency; a sum may be more than one `Money` can be


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
    """What is not done yet and needs nobody: `run_due` and `recover` take it on when it is due."""

    calls: tuple[OpenCall, ...]  # that `recover` will look at
    queue: tuple[Queued, ...]  # what `run_due` will try

    def __bool__(self) -> bool:
        return bool(self.calls or self.queue)

    @property
    def totals(self) -> dict[str, Total]:
        """By kind."""
        return {"calls": total(each.amount for each in self.calls), "queue": total(each.amount for each in self.queue)}

    def about(self, key: str) -> Waiting:
        """Only what the command with this key waits for, and what follows it."""
        calls = tuple(each for each in self.calls if each.row.key == key)
        return Waiting(calls, tuple(each for each in self.queue if key in (each.row.key, each.row.cause)))


def holds_older_than(engine: Engine, age: timedelta, *, now: datetime | None = None) -> list[OldHold]:
    """Holds in force for longer than `age`, the oldest first.

    A hold's age counts from the entry that put it in force. An advanced hold is as young as its shipment. If the
    provider kept the rest of a hold, that is as old as it was. `now` is the current time by default.
    """
    before = (now or engine.now()) - age
    with engine.store.reading() as reading:
        holds = [_hold(reading, each) for each in reading.standing(PAYMENT, "held", created_before=stamp(before))]
    return sorted((hold for hold in holds if hold.since < before), key=lambda hold: (hold.since, hold.payment))


def _hold(reading: Reading, payment: Entity) -> OldHold:
    since = _since(list(reading.journal(PAYMENT, payment.id)))
    amount, hold = Money(payment.accounts["held"], payment.currency), payment.facts.get("hold_id")
    return OldHold(*_named(reading, payment), amount, str(hold) if hold else None, since, payment.revision)


def _named(reading: Reading, payment: Entity) -> tuple[str, str, str, str, str]:
    """Payment, order, card, its number masked, and the payment's state."""
    card = reading.entity(CARD, str(payment.facts["card"]))
    number = card.facts.get("number") if card else None
    shown = mask(str(number)) if number else "—"
    return payment.id, str(payment.facts["order"]), str(payment.facts["card"]), shown, payment.state


def _since(rows: Sequence[EntryRow]) -> datetime:
    """When the present hold was put in force: the last time value came to be held, except by coming back."""
    done = [each for each in rows if each.phase in ("done", "confirmed")]
    into = [each for each in done if any(target == "held" for _, target, _ in json.loads(each.postings))]
    return datetime.fromisoformat((into or rows)[-1].at)


def release(engine: Engine, holds: Iterable[OldHold], *, by: str, reason: str) -> list[Receipt]:
    """Give holds back. The key of each is made from what was seen, so nothing is given back twice.

    If a payment moved on meanwhile, it may refuse, and its receipt says so. If the provider declines or is unavailable,
    the hold stays. It is seen again with another key.

    Raises:
        Invalid: `by` or `reason` is missing; the local provider was named, but another one made a hold.
    """
    if not by or not reason:
        raise Invalid("who releases (by) and why (reason) has to be said")
    wanted = list(holds)
    with engine.store.reading() as reading:
        for hold in wanted if engine.provider.local else []:  # the hold would end here and stay there
            if reading.calls_on(CARD, hold.card):
                raise Invalid(
                    f"the local provider did not make the hold of payment {hold.payment!r}: name its provider"
                )

    return [_release(engine, hold, by, reason) for hold in wanted]


def _release(engine: Engine, hold: OldHold, by: str, reason: str) -> Receipt:
    named = hashlib.sha256(hold.payment.encode()).hexdigest()[:16]  # an id may be too long or too odd for a key
    key = f"release/{named}/{hold.revision}"
    return engine.queue.follow(engine.try_execute(Command(PAYMENT, hold.payment, "cancel", {}, key, by, reason)))


def stuck(engine: Engine, *, now: datetime | None = None) -> Stuck:
    """Calls that no record decides, commands that were given up, payments of which nobody covers a part."""
    with engine.store.reading() as reading:
        calls = [each for each in _calls(reading, now or engine.now()) if each.due is None]
        queued = [row for state in (*ENDED, "waiting") for row in reading.queue(state=state)]
        queue = [
            _queued(engine, reading, row)
            for row in queued
            if is_changed(row) or (row.state in ENDED and not _is_done_with(engine, reading, row))
        ]
        uncovered = [
            Uncovered(*_named(reading, each), Money(each.accounts["uncovered"], each.currency))
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


def waiting(engine: Engine, *, now: datetime | None = None) -> Waiting:
    """Commands that wait for their time or their next try, and calls that `recover` can still end."""
    with engine.store.reading() as reading:
        calls = [each for each in _calls(reading, now or engine.now()) if each.due is not None]
        queue = [_queued(engine, reading, row) for row in reading.queue(state="waiting") if not is_changed(row)]
    return Waiting(tuple(calls), tuple(queue))


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


def _queued(engine: Engine, reading: Reading, row: QueueRow) -> Queued:
    if is_changed(row):
        return Queued(row, CHANGED, None, None)
    entity = reading.entity(row.machine, row.entity)
    assert entity is not None  # a command waits for something that is there
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

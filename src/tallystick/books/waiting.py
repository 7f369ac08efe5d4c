"""What waits too long: holds nobody ever used, and whatever only a person can take further.

A provider's hold never expires, so an order that was forgotten keeps a customer's money for ever. `holds_older_than`
lists such holds by our journal's times; `release` gives them back, one by one, as the payment's own `reverse`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import attrs

from tallystick.core.entity import Entity
from tallystick.core.refusal import mask
from tallystick.engine.engine import Engine, utc_now
from tallystick.engine.queue_rows import ENDED
from tallystick.engine.receipt import Command, Receipt
from tallystick.errors import Invalid
from tallystick.money import Money
from tallystick.store.protocol import Reading
from tallystick.store.rows import CallRow, QueueRow, Record

CARD, PAYMENT = "gift_card", "payment"


@attrs.frozen
class OldHold:
    """A payment's hold in force, since when. `number` is masked."""

    payment: str
    order: str
    card: str
    number: str
    state: str
    amount: Money
    hold: str | None  # the provider's name for it
    since: datetime
    revision: int  # of the payment, when this was seen


@attrs.frozen
class Uncovered:
    """A payment of which a part is neither held nor given up: another tender has to cover it, or be let go."""

    payment: str
    order: str
    card: str
    number: str
    state: str
    amount: Money


@attrs.frozen
class Stuck:
    """Everything that waits for a person.

    `calls` are open; what was found of them is their note, and one without was not looked up yet. `queue` has the
    commands that were refused, declined, or parked after too many tries.
    """

    calls: tuple[CallRow, ...]
    queue: tuple[QueueRow, ...]
    uncovered: tuple[Uncovered, ...]

    def __bool__(self) -> bool:
        return bool(self.calls or self.queue or self.uncovered)


def holds_older_than(engine: Engine, age: timedelta, *, now: datetime | None = None) -> list[OldHold]:
    """Holds in force for longer than `age`, the oldest first.

    A hold's age counts from the entry that put it in force: a hold that covers what is left after a shipment is as
    young as that shipment, one whose rest the provider kept is as old as it was. `now` is by default the time.
    """
    before = (now or utc_now()) - age
    with engine.store.reading() as reading:
        held = [payment for payment in reading.all(PAYMENT) if payment.accounts["held"]]
        holds = [_hold(reading, payment) for payment in held]
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


def _since(records: Sequence[Record]) -> datetime:
    """When the hold now in force was put in force: the last time value came to be held, and not only came back."""
    done = [each for each in records if each.phase in ("done", "confirmed")]
    into = [each for each in done if any(target == "held" for _, target, _ in json.loads(each.postings))]
    return datetime.fromisoformat((into or records)[-1].at)


def release(engine: Engine, holds: Iterable[OldHold], *, by: str, reason: str) -> list[Receipt]:
    """Give holds back, each under a key made from it as it was seen: said again, nothing is given back twice.

    A payment that moved on meanwhile may refuse; its receipt says so. If the provider says no or cannot be reached,
    the hold stays and is seen anew, under another key.

    Raises:
        Invalid: `by` or `reason` is missing; the local provider was named, but another one made a hold.
    """
    if not by or not reason:
        raise Invalid("who releases (by) and why (reason) has to be said")
    wanted = list(holds)
    with engine.store.reading() as reading:
        for hold in wanted if engine.provider.local else []:  # it would let go here, and the hold would stay there
            if reading.calls_on(CARD, hold.card):
                raise Invalid(
                    f"the local provider did not make the hold of payment {hold.payment!r}: name its provider"
                )

    return [_release(engine, hold, by, reason) for hold in wanted]


def _release(engine: Engine, hold: OldHold, by: str, reason: str) -> Receipt:
    named = hashlib.sha256(hold.payment.encode()).hexdigest()[:16]  # an id may be too long or too odd for a key
    key = f"release/{named}/{hold.revision}"
    return engine.queue.follow(engine.try_execute(Command(PAYMENT, hold.payment, "cancel", {}, key, by, reason)))


def stuck(engine: Engine) -> Stuck:
    """Open calls with their evidence, queued commands that ended other than done, payments with a part uncovered."""
    with engine.store.reading() as reading:
        queue = [row for state in ENDED for row in reading.queue(state=state)]
        payments = [each for each in reading.all(PAYMENT) if each.accounts["uncovered"]]
        uncovered = [
            Uncovered(*_named(reading, each), Money(each.accounts["uncovered"], each.currency)) for each in payments
        ]
        return Stuck(tuple(reading.calls()), tuple(queue), tuple(uncovered))

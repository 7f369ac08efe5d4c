"""Old holds, which wait for nobody.

A provider's hold never expires, so a forgotten order keeps a customer's money for ever. `books.holds_older_than`
lists such holds by the times of our journal. `release` gives them back, one by one, by the payment's own `cancel`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import attrs

from tallystick.core.entity import Entity
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Receipt
from tallystick.errors import Invalid
from tallystick.masks import mask
from tallystick.money import Money
from tallystick.store.protocol import Reading
from tallystick.store.rows import EntryRow, stamp

CARD, PAYMENT = "gift_card", "payment"


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
    return OldHold(*named(reading, payment), amount, str(hold) if hold else None, since, payment.revision)


def named(reading: Reading, payment: Entity) -> tuple[str, str, str, str, str]:
    """Payment, order, card, its number masked, and the payment's state."""
    card = reading.entity(CARD, str(payment.facts["card"]))
    number = card.facts.get("number") if card else None
    shown = mask(str(number)) if number else "—"
    return payment.id, str(payment.facts["order"]), str(payment.facts["card"]), shown, payment.state


def _since(rows: Sequence[EntryRow]) -> datetime:
    """When the present hold was put in force: the last time value came to be held, except by coming back."""
    done = [each for each in rows if each.phase in ("done", "confirmed")]
    into = [each for each in done if any(target == "held" for _, target, _ in json.loads(each.postings))]
    return datetime.fromisoformat((into or rows)[-1].happened)


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

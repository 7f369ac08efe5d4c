"""A payment is authorized and settled on a card, as events of two aggregates that are saved together."""

from __future__ import annotations

import uuid
from itertools import count
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from benchmarks.measure import Contestant, Work


class Card(Aggregate):
    @event("Issued")
    def __init__(self, available: int) -> None:
        self.available, self.held, self.spent = available, 0, 0

    @event("Held")
    def hold(self, amount: int) -> None:
        if not 0 < amount <= self.available:
            raise ValueError("not available")
        self.available -= amount
        self.held += amount

    @event("Redeemed")
    def redeem_hold(self, amount: int) -> None:
        if not 0 < amount <= self.held:
            raise ValueError("not held")
        self.held -= amount
        self.spent += amount


class Payment(Aggregate):
    @event("Requested")
    def __init__(self, card: uuid.UUID) -> None:
        self.card, self.state, self.held, self.redeemed = card, "requested", 0, 0

    @event("Authorized")
    def authorize(self, amount: int) -> None:
        if self.state != "requested":
            raise ValueError(self.state)
        self.state = "authorized"
        self.held += amount

    @event("Settled")
    def settle(self, amount: int) -> None:
        if self.state != "authorized" or amount != self.held:
            raise ValueError(self.state)
        self.state = "closed"
        self.held -= amount
        self.redeemed += amount


def event_sourced(path: Path, cards: int, each: int) -> Contestant:
    """Aggregates are read again for each command, because another process may have added to them."""
    application: Any = Application({"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)})
    made = [Card(10**12) for _ in range(cards)]
    application.save(*made)
    turns = count()

    def ready() -> Work:
        payments = [Payment(made[next(turns) % cards].id) for _ in range(each // 2)]
        application.save(*payments)

        def work() -> int:
            for payment in payments:
                _authorize(application, payment.id, 100)
                _settle(application, payment.id, 100)
            return 2 * len(payments)

        return work

    return ready


def _authorize(application: Any, id: uuid.UUID, amount: int) -> None:
    payment = application.repository.get(id)
    card = application.repository.get(payment.card)
    payment.authorize(amount)
    card.hold(amount)
    application.save(payment, card)


def _settle(application: Any, id: uuid.UUID, amount: int) -> None:
    payment = application.repository.get(id)
    card = application.repository.get(payment.card)
    payment.settle(amount)
    card.redeem_hold(amount)
    application.save(payment, card)

"""What the books say of a card, a payment, a plan and a sale, typed, in `Money`."""

from __future__ import annotations

import attrs

from tallystick.core.entity import Entity
from tallystick.core.refusal import mask
from tallystick.engine.receipt import Receipt
from tallystick.engine.sealing import Numbers
from tallystick.money import Money


@attrs.frozen
class Card:
    """A card as our books know it."""

    id: str
    state: str
    currency: str
    available: Money
    held: Money
    in_doubt: Money
    form: str
    kind: str
    number: str | None = attrs.field(default=None, repr=False)

    @property
    def masked(self) -> str:
        """The number as people may see it."""
        return mask(self.number) if self.number else "—"


@attrs.frozen
class Payment:
    """A gift-card tender of an order as our books know it."""

    id: str
    state: str
    currency: str
    order: str
    card: str
    held: Money
    uncovered: Money
    redeemed: Money
    in_doubt: Money


@attrs.frozen
class Tender:
    """How an amount can be spread over cards; `remaining` needs another tender."""

    parts: tuple[tuple[str, Money], ...]
    remaining: Money


@attrs.frozen
class Sale:
    """A sold card: what the customer gets. Number and PIN are money: hand them on, do not log them."""

    card: str
    receipt: Receipt
    number: str | None = attrs.field(default=None, repr=False)
    pin: str | None = attrs.field(default=None, repr=False)


def card_view(found: Entity, numbers: Numbers) -> Card:
    """A gift_card entity as a Card, with its number. Raises StoreError: that was changed in the database."""
    number = found.facts.get("number")
    return Card(
        id=found.id,
        state=found.state,
        currency=found.currency,
        available=_money(found, "available"),
        held=_money(found, "held"),
        in_doubt=_money(found, "in_doubt"),
        form=str(found.facts["form"]),
        kind=str(found.facts["kind"]),
        number=numbers.opened(str(number)) if number else None,
    )


def payment_view(found: Entity) -> Payment:
    """A payment entity as a Payment."""
    return Payment(
        id=found.id,
        state=found.state,
        currency=found.currency,
        order=str(found.facts["order"]),
        card=str(found.facts["card"]),
        held=_money(found, "held"),
        uncovered=_money(found, "uncovered"),
        redeemed=_money(found, "redeemed"),
        in_doubt=_money(found, "in_doubt"),
    )


def _money(entity: Entity, account: str) -> Money:
    return Money(entity.accounts[account], entity.currency)

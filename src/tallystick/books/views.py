"""What the books say of a card, a payment, how an amount is spread over cards, and a sale, typed, in `Money`."""

from __future__ import annotations

import attrs

from tallystick.core.entity import Entity
from tallystick.engine.receipt import Receipt
from tallystick.engine.sealing import Numbers
from tallystick.masks import mask
from tallystick.money import Money


@attrs.frozen
class Card:
    """A card as our books know it. In a currency, or in points; a card with several balances is several of these."""

    id: str  # the one it was made under
    state: str  # of the page gift_card: inventory, allocated, activated, issued, suspended or replaced
    currency: str  # ISO 4217 code, or "points" or "punches"
    available: Money  # may be spent
    held: Money  # promised to orders, not yet earned
    in_doubt: Money  # set aside until the provider's answer is known
    form: str  # electronic or physical
    kind: str  # gift, promo or merchandise_credit
    number: str | None = attrs.field(default=None, repr=False)  # whole; None if it has none yet. Do not log it

    @property
    def masked(self) -> str:
        """The number as people may see it."""
        return mask(self.number) if self.number else "—"


@attrs.frozen
class Payment:
    """What one gift card pays of one order, as our books know it."""

    id: str  # the one it was made under
    state: str  # of the page payment: requested, authorized, partially_settled, advanced_hold, closed, …
    currency: str  # that of its card
    order: str  # the order's id, as it was given
    card: str  # the card's id
    held: Money  # promised by the card, not yet earned
    uncovered: Money  # not held any more: to be held again or covered elsewhere
    redeemed: Money  # earned by shipments
    in_doubt: Money  # set aside until the provider's answer is known


@attrs.frozen
class Tender:
    """How an amount can be spread over cards."""

    parts: tuple[tuple[str, Money], ...]  # a card's id and how much of the amount it would pay, in the order given
    remaining: Money  # what the cards do not carry: another tender has to pay it


@attrs.frozen
class Sale:
    """A sold card: what the customer gets. Number and PIN are money: hand them on, do not log them."""

    card: str  # the card's id
    receipt: Receipt  # of the last command of the sale
    number: str | None = attrs.field(default=None, repr=False)  # whole; None while the sale waits for its review
    pin: str | None = attrs.field(default=None, repr=False)  # told this once; None if the card has none


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

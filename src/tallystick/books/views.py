"""What the books say of a card, a payment, how an amount is spread over cards, and a sale, typed, in `Money`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from tallystick.core.entity import Entity
from tallystick.engine.receipt import Receipt
from tallystick.engine.sealing import Numbers
from tallystick.masks import mask
from tallystick.money import Money
from tallystick.store.protocol import Reading

MOVED = ("activated", "following", "replaced")  # a replacement whose new card is its customer's


@attrs.frozen
class Card:
    """A card as our books know it. In a currency, or in points; a card with several balances is several of these."""

    id: str  # the one it was made under
    state: str  # of the page gift_card: inventory, allocated, activated, issued, suspended, replaced or taken_back
    currency: str  # ISO 4217 code, or "points" or "punches"
    available: Money  # may be spent
    held: Money  # promised to orders, not yet earned
    in_doubt: Money  # set aside until the provider's answer is known
    form: str  # electronic or physical
    kind: str  # gift, promo or merchandise_credit
    use_limit: Money | None = None  # the most that one payment may hold or redeem of it at once
    expires: datetime | None = None  # from then on nothing of it is held or spent anew; in UTC
    replaced_by: str | None = None  # the card that carries its value now, or is about to: it was lost
    replaces: tuple[str, ...] = ()  # the lost cards whose value this one carries
    number: str | None = attrs.field(default=None, repr=False)  # whole; None if it has none yet. Do not log it

    def _repr_svg_(self) -> str | None:
        """Where it stands in the picture of its machine, for notebooks."""
        return _picture("gift_card", self, available=self.available, held=self.held, in_doubt=self.in_doubt)

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
    requested: Money | None = None  # what the order asked this card for, if that was said
    tender: str | None = None  # the tender that it is a part of

    def _repr_svg_(self) -> str | None:
        """Where it stands in the picture of its machine, for notebooks."""
        amounts = {"held": self.held, "uncovered": self.uncovered, "redeemed": self.redeemed, "in_doubt": self.in_doubt}
        return _picture("payment", self, **amounts)

    @property
    def approved(self) -> Money:
        """What the card gives to the order: held, redeemed, or waiting to be held again."""
        return self.held + self.uncovered + self.redeemed

    @property
    def remaining(self) -> Money | None:
        """What the order asked this card for and does not have from it; None if it was not said what was asked."""
        return None if self.requested is None else max(self.requested - self.approved, Money.zero(self.currency))


def _picture(name: str, shown: Card | Payment, **accounts: Money) -> str | None:
    """The picture of one card or payment; None if its own page has other states than the packaged one."""
    from tallystick.definition import reader
    from tallystick.diagram import Life, draw

    machine = reader.load()[name]
    if shown.state not in machine.states:
        return None
    return str(draw(machine, life=Life(name, shown.id, shown.state, (), accounts=accounts)))


@attrs.frozen
class Tender:
    """How several cards pay for one order, as their payments are now."""

    id: str  # the order's id; of a second one, with a number behind it
    state: str  # of the page tender: requested, authorizing, active, closing, giving_back, given_back or paid
    currency: str  # that of its cards
    order: str  # the order's id, as it was given
    requested: Money  # what the order wants from these cards
    approved: Money  # what they hold or have paid
    remaining: Money  # what is missing: the customer has to pay it in another way
    parts: tuple[Payment, ...]  # in the order of the plan, then those that were added


@attrs.frozen
class Plan:
    """How an amount can be spread over cards. It holds nothing; `authorize_all` does."""

    parts: tuple[tuple[str, Money], ...]  # a card's id and how much of the amount it would pay, in the order given
    remaining: Money  # what the cards do not carry: the customer has to pay it in another way
    asked: tuple[str, ...] = ()  # the cards of which the provider has just said what is on them


@attrs.frozen
class Sale:
    """A sold card: what the customer gets. Number and PIN are money: hand them on, do not log them."""

    card: str  # the card's id
    receipt: Receipt  # of the last command of the sale
    number: str | None = attrs.field(default=None, repr=False)  # whole; None while the sale waits for its review
    pin: str | None = attrs.field(default=None, repr=False)  # told this once; None if the card has none


def card_view(found: Entity, numbers: Numbers, reading: Reading | None = None) -> Card:
    """A gift_card entity as a Card, with its number; with a `reading`, also with what it replaces and is replaced by.

    Raises:
        StoreError: its number was changed in the database.
    """
    replaced_by, replaces = replacements(reading, found.id) if reading is not None else (None, ())
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
        use_limit=Money(most, found.currency) if isinstance(most := found.facts.get("use_limit"), int) else None,
        expires=datetime.fromisoformat(expires) if isinstance(expires := found.facts.get("expires"), str) else None,
        replaced_by=replaced_by,
        replaces=replaces,
        number=numbers.opened(str(number)) if number else None,
    )


def replacements(reading: Reading, card: str) -> tuple[str | None, tuple[str, ...]]:
    """The id of the card that a card was replaced by, and of those that it replaces."""

    def others(as_: str, other: str) -> list[str]:
        found = [each for each in reading.linked("replacement", as_, card) if each.state in MOVED]
        return list(dict.fromkeys(str(each.facts[other]) for each in found))

    return next(reversed(others("old", "new")), None), tuple(others("new", "old"))


def payment_view(found: Entity) -> Payment:
    """A payment entity as a Payment."""
    requested = found.facts.get("requested")
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
        requested=Money(int(str(requested)), found.currency) if requested is not None else None,
        tender=str(found.facts["tender"]) if found.facts.get("tender") is not None else None,
    )


def tender_view(found: Entity, parts: Sequence[Entity]) -> Tender:
    """A tender entity and the entities of its parts as a Tender."""
    views = tuple(payment_view(each) for each in parts)
    requested = Money(int(str(found.facts["requested"])), found.currency)
    approved = sum((part.approved for part in views), Money.zero(found.currency))
    return Tender(
        id=found.id,
        state=found.state,
        currency=found.currency,
        order=str(found.facts["order"]),
        requested=requested,
        approved=approved,
        remaining=max(requested - approved, Money.zero(found.currency)),
        parts=views,
    )


def _money(entity: Entity, account: str) -> Money:
    return Money(entity.accounts[account], entity.currency)

"""An amount is held on one card for an order, or taken in one step.

A verb that claims something looks at what its payment is *now*. A key that is said again after its hold was given back
says so, and holds nothing; a new key holds anew. What the provider approves short, and nobody allowed, is given back by
the payment's own page, in the same commit.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, NamedTuple

import attrs

from tallystick.books.base import BaseBooks
from tallystick.books.occurred import dated
from tallystick.core import arguments
from tallystick.core.entity import CREATE, Entity
from tallystick.engine.receipt import LONGEST_NAME, Command, Ended, GivenBack, InDoubt, Receipt, ShortApproval
from tallystick.money import Money
from tallystick.store import Reading

Amount = Money | str
PAYMENT = "payment"


class _Part(NamedTuple):
    """What one card is to hold, or to pay at once, and the commands for that."""

    card: str
    payment: str
    amount: Money
    allow_partial: bool
    create: Command
    take: Command


class Holding(BaseBooks):
    """Verbs that hold an amount for an order, or take it in one step."""

    @dated
    def authorize(
        self, payment: str, card: str, amount: Amount, *, order: str, key: str, pin: str | None = None,
        allow_partial: bool = False, until: datetime | None = None, tender: str | None = None, by: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Hold an amount on a card for an order. With `tender`, as one more part of that.

        `allow_partial`: if the card carries less, hold what there is; `receipt.money("held")` says how much.
        `until`: if nothing was shipped by then, `run_due` gives it back. A shipment takes that date away.

        Raises:
            Refused: the card or the payment says no, or the tender: it pays for another order, or takes no more parts.
            Nothing was changed.
            ShortApproval: less was approved, and given back, because `allow_partial` was not said.
            GivenBack: what this key held was given back since; a new key and payment hold anew.
            Declined, Unavailable, InDoubt: how the provider's part ended.
        """
        part = self._part(
            "authorize", payment, card, amount, order, key, pin, allow_partial, by, tender=tender, until=until
        )
        return self._take(part, connection)

    @dated
    def redeem(
        self, payment: str, card: str, amount: Amount, *, order: str, key: str, pin: str | None = None,
        allow_partial: bool = False, by: str | None = None, occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Take an amount in one step, for goods handed over at once. `void` undoes it whole. Raises as `authorize`."""
        return self._take(self._part("redeem", payment, card, amount, order, key, pin, allow_partial, by), connection)

    def send(self, receipt: Receipt, *, pin: str | None = None) -> Receipt:
        sent = super().send(receipt, pin=pin)
        if sent.machine == PAYMENT and sent.command in ("authorize", "redeem"):
            raise_if_short(sent, self._entity(PAYMENT, sent.id))
        return sent

    send.__doc__ = BaseBooks.send.__doc__

    # Inside

    def _take(self, part: _Part, connection: Any) -> Receipt:
        with self.engine.store.reading() as reading:
            raise_if_given_back(reading, part.take)
        if connection is not None:
            return self._join(connection, part.create, part.take)
        receipt = self._give_all(part.create, part.take)
        raise_if_short(receipt, self._entity(PAYMENT, part.payment))
        return receipt

    def _part(
        self, command: str, payment: str, card: str, amount: Amount, order: str, key: str, pin: str | None,
        allow_partial: bool, by: str | None, *, create: str = "", tender: str | None = None,
        until: datetime | None = None,
    ) -> _Part:  # fmt: skip
        currency = self._entity("gift_card", card).currency
        asked = Money(arguments.minor(f"{PAYMENT}.{command}(amount=…)", amount, currency), currency)
        facts = {"order": order, "card": card, "currency": currency, "requested": asked, "tender": tender}
        args = {"amount": asked, "pin": pin, "allow_partial": allow_partial, **({"until": until} if until else {})}
        return _Part(
            card, payment, asked, allow_partial,
            self._command(PAYMENT, payment, CREATE, facts, create or step_key(key, "create"), by),
            self._command(PAYMENT, payment, command, args, key, by),
        )  # fmt: skip


def raise_if_given_back(reading: Reading, take: Command) -> None:
    """Raise GivenBack if this key took something before, and nothing of it is there any more."""
    payment = reading.entity(PAYMENT, take.id)
    if payment is None or take.key not in reading.keyed([take.key]):
        return
    gone = payment.state == "reversed" or (payment.state == "closed" and not any(payment.accounts.values()))
    if gone or any(row.command in ("cancel", "void") for row in reading.following(take.key)):
        why = f"what this key held as payment {take.id!r} was given back since; a new key holds anew"
        given_back = Receipt(Ended.REFUSED, take.key, PAYMENT, take.id, take.command, payment.state, why=why)
        raise GivenBack(attrs.evolve(given_back, replayed=True))


def raise_if_short(receipt: Receipt, payment: Entity) -> None:
    """Raise what is to be said of a hold that was approved short, and is given back: it is, or may be, or will be."""
    given = next((each for each in receipt.followed if each.command in ("cancel", "void")), None)
    if given is None:
        return
    why = short_approval(receipt, payment)
    if given.result is Ended.IN_DOUBT:
        why = f"{why}; whether it is back is not known of {given.id} (call {given.call})"
        raise InDoubt(attrs.evolve(given, why=why))
    if not given.applied:
        why = f"{why}; giving back {given.id} waits for the provider"
    raise ShortApproval(attrs.evolve(receipt, why=why))


def short_approval(receipt: Receipt, payment: Entity) -> str:
    approved = receipt.money("redeemed" if receipt.command == "redeem" else "held")
    asked = Money(int(str(payment.facts["requested"])), payment.currency)
    return f"{approved} of {asked} was approved on card {payment.facts['card']!r}, and is given back"


def short_key(key: str, step: str) -> str:
    """The key of a step: of one length, however long the caller's key is."""
    text = f"{key}/{step}".encode(errors="surrogatepass")  # whether it is a key at all is the engine's to say
    return f"{step}/{hashlib.sha256(text).hexdigest()[:40]}"


def step_key(key: str, step: str) -> str:
    """The key of a step as people read it in the journal; of a long key it is the short one."""
    named = f"{key}/{step}"
    return named if len(named) <= LONGEST_NAME else short_key(key, step)

"""Amounts are held on cards for an order: on one card, or on several, all or none.

Each part is a payment of its own. What is claimed of a hold is what its payment is *now*: a key that is said again
after its hold was given back says so, and holds nothing. A new key holds anew.

What was held and may not stay is given back under a key of its own. If the provider is not there for that, the queue
goes on with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tallystick.books.base import BaseBooks
from tallystick.books.views import Tender
from tallystick.core import arguments
from tallystick.core.entity import CREATE
from tallystick.engine.receipt import Command, Ended, GivenBack, InDoubt, Receipt, ShortApproval
from tallystick.money import Money

Amount = Money | str
PAYMENT = "payment"


@attrs.frozen
class _Part:
    """What one card is to hold, or to pay at once; and the commands for that."""

    card: str
    payment: str
    amount: Money
    allow_partial: bool
    create: Command
    take: Command
    back: str  # the key of giving it back


class Holding(BaseBooks):
    """Verbs that hold an amount for an order, or take it in one step."""

    def authorize(
        self, payment: str, card: str, amount: Amount, *, order: str, key: str, pin: str | None = None,
        allow_partial: bool = False, by: str | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Hold an amount on a card for an order.

        `allow_partial`: if the card carries less, hold what there is; `receipt.money("held")` says how much.

        Raises:
            Refused: the card or the payment says no; nothing was changed.
            ShortApproval: less was approved, and given back, because `allow_partial` was not said.
            GivenBack: what this key held was given back since; a new key and payment hold anew.
            Declined, Unavailable, InDoubt: how the provider's part ended.
        """
        part = self._part("authorize", payment, card, amount, order, key, pin, allow_partial, by)
        return self._take(part, by, connection)

    def redeem(
        self, payment: str, card: str, amount: Amount, *, order: str, key: str, pin: str | None = None,
        allow_partial: bool = False, by: str | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Take an amount in one step, for goods handed over at once. `void` undoes it whole. Raises as `authorize`."""
        part = self._part("redeem", payment, card, amount, order, key, pin, allow_partial, by)
        return self._take(part, by, connection)

    def authorize_all(
        self, tender: Tender, *, order: str, key: str, pins: Mapping[str, str] | None = None, by: str | None = None
    ) -> dict[str, Receipt]:
        """Hold every part of a tender, or none. The receipts by the ids of the payments, which begin "order/card".

        All cards are asked before the first part is held. If a card says no all the same, what was held for this
        tender is given back, and the card's answer is raised. While one is in doubt the others stay held, because it
        may have been done: recover, then say it again.

        Raises:
            Refused: a card would refuse its part; nothing was changed.
            Declined, Unavailable, ShortApproval: a card's provider said no, was not there, or approved less; nothing
            is held any more.
            InDoubt: the answer for a part, or for a giving back, is not known yet; its sentence says what is held.
            GivenBack: what this key held was given back since; a new key holds anew.
        """
        parts = self._parts(tender, order, key, pins or {}, by)
        self._look_at_now(parts)
        self._ask(*(command for part in parts for command in (part.create, part.take)))
        receipts: dict[str, Receipt] = {}
        for number, part in enumerate(parts):
            receipt = self._give(part)
            if receipt.result is Ended.IN_DOUBT:
                meanwhile = f"; {', '.join(receipts)} stay held until that is known" if receipts else ""
                raise InDoubt(attrs.evolve(receipt, why=receipt.why + meanwhile))
            short = _is_short(part, receipt)
            if short or not receipt.applied:
                self._give_back(parts[: number + short], receipt, part, by)
            receipts[part.payment] = receipt
        return receipts

    def send(self, receipt: Receipt, *, pin: str | None = None) -> Receipt:
        sent = super().send(receipt, pin=pin)
        asked = self.engine.seen(receipt.key) or {}
        if sent.machine == PAYMENT and sent.command in ("authorize", "redeem") and not asked.get("allow_partial"):
            take = self._command(PAYMENT, sent.id, sent.command, {}, sent.key, None)
            amount = Money(int(str(asked["amount"])), str(sent.currency))
            card = str(self._entity(PAYMENT, sent.id).facts["card"])
            part = _Part(card, sent.id, amount, False, take, take, _short_key(sent.key, "back"))
            if _is_short(part, sent):
                self._give_back([part], sent, part, None)
        return sent

    send.__doc__ = BaseBooks.send.__doc__

    # Inside

    def _take(self, part: _Part, by: str | None, connection: Any) -> Receipt:
        self._look_at_now([part])
        if connection is not None:
            return self._join(connection, part.create, part.take)
        self._ask(part.create, part.take)
        receipt = self._give(part)
        if _is_short(part, receipt):
            self._give_back([part], receipt, part, by)
        return self.engine.queue.follow(receipt.or_raise())

    def _give(self, part: _Part) -> Receipt:
        self.engine.try_execute(part.create).or_raise()
        return self.engine.try_execute(part.take)

    def _part(
        self, command: str, payment: str, card: str, amount: Amount, order: str, key: str, pin: str | None,
        allow_partial: bool, by: str | None, *, keys: tuple[str, str] | None = None,
    ) -> _Part:  # fmt: skip
        currency = self._entity("gift_card", card).currency
        asked = Money(arguments.minor(f"{PAYMENT}.{command}(amount=…)", amount, currency), currency)
        create, take = keys or (f"{key}/create", key)
        facts = {"order": order, "card": card, "currency": currency}
        args = {"amount": asked, "pin": pin, "allow_partial": allow_partial}
        return _Part(
            card, payment, asked, allow_partial,
            self._command(PAYMENT, payment, CREATE, facts, create, by),
            self._command(PAYMENT, payment, command, args, take, by),
            _short_key(take, "back"),
        )  # fmt: skip

    def _parts(self, tender: Tender, order: str, key: str, pins: Mapping[str, str], by: str | None) -> list[_Part]:
        """The parts of a tender. A card that is named twice has one part; a payment of before keeps its id."""
        amounts: dict[str, Money] = {}
        for card, amount in tender.parts:
            amounts[card] = amounts[card] + amount if card in amounts else amount
        parts = []
        for card, amount in amounts.items():
            keys = _short_key(f"{key}/{card}", "create"), _short_key(f"{key}/{card}", "hold")
            payment = self._named_by(keys[0]) or self._free_id(f"{order}/{card}")
            parts.append(
                self._part("authorize", payment, card, amount, order, key, pins.get(card), False, by, keys=keys)
            )
        return parts

    def _named_by(self, key: str) -> str | None:
        """The payment that was made under this key."""
        with self.engine.store.reading() as reading:
            found = reading.keyed([key])
        return found[key].entity if key in found else None

    def _free_id(self, wanted: str) -> str:
        """An id that no payment has: a second tender of an order may use a card again."""
        with self.engine.store.reading() as reading:
            number, id = 1, wanted
            while reading.entity(PAYMENT, id) is not None:
                number += 1
                id = f"{wanted}/{number}"
        return id

    def _look_at_now(self, parts: Sequence[_Part]) -> None:
        """Raise GivenBack if a part was taken under its key before, and nothing of it is there any more."""
        with self.engine.store.reading() as reading:
            keyed = reading.keyed([key for part in parts for key in (part.take.key, part.back)])
            waiting = reading.queued([part.back for part in parts])
            now = {part.payment: reading.entity(PAYMENT, part.payment) for part in parts}
        for part in parts:
            payment = now[part.payment]
            gone = payment is not None and payment.state == "reversed"
            gone |= payment is not None and payment.state == "closed" and not any(payment.accounts.values())
            if part.back in keyed or part.back in waiting or (part.take.key in keyed and gone):
                state = payment.state if payment is not None else None
                why = f"what this key held as payment {part.payment!r} was given back since; a new key holds anew"
                take = part.take
                raise GivenBack(
                    Receipt(Ended.REFUSED, take.key, PAYMENT, take.id, take.command, state, why=why, replayed=True)
                )

    def _give_back(self, parts: Sequence[_Part], receipt: Receipt, cause: _Part, by: str | None) -> None:
        """Give back what was taken, and raise why: the answer of the card that is the cause."""
        doubts, waits = [], []
        for part in parts:
            undo = "void" if part.take.command == "redeem" else "cancel"
            reason = f"{cause.card}: {receipt.why or 'less was approved than asked for'}"[:1000]
            command = self._command(PAYMENT, part.payment, undo, {}, part.back, by, reason)
            given = self.engine.try_execute(command)
            if given.result is Ended.IN_DOUBT:
                doubts.append(given)
            elif not given.applied:  # the provider is not there for it now: the queue goes on
                self.engine.try_execute(attrs.evolve(command, due=self.engine.now()))
                waits.append(part.payment)
        said = f"; giving back {', '.join(waits)} waits for the provider" if waits else ""
        if _is_short(cause, receipt):
            was = f"{receipt.money(_account(cause))} of {cause.amount} was approved on card {cause.card!r}"
            receipt = attrs.evolve(receipt, why=f"{was}, and is given back")
        if doubts:
            calls = ", ".join(f"{each.id} (call {each.call})" for each in doubts)
            raise InDoubt(
                attrs.evolve(doubts[0], why=f"{receipt.why}; whether it is back is not known of {calls}{said}")
            )
        receipt = attrs.evolve(receipt, why=receipt.why + said)
        if receipt.applied:
            raise ShortApproval(receipt)
        receipt.or_raise()


def _account(part: _Part) -> str:
    return "redeemed" if part.take.command == "redeem" else "held"


def _is_short(part: _Part, receipt: Receipt) -> bool:
    """Whether less was approved than asked for, and that was not wanted."""
    return receipt.applied and not part.allow_partial and receipt.money(_account(part)) < part.amount


def _short_key(key: str, step: str) -> str:
    """The key of a step: of one length, however long the caller's key is."""
    return f"{step}/{hashlib.sha256(f'{key}/{step}'.encode()).hexdigest()[:40]}"

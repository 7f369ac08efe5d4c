"""The verbs an order system calls: sell a card, pay with one or with several, settle, cancel, refund, replace.

Each verb is a few commands under one key of the caller's. Call it again with that key, and it goes on where it stopped:
what was done is replayed, and the rest is done. The machines decide everything. Here is only which commands make a
verb.

    with tallystick.open("sqlite:///books.db") as books:
        books.sell_electronic("card-1", "50.00", "BRL", order="o-1", key="o-1/card-1")
        books.authorize("pay-1", "card-1", "40.00", order="o-2", key="o-2/authorize")
        books.settle("pay-1", "15.00", key="o-2/ship-1")        # the other 25.00 stay held
        books.cancel("pay-1", key="o-2/cancel")

Amounts are `Money` or decimal text in the card's currency. A verb returns the receipt of its last command, or raises
Refused, Declined, Unavailable or InDoubt, whose receipt says why. The PIN of a drawn card is told once: by the sale, or
by the error's receipt if a later step fails. `on_pin` gets it in any case.

With `occurred_at=`, a verb tells what happened before now: reports of the past count it then. It may come in any
order, but not so that a card would have been used before it was there, or with more than was on it (`Refused`).

With `connection=`, a verb takes part in your own transaction: a `sqlite3.Connection`, or SQLAlchemy's Session or
Connection, on the same database. If the transaction is rolled back, nothing happened. What a remote provider has to be
asked is pending until you `send` the receipt after your commit; `send` also does what follows at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tallystick.books.dates import Dates
from tallystick.books.holding import Amount, step_key
from tallystick.books.limits import Limited
from tallystick.books.occurred import dated
from tallystick.books.replacing import Replacing
from tallystick.books.tenders import Tenders
from tallystick.books.views import Card, Payment, Plan, Sale, payment_view
from tallystick.core.arguments import plain_number
from tallystick.engine.receipt import Ended, Receipt
from tallystick.errors import Invalid
from tallystick.masks import mask
from tallystick.money import Money
from tallystick.provider.protocol import Outcome, Result


class Books(Replacing, Tenders, Dates, Limited):
    """Gift cards and their payments, for an order system. Thread-safe; close it, or use it in a `with`."""

    # Cards are looked at

    def payment(self, payment: str) -> Payment:
        """A payment by id. Raises NotFound if there is none."""
        return payment_view(self._entity("payment", payment))

    def find(self, number: str, currency: str | None = None) -> Card | None:
        """The card with this number, if our books have it. Blanks, separators and case do not count.

        A card may carry several balances: name the `currency` then. Without it, the first by the name of its currency.
        """
        number = self.engine.numbers.seal(number) if isinstance(number, str) else ""  # as it stands in our books
        with self.engine.store.reading() as reading:
            found = [id for machine, id in reading.find(number) if machine == "gift_card"]
            cards = [each for id in found if (each := reading.entity("gift_card", id)) is not None]
        matching = [each for each in cards if each.facts.get("number") == number and currency in (None, each.currency)]
        first = min(matching, key=lambda each: each.currency, default=None)
        return self.card(first.id) if first is not None else None

    @dated
    def recognize(
        self, card: str, number: str, *, currency: str, key: str, balance: Amount | None = None,
        pin: str | None = None, form: str = "physical", kind: str = "gift", by: str | None = None,
        occurred_at: datetime | None = None,
    ) -> Receipt:  # fmt: skip
        """Let a card into the books that was sold through another channel, with its number and its balance.

        Without `balance` a remote provider is asked for it; a PIN is checked then, and kept nowhere.

        Raises:
            Refused: the books have a card with this number and currency; nothing was changed.
            Declined: the provider says no, such as for a wrong PIN.   Unavailable: it could not be asked.
            Invalid: no balance is given, and the provider tells none.
        """
        facts = {"form": form, "kind": kind, "currency": currency}
        create = self._command("gift_card", card, "create", facts, step_key(key, "card"), by)
        begun = self.engine.seen(key) or {}  # said again, it is about the balance of then
        stated: object = begun.get("balance") if balance is None else balance
        if stated is None:
            none = {"number": number, "balance": Money.zero(currency)}
            self._ask(create, self._command("gift_card", card, "recognize", none, key, by))
            stated = self._told_balance(card, number, currency, pin, key)
        args = {"number": number, "balance": stated}
        return self._give_all(create, self._command("gift_card", card, "recognize", args, key, by))

    def _told_balance(self, card: str, number: str, currency: str, pin: str | None, key: str) -> Money:
        """What the provider says is available on a card that our books do not have."""
        from tallystick.books.balance import source, stated

        told_by = source(self.engine)
        if told_by is None:
            raise Invalid("our own books know nothing of this card: say what is on it (balance)")
        told = stated(told_by, plain_number(number), currency, pin)
        if isinstance(told, Outcome):
            declined = told.result is Result.DECLINED
            why = f"what is on {mask(plain_number(number))} is not known: the provider "
            why += f"says no ({told.reason or 'other'})" if declined else "could not be asked"
            ended = Ended.DECLINED if declined else Ended.UNAVAILABLE
            Receipt(ended, key, "gift_card", card, "recognize", outcome=told, why=why).or_raise()
        assert not isinstance(told, Outcome)
        return Money(told.available, currency)

    def plan(self, amount: Money, cards: Sequence[str], *, ask: bool = False) -> Plan:
        """Spread an amount over cards in the given order, each up to what is available on it now, and to its use limit.

        A plan holds nothing: `authorize_all` does, and finds out if another checkout was faster. It goes by our books,
        which know of other channels what the provider said last. With `ask` a remote provider is asked first, once for
        each card until the amount is covered, and its word is believed: do that outside your own transaction. Where it
        cannot tell, our books count; the plan's `asked` names the cards of which it told.
        """
        parts, remaining, asked = [], amount, []
        for id in dict.fromkeys(cards):
            card = self.card(id)
            wanted = ask and not self._dry and remaining.minor > 0 and card.state == "issued"
            if wanted and self.engine.balances.heard("gift_card", id) is not None:
                asked.append(id)
                card = self.card(id)
            most = card.available if card.use_limit is None else min(card.available, card.use_limit)
            part = min(most, remaining) if card.state == "issued" else Money.zero(amount.currency)
            if part.minor > 0:
                parts.append((id, part))
                remaining -= part
        return Plan(tuple(parts), remaining, tuple(asked))

    # Orders are paid

    @dated
    def settle(
        self,
        payment: str,
        amount: Amount,
        *,
        key: str,
        last: bool = False,
        keep_hold: bool | None = None,
        invoice: str | None = None,
        until: datetime | None = None,
        due: datetime | None = None,
        by: str | None = None,
        occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """A shipment: earn an amount of the hold. The rest stays held, unless this is the `last` shipment.

        `keep_hold`: whether the provider keeps the rest held. Left out, it says so itself: `local` does. If not, the
        rest is released and held again; `receipt.followed` has the receipt of that advanced hold, and what it could not
        cover is `payment(…).uncovered` and has to be paid in another way. With `due` it is queued for `run_due`.
        `until`: what is still held then is given back; without it, the rest is held until it ships or is cancelled.
        """
        args = {"amount": amount, "last": last, "keep_hold": keep_hold, "invoice": invoice, "until": until}
        return self._do("payment", payment, "settle", args, key, by, due=due, connection=connection)

    @dated
    def cancel(
        self,
        payment: str,
        *,
        key: str,
        by: str | None = None,
        reason: str | None = None,
        occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """Give back whatever is still held; what was earned stays earned."""
        return self._do("payment", payment, "cancel", {}, key, by, reason, connection=connection)

    @dated
    def hold_again(
        self,
        payment: str,
        amount: Amount,
        *,
        key: str,
        by: str | None = None,
        occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """Hold what is uncovered once more, or what there is: `receipt.money("held")`."""
        return self._do("payment", payment, "hold_again", {"amount": amount}, key, by, connection=connection)

    @dated
    def reduce(
        self,
        payment: str,
        amount: Amount,
        *,
        key: str,
        release_part: bool | None = None,
        by: str | None = None,
        reason: str | None = None,
        occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """The order wants this much less of the card. What is uncovered goes first, and the rest stays held.

        `release_part`: whether the provider lets go of a part of a hold. Left out, it says so itself: `local` does. If
        not, all is released and the rest is held again at once; `receipt.followed` has the receipt of that. Between the
        two another checkout may be faster. So of a suspended card, which can hold nothing again, that is refused.

        Raises:
            Refused: no more than is held or uncovered can be taken off, and for all of it there is `cancel`.
        """
        args = {"amount": amount, "release_part": release_part}
        return self._do("payment", payment, "reduce", args, key, by, reason, connection=connection)

    @dated
    def mark_hold_lost(
        self,
        payment: str,
        *,
        key: str,
        by: str,
        reason: str,
        occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """A person has seen that a payment's hold is gone at the provider, which would decline every settlement.

        The provider is not asked. What was held is uncovered now, and available on the card as far as our books know.
        Reconcile the card, then `hold_again` or `cancel`. It is about the hold of the moment: before you say it again,
        look again.
        """
        return self._do("payment", payment, "mark_hold_lost", {}, key, by, reason, connection=connection)

    @dated
    def cover_elsewhere(
        self,
        payment: str,
        amount: Amount,
        *,
        key: str,
        by: str | None = None,
        occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """The customer pays this much of what is uncovered in another way."""
        return self._do("payment", payment, "cover_elsewhere", {"amount": amount}, key, by, connection=connection)

    @dated
    def void(
        self,
        payment: str,
        *,
        key: str,
        by: str | None = None,
        reason: str | None = None,
        occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """Undo a one-step redemption whole, because the order could not be paid after all."""
        return self._do("payment", payment, "void", {}, key, by, reason, connection=connection)

    @dated
    def refund(
        self,
        payment: str,
        amount: Amount,
        *,
        key: str,
        by: str | None = None,
        reason: str | None = None,
        occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """Give an amount that was earned back to the card that paid."""
        return self._do("payment", payment, "refund", {"amount": amount}, key, by, reason, connection=connection)

    @dated
    def refund_to(
        self, payment: str, amount: Amount, card: str, *, key: str, by: str | None = None, reason: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Give an amount that was earned to another card that is in use, as credit."""
        args = {"amount": amount, "to": card}
        return self._do("payment", payment, "refund_to", args, key, by, reason, connection=connection)

    @dated
    def refund_to_new(
        self, payment: str, amount: Amount, card: str, *, key: str, card_set: str | None = None,
        by: str | None = None, reason: str | None = None, occurred_at: datetime | None = None,
    ) -> Sale:  # fmt: skip
        """Give an amount that was earned as merchandise credit on a new electronic card; of a promo card, as promo."""
        paid = self._entity("payment", payment)
        order, payer = str(paid.facts["order"]), self._entity("gift_card", str(paid.facts["card"]))
        kind = "promo" if payer.facts["kind"] == "promo" else "merchandise_credit"
        facts = {"form": "electronic", "kind": kind, "card_set": card_set, "currency": paid.currency}
        receipt = self._give_all(
            self._command("gift_card", card, "create", facts, step_key(key, "card"), by),
            self._command("gift_card", card, "allocate", {"order": order}, step_key(key, "allocate"), by),
            self._command("gift_card", card, "activate", {"order": order}, step_key(key, "activate"), by),
            self._command("payment", payment, "refund_to", {"amount": amount, "to": card}, key, by, reason),
        )
        return self._sale(card, receipt, receipt.drawn)

    # Cards end

    @dated
    def cash_out(
        self, card: str, *, key: str, pin: str | None = None, order: str | None = None, by: str | None = None,
        reason: str | None = None, occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Pay out what is available in cash, if it is at or under the card's cash-out limit."""
        begun = self.engine.seen(key) or {}  # said again, it is about the amount of then
        amount = begun["amount"] if "amount" in begun else self.card(card).available
        args = {"amount": amount, "pin": pin, "order": order}
        return self._do("gift_card", card, "cash_out", args, key, by, reason, connection=connection)

    @dated
    def take_back(
        self, card: str, *, key: str, order: str | None = None, by: str | None = None, reason: str | None = None,
        occurred_at: datetime | None = None,
    ) -> Receipt:  # fmt: skip
        """Who has bought a card gives it back: what is left on it comes off, and it can never be used again.

        What was spent stays spent. `receipt.before["available"]` says how much came off: pay back no more; of a promo
        card nothing, for nobody has paid for it. The card is suspended first, so that nobody spends meanwhile, and the
        provider is told that nothing is on it.

        Raises:
            Refused: orders hold something on it, or nothing is left on it; nothing was changed.
        """
        stop, state = step_key(key, "suspend"), self._entity("gift_card", card).state
        suspends = state not in ("suspended", "taken_back") or self.engine.seen(stop) is not None
        steps = [self._command("gift_card", card, "suspend", {"order": order}, stop, by, reason)] if suspends else []
        begun = self.engine.seen(key) or {}  # said again, it is about the amount of then
        amount = begun["amount"] if "amount" in begun else self.card(card).available
        args = {"amount": amount, "order": order}
        return self._give_all(*steps, self._command("gift_card", card, "take_back", args, key, by, reason))

    @dated
    def adjust(
        self, card: str, amount: Amount, *, key: str, by: str, reason: str, order: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Correct a balance by hand; an amount below zero takes away."""
        args = {"amount": amount, "order": order}
        return self._do("gift_card", card, "adjust", args, key, by, reason, connection=connection)

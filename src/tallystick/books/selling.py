"""Cards are sold, given away, or given as credit; they are topped up, and get an owner.

A sale is an order line of its own (`machines/fulfilment.yaml`), named by the key it was made with. In the documented
order a card is drawn, then its owner is told to the provider, and only then does it carry value. Names and addresses
are kept nowhere, so whoever has them gives them in the call that passes them on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tallystick.books.base import BaseBooks
from tallystick.books.holding import Amount, step_key
from tallystick.books.occurred import dated
from tallystick.books.views import Card, Sale, card_view
from tallystick.engine.receipt import Command, Receipt
from tallystick.errors import Invalid
from tallystick.store.rows import stamp

Person = Mapping[str, str]  # first_name, last_name, email, phone, address1, address2, city, region, postal, country


class Selling(BaseBooks):
    """Verbs that bring a card into a customer's hands."""

    def card(self, card: str) -> Card:
        """A card by id, as our books know it. Raises NotFound if there is none."""
        found = self._entity("gift_card", card)
        with self.engine.store.reading() as reading:
            return card_view(found, self.engine.numbers, reading)

    @dated
    def sell_electronic(
        self, card: str, amount: Amount, currency: str, *, order: str, key: str, card_set: str | None = None,
        kind: str = "gift", review: bool = False, issue: bool = True, deliver: datetime | None = None,
        due: datetime | None = None, owner: Person | None = None, alternate: Person | None = None,
        giver: Person | None = None, expires: datetime | None = None,
        limits: Mapping[str, Amount | bool] | None = None, by: str | None = None, occurred_at: datetime | None = None,
    ) -> Sale:  # fmt: skip
        """Sell an electronic card: allocate, activate, issue. A `promo` card is given away, not sold.

        With `owner`, `alternate` or `giver`, the provider is told these people before the value is put on. Without
        `issue`, the card has its number and no value: `issue` puts it on, such as after the capture. With `review`, the
        sale waits for `approve`. From `expires` on nothing of the card is spent.

        With `deliver`, the card is the customer's now, with number and PIN, and `run_due` gives it its value that day.
        Until then there are `deliver_on` and `cancel_sale`. With `due`, the whole sale waits for `run_due`:
        nothing is drawn before, so `on_pin` gets the PIN on that day, and no names can be given.
        """
        if deliver is not None and (due is not None or not issue):
            raise Invalid("deliver= says when the value is put on; leave out due= and issue=False")
        if deliver is not None and expires is not None and stamp(expires) <= stamp(deliver):
            raise Invalid(
                "the card would expire before its value is put on; give a later expires= or an earlier deliver="
            )
        named = {"owner": owner, "alternate": alternate, "giver": giver}
        people = {whose: person for whose, person in named.items() if person is not None}
        if people and (review or due):
            raise Invalid(f"{', '.join(people)}: names are not kept until then; register them when the card is drawn")
        facts = {"card_set": card_set, "kind": kind, "expires": expires, **(limits or {})}
        step = "review" if review else "allocate"
        first = self._command("fulfilment", key, step, {}, step_key(key, step), by, due=due)
        told = [
            self._command(
                "gift_card", card, "register", {**person, "order": order, **_as(whose)}, step_key(key, whose), by
            )
            for whose, person in people.items()
        ]
        last = self._command("fulfilment", key, "issue", {}, step_key(key, "issue"), by)
        later = [*told, last] if told and issue else told
        puts_on: dict[str, object] = {"issue_later": True} if told or not issue else {}
        if deliver is not None:
            later, puts_on = told, {"deliver": deliver}
        receipt = self._line(card, "electronic", amount, currency, order, key, facts, by, puts_on, first, *later)
        return self._sold(card, receipt)

    @dated
    def ship_physical(
        self, card: str, number: str | None, amount: Amount, currency: str, *, order: str, key: str,
        kind: str = "gift", pin: str | None = None, review: bool = False, expires: datetime | None = None,
        limits: Mapping[str, Amount | bool] | None = None, by: str | None = None, occurred_at: datetime | None = None,
    ) -> Sale:  # fmt: skip
        """Sell a physical card when it ships, with the number scanned: activate, issue. The provider checks a `pin`.

        With `review`, the sale waits for `approve`. If the number was scanned by then, it ships with the approval.
        Otherwise say it again with the number and without `review`.
        """
        if review and pin is not None:
            raise Invalid("a PIN is not kept until the review is over; give it when the card ships")
        facts = {"kind": kind, "expires": expires, **(limits or {})}
        step = "review" if review else "ship" if pin is None else "ship_with_pin"
        first = self._command("fulfilment", key, step, {"number": number, "pin": pin}, step_key(key, step), by)
        return self._sold(card, self._line(card, "physical", amount, currency, order, key, facts, by, {}, first))

    @dated
    def credit_to_new(
        self, card: str, amount: Amount, currency: str, *, order: str, key: str, card_set: str | None = None,
        review: bool = False, owner: Person | None = None, by: str | None = None, occurred_at: datetime | None = None,
    ) -> Sale:  # fmt: skip
        """Give merchandise credit on a new electronic card for what came back, however the `order` was paid.

        What a gift card has paid, `refund`, `refund_to` and `refund_to_new` give back: they know what was earned.
        """
        return self.sell_electronic(
            card, amount, currency, order=order, key=key, card_set=card_set, kind="merchandise_credit", review=review,
            owner=owner, by=by,
        )  # fmt: skip

    @dated
    def credit(
        self, card: str, amount: Amount, *, key: str, order: str | None = None, by: str | None = None,
        reason: str | None = None, occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Give credit for what came back on a card that is in use."""
        args = {"amount": amount, "order": order}
        return self._do("gift_card", card, "credit", args, key, by, reason, connection=connection)

    @dated
    def approve(
        self, sale: str, *, key: str, by: str, reason: str | None = None, occurred_at: datetime | None = None
    ) -> Sale:
        """Approve a sale under review (named by the key it was made with); an electronic card is drawn at once."""
        line = self._entity("fulfilment", sale)
        approve = self._command("fulfilment", sale, "approve", {}, key, by, reason)
        return self._sold(str(line.facts["card"]), self._give_all(approve))

    @dated
    def reject(
        self, sale: str, *, key: str, by: str, reason: str | None = None, occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Reject a sale under review; nothing is ever put on its card."""
        return self._do("fulfilment", sale, "reject", {}, key, by, reason, connection=connection)

    @dated
    def deliver_on(
        self, sale: str, day: datetime | None, *, key: str, by: str | None = None, reason: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Give a sale another day of delivery; one that has passed is at once.

        With None it waits until somebody says `issue`, or gives it a day again: such as while a person looks at it.
        """
        return self._do("fulfilment", sale, "deliver_on", {"day": day}, key, by, reason, connection=connection)

    @dated
    def cancel_sale(
        self, sale: str, *, key: str, by: str | None = None, reason: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Call off a sale whose value is not put on yet; nothing ever is then, and its card stays empty."""
        return self._do("fulfilment", sale, "cancel", {}, key, by, reason, connection=connection)

    @dated
    def issue(
        self, sale: str, *, key: str, by: str | None = None, occurred_at: datetime | None = None, connection: Any = None
    ) -> Receipt:
        """Put the value on the card of a sale that was made without `issue`."""
        return self._do("fulfilment", sale, "issue", {}, key, by, connection=connection)

    @dated
    def reload(
        self, card: str, amount: Amount, *, key: str, order: str | None = None, by: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Add value to an issued gift card."""
        return self._do("gift_card", card, "reload", {"amount": amount, "order": order}, key, by, connection=connection)

    @dated
    def register(
        self, card: str, owner: Person | None = None, *, key: str, alternate: bool = False, giver: bool = False,
        enrolls: bool = False, custom_number: str | None = None, custom_data: str | None = None,
        opt_ins: Mapping[str, bool] | None = None, order: str | None = None, by: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Tell the provider whose card it is: `first_name`, `email`, `city`, …; our books keep none of it.

        So after a lost answer only the caller can say it again. `alternate`, `giver`: the person is not the owner, but
        another one, or who has paid. `custom_number`, `custom_data`: a number and a text of your own, for the provider
        to keep. `opt_ins`: who may write to the owner, such as `{"email": True}`.
        """
        wanted = opt_ins or {}
        args = {
            **(owner or {}), "alternate": alternate, "giver": giver, "enrolls": enrolls, "custom_number": custom_number,
            "custom_data": custom_data, "opts_in": _listed(wanted, True), "opts_out": _listed(wanted, False),
            "order": order,
        }  # fmt: skip
        return self._do("gift_card", card, "register", args, key, by, connection=connection)

    # Inside

    def _line(
        self, card: str, form: str, amount: Amount, currency: str, order: str, key: str, facts: Mapping[str, object],
        by: str | None, puts_on: Mapping[str, object], *steps: Command,
    ) -> Receipt:  # fmt: skip
        """The card and the order line that sells it, and the line's first steps. `puts_on`: when it gets its value.

        If the value is put on later, that is asked about now all the same: a card that cannot carry it is not drawn.
        """
        facts = {"form": form, "currency": currency, **facts}
        line = {"order": order, "card": card, "form": form, "amount": amount, "currency": currency}
        blank = self._command("gift_card", card, "create", facts, step_key(key, "card"), by)
        made = step_key(key, "line")
        later = bool(puts_on) or steps[0].command == "review"
        if form == "electronic" and later and self.engine.seen(made) is None:
            allocate = self._command("fulfilment", key, "allocate", {}, step_key(key, "allocate"), by)
            self._ask(blank, self._command("fulfilment", key, "create", line, made, by), allocate)
        line_now = self._command("fulfilment", key, "create", {**line, **puts_on}, made, by)
        return self._give_all(blank, line_now, *steps)

    def _sold(self, card: str, receipt: Receipt) -> Sale:
        """What the customer gets, as far as the line has gone."""
        with self._drawn(receipt.drawn) as pin:
            for each in self._own_steps(receipt):
                each.or_raise()
        return self._sale(card, receipt.last, pin)

    def _sale(self, card: str, receipt: Receipt, pin: str | None) -> Sale:
        return Sale(card, receipt, card_view(self._entity("gift_card", card), self.engine.numbers).number, pin)


def _as(whose: str) -> dict[str, object]:
    """The flag that says who the person is; the owner has none."""
    return {} if whose == "owner" else {whose: True}


def _listed(opt_ins: Mapping[str, bool], wanted: bool) -> str | None:
    """The names with this answer, in one text."""
    return ", ".join(name for name, answer in opt_ins.items() if answer is wanted) or None

"""Cards get lost: they are suspended, found again, or replaced by a new one; and value moves from card to card."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tallystick.books.holding import Amount, step_key
from tallystick.books.limits import LIMITS
from tallystick.books.occurred import dated
from tallystick.books.selling import Selling
from tallystick.books.views import MOVED, Sale
from tallystick.core.arguments import in_minor_units
from tallystick.engine.receipt import Receipt
from tallystick.errors import Invalid
from tallystick.masks import quoted
from tallystick.money import Money


class Replacing(Selling):
    """Verbs that stop a card, and that move what is on it."""

    @dated
    def suspend(
        self, card: str, *, key: str, order: str | None = None, by: str | None = None, reason: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Let nothing be spent from a card, with all its balances. What is held may still be earned.

        Nothing new can be held on it. So a partial shipment keeps the rest held only if the provider can keep it
        (`settle`, `keep_hold`). Otherwise the rest is uncovered afterwards, and its advanced hold is refused.
        """
        return self._do("gift_card", card, "suspend", {"order": order}, key, by, reason, connection=connection)

    @dated
    def reinstate(
        self, card: str, *, key: str, order: str | None = None, by: str | None = None, reason: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Put a suspended card, with every balance on it, back to where it was."""
        return self._do("gift_card", card, "reinstate", {"order": order}, key, by, reason, connection=connection)

    @dated
    def replace(
        self, card: str, new: str, *, key: str, number: str | None = None, card_set: str | None = None,
        order: str | None = None, by: str | None = None, reason: str | None = None, occurred_at: datetime | None = None,
    ) -> Sale:  # fmt: skip
        """Move what is on a card to a new one: electronic, or physical if its `number` is given.

        The old card is suspended first. What is available moves at once. What orders hold stays held for them, until
        they ship or give it back. What they give back follows to the new card by itself, with `run_due`.
        """
        if card == new:
            raise Invalid(f"card {quoted(card)} cannot replace itself; name a new card")
        old, steps = self._entity("gift_card", card), []
        if old.state not in ("suspended", "replaced") and self.engine.seen(step_key(key, "create")) is None:
            steps.append(
                self._command("gift_card", card, "suspend", {"order": order}, step_key(key, "suspend"), by, reason)
            )
        form = "physical" if number else "electronic"
        if number is None and self.engine.seen(step_key(key, "card")) is None and self._has_replaced(card, new):
            form = "in_use"
        else:
            like = in_minor_units({name: old.facts.get(name) for name in ("kind", "expires", *LIMITS)})
            blank = {"form": form, "card_set": card_set, "currency": old.currency, **like}
            steps.append(self._command("gift_card", new, "create", blank, step_key(key, "card"), by))
        facts = {"old": card, "new": new, "form": form, "currency": old.currency, "order": order}
        steps.append(self._command("replacement", key, "create", facts, step_key(key, "create"), by))
        begun = self.engine.seen(step_key(key, "replace"))  # said again, it is about the amount of then
        amount = begun["amount"] if begun else self.card(card).available
        steps.append(
            self._command("replacement", key, "replace", {"amount": amount}, step_key(key, "replace"), by, reason)
        )
        if form == "physical":
            activate = {"number": number}
            steps.append(self._command("replacement", key, "activate", activate, step_key(key, "activate"), by, reason))
        receipt = self._give_all(*steps)
        with self._drawn(receipt.drawn) as pin:
            for each in self._own_steps(receipt):
                if each.command != "retire":  # that waits as long as an order holds something on the old card
                    each.or_raise()
        return self._sale(new, receipt.last, pin)

    @dated
    def undo_replacement(
        self, replacement: str, *, key: str, order: str | None = None, by: str | None = None, reason: str | None = None,
        occurred_at: datetime | None = None,
    ) -> Receipt:  # fmt: skip
        """The old card is found: undo a `replace`, named by its key, as long as the old card is not retired.

        The old card is reinstated with what never left it. What is free on the new card goes back to it, what orders
        hold there follows, and the new card is retired; what it has paid stays paid. A new card with nothing on it yet
        stays empty.

        Raises:
            Refused: the old card is retired, or orders hold all that is on the new one; nothing was changed.
        """
        done = self._entity("replacement", replacement)
        old, new = (self._entity("gift_card", str(done.facts[name])) for name in ("old", "new"))
        made, first = step_key(key, "create"), step_key(key, "replace")
        steps = [self._command("replacement", replacement, "cancel", {}, step_key(key, "cancel"), by, reason)]
        steps.append(self._command("gift_card", old.id, "reinstate", {"order": order}, step_key(key, "reinstate"), by))
        carries = done.state == "following" or new.state in ("issued", "suspended")
        if carries or self.engine.seen(made) is not None:
            facts = {"old": new.id, "new": old.id, "form": "in_use", "currency": old.currency, "order": order}
            steps.insert(0, self._command("replacement", key, "create", facts, made, by))
            stop = step_key(key, "suspend")
            if new.state not in ("suspended", "replaced") or self.engine.seen(stop) is not None:
                steps.append(self._command("gift_card", new.id, "suspend", {"order": order}, stop, by, reason))
            begun = self.engine.seen(first) or {}  # said again, it is about the amount of then
            amount = begun.get("amount", Money(new.accounts["available"], new.currency))
            steps.append(self._command("replacement", key, "replace", {"amount": amount}, first, by, reason))
        receipt = self._give_all(*steps)
        for each in self._own_steps(receipt):
            if each.command != "retire":  # that waits as long as an order holds something on the new card
                each.or_raise()
        return receipt

    @dated
    def move(
        self, card: str, to: str, amount: Amount | None = None, *, key: str, order: str | None = None,
        by: str | None = None, reason: str | None = None, occurred_at: datetime | None = None,
    ) -> Receipt:  # fmt: skip
        """Move an amount, or all that is available, to another card in use, of the same kind, currency and expiry.

        Both stay in use, and what orders hold stays where it is. The value is never on both, and never lost: while it
        is on its way, it stands on `replacement` with this key. `cancel` of that brings back what the other card did
        not take.

        Raises:
            Refused: one of the cards says no, such as for its kind or its limit; nothing was changed.
        """
        made, first = step_key(key, "create"), step_key(key, "move")
        begun = self.engine.seen(first) or {}  # said again, it is about the amount of then
        gives = self.card(card)
        wanted = begun.get("amount", gives.available if amount is None else amount)
        facts = {"old": card, "new": to, "form": "in_use", "currency": gives.currency, "order": order}
        args = {"amount": wanted, "like": gives.kind, "dated": begun.get("dated") if begun else gives.expires}
        receipt = self._give_all(
            self._command("replacement", key, "create", facts, made, by),
            self._command("replacement", key, "move", args, first, by, reason),
        )
        for each in self._own_steps(receipt):
            each.or_raise()
        return receipt

    def _has_replaced(self, card: str, new: str) -> bool:
        """Whether value of the card went to this new one before, or to one that was replaced by it in turn.

        Any other card in use may be somebody else's.
        """
        followed, wanted = set[str](), [card]
        with self.engine.store.reading() as reading:
            while wanted:
                followed.add(before := wanted.pop())
                moved = [each for each in reading.linked("replacement", "old", before) if each.state in MOVED]
                wanted += [id for each in moved if (id := str(each.facts["new"])) not in followed]
        return new in followed

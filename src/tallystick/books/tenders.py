"""Several cards pay for one order: a tender, whose parts are payments.

The page `tender` says what follows what: each part is held, and if one says no, all are given back. Here is only which
command is given, how an amount is shared over the parts, and what is said of the tender. That is always what its parts
are now, never what a receipt said then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from tallystick.books.holding import PAYMENT, Amount, Holding, short_approval, short_key
from tallystick.books.occurred import dated
from tallystick.books.shares import How, shared
from tallystick.books.views import Payment, Plan, Tender, payment_view, tender_view
from tallystick.core import arguments
from tallystick.core.entity import CREATE, Entity
from tallystick.core.refusal import Code
from tallystick.definition.expression import Type
from tallystick.engine.receipt import (
    LONGEST_NAME,
    Command,
    Ended,
    GivenBack,
    InDoubt,
    Receipt,
    ShortApproval,
    Unfinished,
)
from tallystick.errors import Invalid
from tallystick.money import Money

TENDER = "tender"
GONE = ("giving_back", "given_back")
HELD = ("active", "closing", "paid")  # all parts were held, whatever became of them since
ATTEMPTS = 5  # to find ids that nobody else takes at the same moment


class Tenders(Holding):
    """Verbs about all cards of an order."""

    def tender(self, tender: str) -> Tender:
        """A tender by id, as its parts are now. Raises NotFound if there is none."""
        found = self._entity(TENDER, tender)
        with self.engine.store.reading() as reading:
            parts = {each.id: each for each in reading.linked(PAYMENT, "tender", tender)}
            entries = [each for each in reading.journal(TENDER, tender) if each.command == "authorize"]
        first = [id for entry in entries for id, _ in json.loads(entry.args)["shares"]]  # in the order of the plan
        return tender_view(found, [parts[id] for id in dict.fromkeys([*first, *sorted(parts)])])

    def tenders(self, order: str) -> list[Tender]:
        """The tenders of an order, in the order of their ids."""
        return [self.tender(each.id) for each in self._of_order(TENDER, order)]

    def payments(self, order: str) -> list[Payment]:
        """All payments of an order, in the order of their ids; those of its tenders are among them."""
        return [payment_view(each) for each in self._of_order(PAYMENT, order)]

    @dated
    def authorize_all(
        self, plan: Plan, *, order: str, key: str, pins: Mapping[str, str] | None = None,
        allow_partial: bool = False, until: datetime | None = None, by: str | None = None,
        occurred_at: datetime | None = None,
    ) -> Tender:  # fmt: skip
        """Hold every part of a plan, or none. With `allow_partial`, as much as there is.

        `until`: if nothing was shipped by then, `run_due` gives every part back. The first `settle_all` takes that date
        away from all parts.

        All cards are asked before the first part is held. If a card says no all the same, what was held is given back,
        and the card's answer is raised. While one answer is in doubt the others stay held, because it may have been
        done: `recover`, then say it again. `pins`: by the id of the card.

        Raises:
            Refused: a card would refuse its part; nothing was changed.
            Declined, Unavailable, ShortApproval: a card's provider said no, was not there, or approved less; nothing
            is held any more, or the sentence says what waits to be given back.
            InDoubt: the answer for a part, or for giving one back, is not known yet; its sentence says what is held.
            GivenBack: what this key held was given back since; a new key holds anew.
        """
        amounts: dict[str, Money] = {}
        for card, amount in plan.parts:
            amounts[card] = amounts[card] + amount if card in amounts else amount
        if not amounts:
            raise Invalid("the plan has no part: no card carries anything of the amount")
        for _ in range(ATTEMPTS):  # another checkout of the order may take the same ids at this moment
            authorize, creates = self._authorizing(amounts, order, key, pins or {}, allow_partial, until, by)
            tender, gone = authorize.id, self._state(authorize.id) in GONE
            if self._dry or self.engine.seen(key) is None:
                self._ask(*creates, authorize)
            receipt = self.engine.join([*creates, authorize], None)
            if receipt.refusal is None or receipt.refusal.code is not Code.EXISTS_ALREADY:
                break
        receipt = self.engine.queue.follow(receipt.or_raise(), authorize.secrets)
        return self._authorized(tender, receipt, gone=gone, whole=not allow_partial)

    def _authorizing(
        self, amounts: Mapping[str, Money], order: str, key: str, pins: Mapping[str, str], allow_partial: bool,
        until: datetime | None, by: str | None,
    ) -> tuple[Command, list[Command]]:  # fmt: skip
        """The command that holds all parts, and those that make the tender and its payments."""
        requested = sum(amounts.values(), Money.zero(next(iter(amounts.values())).currency))
        arguments.value("authorize_all(order=…)", Type("text"), order, requested.currency)
        made = short_key(key, "tender")
        tender = self._free_id(TENDER, order, made)
        facts = {"order": order, "requested": requested, "currency": requested.currency, "allow_partial": allow_partial}
        commands = [self._command(TENDER, tender, CREATE, facts, made, by)]
        secrets: dict[str, dict[str, str]] = {}
        shares: dict[str, Money] = {}
        for card, amount in amounts.items():
            create = short_key(f"{key}/{card}", "part")
            id = self._free_id(PAYMENT, f"{order}/{card}", create)
            part = self._part("authorize", id, card, amount, order, key, None, allow_partial, by,
                              create=create, tender=tender)  # fmt: skip
            commands.append(part.create)
            shares[id] = amount
            if pins.get(card):
                pin = arguments.value(
                    f"authorize_all(pins={{{card!r}: …}})", Type("secret"), pins[card], amount.currency
                )
                secrets[id] = {"pin": str(pin)}
        authorize = self._command(TENDER, tender, "authorize", {"shares": shares, "until": until}, key, by)
        return attrs.evolve(authorize, secrets=secrets), commands

    def _free_id(self, machine: str, wanted: str, key: str) -> str:
        """The id of what this key has made, or one that is free: an order may be paid twice, and by one card twice."""
        with self.engine.store.reading() as reading:
            found = reading.keyed([key])
            if key in found:
                return found[key].entity
            number, id = 1, wanted
            while id.isprintable() and reading.entity(machine, id[:LONGEST_NAME]) is not None:
                number += 1
                id = f"{wanted[: LONGEST_NAME - 10]}/{number}"
        return id[:LONGEST_NAME]

    @dated
    def settle_all(
        self, tender: str, amount: Amount, *, key: str, last: bool = False, how: How = "first",
        keep_hold: bool | None = None, invoice: str | None = None, due: datetime | None = None, by: str | None = None,
        occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """A shipment: earn an amount over the cards, in order. `last`: what is left on any of them goes back.

        `how`: "first" takes from the cards in order, "last" from the end, "ratio" from each its share of what is held.
        `keep_hold` as for `settle`.

        Raises:
            InDoubt: the answer for a part is not known yet.
            Unfinished: not every part is done: it waits for the provider, or for a person.
        """
        args = {"amount": amount, "last": last, "keep_hold": keep_hold, "invoice": invoice}
        return self._share(tender, "settle", ("held",), amount, how, args, key, by, due=due, connection=connection)

    @dated
    def refund_all(
        self, tender: str, amount: Amount, *, key: str, how: How = "last", by: str | None = None,
        reason: str | None = None, occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Give an amount that was earned back to the cards that paid; `how` as for `settle_all`."""
        args = {"amount": amount}
        return self._share(tender, "refund", ("redeemed",), amount, how, args, key, by, reason, connection=connection)

    @dated
    def reduce_all(
        self, tender: str, amount: Amount, *, key: str, how: How = "last", release_part: bool | None = None,
        by: str | None = None, reason: str | None = None, occurred_at: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """The order wants this much less of its cards, before or after a shipment. What stays wanted stays held.

        What is uncovered on any card goes first; then `how`, as for `settle_all`. `release_part` as for `reduce`. More
        is one more part: `authorize(…, tender=…)`.
        """
        args = {"amount": amount, "release_part": release_part}
        return self._share(tender, "reduce", ("uncovered", "held"), amount, how, args, key, by, reason,
                           connection=connection)  # fmt: skip

    @dated
    def cancel_all(
        self,
        tender: str,
        *,
        key: str,
        by: str | None = None,
        reason: str | None = None,
        occurred_at: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:
        """Give back whatever its parts still hold; what was earned stays earned."""
        return self._over(tender, "cancel", {}, key, by, reason, connection=connection)

    @dated
    def exchange(
        self, payment: str, card: str, *, key: str, pin: str | None = None, by: str | None = None,
        occurred_at: datetime | None = None,
    ) -> Tender:  # fmt: skip
        """Hold on another card what a part of a tender holds, and give that part back then.

        Said again with its key, it goes on where it stopped: meanwhile both may be held, never none.
        """
        old = self._entity(PAYMENT, payment)
        tender = old.facts.get("tender")
        if tender is None:
            raise Invalid(f"payment {payment!r} is no part of a tender")
        new, begun = (
            self._free_id(PAYMENT, f"{old.facts['order']}/{card}", short_key(key, "part")),
            self.engine.seen(key),
        )
        amount = Money(int(str((begun or {}).get("amount", old.accounts["held"]))), old.currency)
        part = self._part("authorize", new, card, amount, str(old.facts["order"]), key, pin, False, by,
                          create=short_key(key, "part"), tender=str(tender))  # fmt: skip
        cancel = self._command(PAYMENT, payment, "cancel", {}, short_key(key, "cancel"), by, f"in its place: {new}")
        if self._dry or "amount" not in (begun or {}):
            self._ask(part.create, part.take, cancel)
        self._take(part, None)
        self._give_all(cancel)
        return self.tender(str(tender))

    def send(self, receipt: Receipt, *, pin: str | None = None) -> Receipt:
        sent = super().send(receipt, pin=pin)
        return self._finished(sent) if sent.machine == TENDER else sent

    send.__doc__ = Holding.send.__doc__

    # Inside

    def _of_order(self, machine: str, order: str) -> list[Entity]:
        if not isinstance(order, str) or not order.isprintable():
            return []  # nothing else was ever an order
        with self.engine.store.reading() as reading:
            found = reading.linked(machine, "order", order)
        return sorted(found, key=lambda each: (len(each.id), each.id))

    def _state(self, tender: str) -> str | None:
        with self.engine.store.reading() as reading:
            found = reading.entity(TENDER, tender)
        return found.state if found is not None else None

    def _authorized(self, tender: str, receipt: Receipt, *, gone: bool, whole: bool) -> Tender:
        """The tender as it is now, or what became of it. `gone`: it was given back before this was said."""
        found = self.tender(tender)
        if found.state in HELD or (gone and any(part.redeemed.minor for part in found.parts)):
            there = found.approved + sum((part.in_doubt for part in found.parts), Money.zero(found.currency))
            if not there.minor or (whole and there < found.requested and found.state != "closing"):
                raise GivenBack(self._gone(receipt, found))
            return found
        parts = [each for each in receipt.followed if each.machine == PAYMENT]
        held = [each for each in parts if each.command == "authorize"]
        back = [each for each in receipt.followed if each.machine == PAYMENT and each.command == "cancel"]
        doubts = [each for each in (back or held) if each.result is Ended.IN_DOUBT]
        if found.state == "authorizing":
            stay = [part.id for part in found.parts if part.held.minor]
            if not doubts:  # another caller is at it with the same key
                open_ = [part.id for part in found.parts if part.state == "requested"]
                asked = f"{', '.join(open_)} have no answer yet" if open_ else "what follows is not done yet"
                why = f"tender {found.id!r} is still being held: {asked}; say it again"
                raise InDoubt(attrs.evolve(receipt, result=Ended.IN_DOUBT, state=found.state, why=why))
            meanwhile = f"; {', '.join(stay)} stay{'s' * (len(stay) == 1)} held until that is known" if stay else ""
            raise InDoubt(attrs.evolve(doubts[0], why=doubts[0].why + meanwhile))
        if gone:
            raise GivenBack(self._gone(receipt, found))
        cause = next((each for each in held if not each.applied), None) or next(
            (each for each in held if any(other.id == each.id for other in each.followed)), held[0]
        )
        short = cause.applied
        if short:
            cause = attrs.evolve(cause, why=short_approval(cause, self._entity(PAYMENT, cause.id)))
        waits = [each.id for each in back if not each.applied and each.result is not Ended.IN_DOUBT]
        waits = [id for id in waits if any(part.id == id and part.held.minor for part in found.parts)]
        said = f"; giving back {', '.join(waits)} waits for the provider" if waits else ""
        if doubts and back:
            calls = ", ".join(f"{each.id} (call {each.call})" for each in doubts)
            why = f"{cause.why}; whether it is back is not known of {calls}{said}"
            raise InDoubt(attrs.evolve(doubts[0], why=why))
        cause = attrs.evolve(cause, why=cause.why + said)
        if short:
            raise ShortApproval(cause)
        cause.or_raise()
        raise AssertionError(cause)

    def _gone(self, receipt: Receipt, found: Tender) -> Receipt:
        why = f"what this key held as tender {found.id!r} was given back since; a new key holds anew"
        if found.approved.minor:
            why = f"of what this key held as tender {found.id!r}, {found.remaining} was given back since"
        return attrs.evolve(receipt, result=Ended.REFUSED, state=found.state, why=why, replayed=True)

    def _share(
        self, tender: str, command: str, accounts: tuple[str, ...], amount: Amount, how: How,
        args: Mapping[str, object], key: str, by: str | None, reason: str | None = None, due: datetime | None = None,
        connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Give a command with shares: those that the key named before, or what the parts have now."""
        found = self.tender(tender)
        wanted = Money(arguments.minor(f"{TENDER}.{command}(amount=…)", amount, found.currency), found.currency)
        if wanted.minor <= 0:
            raise Invalid(f"{wanted} cannot be shared; an amount must be more than zero")
        begun = self.engine.seen(key) or {}
        shares = begun.get("shares")
        if shares is None:
            shares = dict[str, Money]()
            for account in accounts:  # of the first as much as there is, then of the next
                left = wanted - sum(shares.values(), Money.zero(wanted.currency))
                for id, share in shared(left, {part.id: getattr(part, account) for part in found.parts}, how).items():
                    shares[id] = shares[id] + share if id in shares else share
            shares = _whole(shares, wanted, found)
        args = {**args, "amount": wanted, "shares": shares}
        return self._over(tender, command, args, key, by, reason, due, connection)

    def _over(
        self, tender: str, command: str, args: Mapping[str, object], key: str, by: str | None,
        reason: str | None = None, due: datetime | None = None, connection: Any = None,
    ) -> Receipt:  # fmt: skip
        """Give a command to a tender, and do what follows for its parts. Raises InDoubt, or Unfinished.

        In the caller's own transaction nothing follows yet: `send` goes on with it.
        """
        return self._finished(self._do(TENDER, tender, command, args, key, by, reason, due, connection))

    def _finished(self, receipt: Receipt) -> Receipt:
        open_ = [each for each in receipt.followed if not each.applied and each.command != "hold_again"]
        open_ = [each for each in open_ if each.machine == PAYMENT] or open_  # the tender only waits for its parts
        for each in open_:
            if each.result is Ended.IN_DOUBT:
                each.or_raise()
        if open_:
            told = "; ".join(f"{each.id} {each.result.value.replace('_', ' ')}: {each.why}" for each in open_)
            raise Unfinished(
                attrs.evolve(
                    receipt, why=f"{receipt.command} of tender {receipt.id!r} is not done for every part: {told}"
                )
            )
        return receipt


def _whole(shares: dict[str, Money], wanted: Money, found: Tender) -> dict[str, Money]:
    """Shares that add up to the amount. What the parts do not have is asked of one, so that the page can say so."""
    missing = wanted - sum(shares.values(), Money.zero(wanted.currency))
    if missing.minor <= 0 or not found.parts:
        return shares
    last = next(reversed(shares), found.parts[0].id)
    return {**shares, last: shares.get(last, Money.zero(wanted.currency)) + missing}

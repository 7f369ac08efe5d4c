"""An order is paid: by gift cards, by a credit card, or by both; all of it, or nothing is taken.

    holding    each gift card is asked for its part. A PIN is needed for that, and nobody keeps it: if this process
               dies, a worker does not ask again. It looks at what is held, and goes on or gives it back
    charging   the credit card pays the rest
    paid       the order may ship
    undoing    a card said no: what was held is given back, and what was taken at once is voided
    failed     nothing is held or taken; the customer may try again, which is a new checkout

A step does its deed, then writes that it is done and what is next: only if nobody else has done so meanwhile. Every
deed has a key of its own, so whoever comes second finds it done.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from order_service import paying
from order_service.database import Shop, later
from order_service.models import Checkout, Line, Order, Transaction
from order_service.paying import Held, No, NotYet
from tallystick import Money, Receipt, Refused


@dataclass(frozen=True)
class Typed:
    """A gift card as the customer types it."""

    number: str
    pin: str | None = None


class UnknownCard(Exception):
    """No gift card has this number."""


def place(
    shop: Shop, order: str, customer: str, prices: Sequence[int], cards: Sequence[Typed] = (), *,
    token: str | None = None, currency: str = "USD",
) -> str:  # fmt: skip
    """Place an order and pay it: gift cards first, in this order, then the credit card. Its state, as far as known.

    Said again with the same id, it is not done again. Raises: UnknownCard.
    """
    with shop.write() as session:
        if session.get(Order, order) is None:
            session.add(new_order(order, customer, prices, token, currency))
    return pay(shop, order, cards, token=token, number=1)


def pay(shop: Shop, order: str, cards: Sequence[Typed] = (), *, token: str | None = None, number: int) -> str:
    """Try to pay an order that is not paid yet. `number` counts the tries: each is a checkout of its own."""
    id = f"{order}/pay-{number}"
    typed = {_card(shop, each): each.pin for each in cards}
    with shop.read() as session:
        found = session.get_one(Order, order)
        total, known = Money(found.total, found.currency), session.get(Checkout, id) is not None
    plan = shop.books.plan(total, list(typed), ask=not known)  # the provider is asked, so not in our transaction
    with shop.write() as session:
        found = session.get_one(Order, order)
        known = session.get(Checkout, id) is not None
        if not known and (found.state == "unpaid" or not found.checkouts):
            parts: list[list[str | int]] = [[card, part.minor] for card, part in plan.parts]
            session.add(_checkout(shop, id, found, parts, plan.remaining.minor, token))
            found.state, found.token, known = "paying", token, True
    if known:  # else an earlier try goes on, and may still pay
        advance(shop, id, {card: pin for card, pin in typed.items() if pin is not None})
    with shop.read() as session:
        return session.get_one(Order, order).state


def buy_at_once(
    shop: Shop, order: str, customer: str, prices: Sequence[int], card: Typed, *, token: str | None = None,
    currency: str = "USD",
) -> str:  # fmt: skip
    """Goods are handed over now: the gift card is redeemed in one step, and the credit card pays the rest.

    Order and redemption are written together. So there is no order without its redemption, and none without its order.
    """
    id, gift, receipt = f"{order}/pay-1", _card(shop, card), None
    with shop.write() as session:
        if session.get(Order, order) is None:
            made = new_order(order, customer, prices, token, currency)
            session.add(made)
            part = min(made.total, shop.books.card(gift).available.minor)
            begun = _checkout(shop, id, made, [[gift, part]] if part else [], made.total - part, token, one_step=True)
            session.add(begun)
            if part:
                receipt = _redeem(shop, session, begun, gift, Money(part, currency), card.pin)
    if receipt is not None:
        try:
            with paying.answers():
                shop.books.send(receipt, pin=card.pin)
        except (NotYet, No) as error:
            _note(shop, id, str(error))
    advance(shop, id)
    with shop.read() as session:
        return session.get_one(Order, order).state


def _redeem(
    shop: Shop, session: Session, checkout: Checkout, card: str, amount: Money, pin: str | None
) -> Receipt | None:
    """The redemption, in the order's own transaction. If the books refuse it, the order stays: it is not paid."""
    session.flush()
    order, key = checkout.order_id, f"{checkout.id}/redeem"
    try:
        return shop.books.redeem(f"{order}/{card}", card, amount, order=order, key=key, pin=pin, connection=session)
    except Refused as refused:
        checkout.why = str(refused)[:500]
        return None


def _card(shop: Shop, typed: Typed) -> str:
    found = shop.books.find(typed.number)
    if found is None:
        raise UnknownCard
    return found.id


def new_order(order: str, customer: str, prices: Sequence[int], token: str | None, currency: str = "USD") -> Order:
    lines = [Line(id=f"{order}-{number}", sku=f"sku-{price}", price=price) for number, price in enumerate(prices, 1)]
    return Order(id=order, customer=customer, currency=currency, token=token, state="paying", lines=lines)


def _checkout(
    shop: Shop, id: str, order: Order, plan: list[list[str | int]], credit: int, token: str | None, *,
    one_step: bool = False,
) -> Checkout:  # fmt: skip
    due = time.time() + shop.lease
    return Checkout(
        id=id, order_id=order.id, one_step=one_step, plan=plan, credit=credit, token=token, state="holding", due=due
    )


# The steps


def advance(shop: Shop, id: str, pins: Mapping[str, str] | None = None) -> None:
    """Go on with a checkout until it has ended, or has to wait. `pins`: only who was given them may hold anything."""
    steps = {"holding": _holding, "charging": _charging, "undoing": _undoing}
    while True:
        with shop.read() as session:
            checkout = session.get_one(Checkout, id)
            step = steps.get(checkout.state)
            assert checkout.order.id  # loaded with it
        if step is None:
            return
        try:
            moved = step(shop, checkout, pins)
        except NotYet as not_yet:
            _note(shop, id, str(not_yet))
            return
        if not moved:  # somebody else was faster, and knows what is next
            return


def _holding(shop: Shop, checkout: Checkout, pins: Mapping[str, str] | None) -> bool:
    held: list[Held] | None
    try:
        held = paying.look(shop.books, checkout) if pins is None else paying.hold(shop.books, checkout, pins)
        why = "" if held is not None else checkout.why or "not all of it was held"
    except No as no:
        held, why = None, str(no)
    with shop.write() as session:
        if _move(session, checkout, "charging" if held is not None else "undoing", why):
            kind = "redemption" if checkout.one_step else "authorization"
            for payment, minor in held or []:
                _closed(session, checkout, f"{payment}/{kind}", payment, kind, minor)
            return True
    if held and _state(shop, checkout.id) in ("undoing", "failed"):  # a worker took over and gave it up
        paying.let_go(shop.books, held)
    return False


def _charging(shop: Shop, checkout: Checkout, _: object) -> bool:
    key = f"{checkout.id}/charge"
    paid = checkout.credit == 0 or shop.credit.charge(key, checkout.token, checkout.credit)
    with shop.write() as session:
        if not _move(session, checkout, "paid" if paid else "undoing", "" if paid else "the credit card was declined"):
            return False
        if paid:
            if checkout.credit:
                _closed(session, checkout, key, key, "charge", checkout.credit)
            order = session.get_one(Order, checkout.order_id)
            order.state = "complete" if checkout.one_step else "paid"
            if checkout.one_step:
                for line in order.lines:
                    line.state = "shipped"
        return True


def _undoing(shop: Shop, checkout: Checkout, _: object) -> bool:
    try:
        paying.give_back(shop.books, checkout.order_id, lambda: _state(shop, checkout.id) == "undoing")
    except No as no:
        raise NotYet(str(no)) from no  # it is the customer's money: a person has to see this
    with shop.write() as session:
        if not _move(session, checkout, "failed", checkout.why):
            return False
        order = session.get_one(Order, checkout.order_id)
        order.state = "unpaid"
        undone = {"authorization": "reversal", "redemption": "void"}
        for each in list(order.transactions):
            if each.type in undone:
                kind = undone[each.type]
                if session.get(Transaction, f"{each.payment}/{kind}") is None:
                    _closed(session, checkout, f"{each.payment}/{kind}", each.payment, kind, each.processed)
        return True


def _state(shop: Shop, checkout: str) -> str:
    with shop.read() as session:
        return session.get_one(Checkout, checkout).state


def forgotten(shop: Shop) -> list[str]:
    """Give back what a process held that was too slow, and died before it could. The payments' ids.

    The books are read first. If an order's tries have ended by then, its rows name all that it still needs.
    """
    found: list[str] = []
    for hold in shop.books.holds_older_than(timedelta(seconds=shop.lease)):
        with shop.read() as session:
            order = session.get(Order, hold.order)
            known = (
                order is None
                or order.state == "paying"
                or any(each.payment == hold.payment for each in order.transactions)
            )
        if not known:
            try:
                paying.let_go(shop.books, [(hold.payment, hold.amount.minor)])
                found.append(hold.payment)
            except (NotYet, No):  # the next round tries it again; it is no reason to leave the others
                continue
    return found


def _move(session: Session, checkout: Checkout, to: str, why: str) -> bool:
    """Write the next state, unless somebody else was faster."""
    row = session.get_one(Checkout, checkout.id)
    if row.state != checkout.state:
        return False
    row.state, row.why, row.tries = to, why[:500], 0
    return True


def _closed(session: Session, checkout: Checkout, id: str, payment: str, kind: str, minor: int) -> None:
    session.add(
        Transaction(id=id, order_id=checkout.order_id, payment=payment, type=kind, requested=minor, processed=minor,
                    state="closed")
    )  # fmt: skip


def _note(shop: Shop, id: str, why: str) -> None:
    with shop.write() as session:
        row = session.get_one(Checkout, id)
        if row.state in ("holding", "charging", "undoing"):
            later(row, why)

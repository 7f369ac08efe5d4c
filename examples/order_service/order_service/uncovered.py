"""After a partial shipment the rest is held again. If the card has less by then, somebody else has to pay.

The credit card on file is charged for what is uncovered. Then one transaction says so everywhere: in the books
(`cover_elsewhere`), in the order, and in the settlements that were to take it from the gift card. Without a credit
card, or if it is declined, the payment stays in `books.stuck()` until a person has spoken with the customer.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from order_service.database import Shop
from order_service.models import Order, Transaction
from order_service.orders import promised
from tallystick import Money, Refused


def cover_all(shop: Shop) -> None:
    """Have everything covered that nobody holds any more."""
    found = shop.books.stuck()
    for each in found.uncovered:
        _cover(shop, each.order, each.payment)
    for given_up in found.queue:
        row = given_up.row
        if row.command == "hold_again" and not shop.books.payment(row.entity).uncovered.minor:
            shop.books.queue.dismiss(row.key, by="order service", reason="the customer pays it in another way")


def _cover(shop: Shop, order: str, payment: str) -> None:
    with shop.write() as session:
        found = session.get(Order, order)
        if found is None or found.token is None:
            return
        before = [each for each in found.transactions if each.id.startswith(f"{payment}/cover-")]
        if any(each.state == "failed" for each in before):
            return
        charge = next((each for each in before if each.state == "asked"), None)
        if charge is None:
            amount, id = shop.books.payment(payment).uncovered.minor, f"{payment}/cover-{len(before) + 1}"
            if not amount:
                return
            charge = Transaction(id=id, order_id=order, payment=id, type="charge", requested=amount, state="asked")
            session.add(charge)
        id, amount, token = charge.id, charge.requested, found.token
    paid = shop.credit.charge(id, token, amount)
    with shop.write() as session:
        charge = session.get_one(Transaction, id)
        if charge.state == "asked":
            charge.state, charge.processed = ("closed", amount) if paid else ("failed", 0)
            if paid:
                _covered(shop, session, charge, payment)


def _covered(shop: Shop, session: Session, charge: Transaction, payment: str) -> None:
    """Write that the credit card pays, or that it gets its money back because the books say no meanwhile."""
    order, amount = charge.order, charge.processed
    session.flush()
    more = {"order_id": order.id, "requested": amount}
    try:
        money = Money(amount, order.currency)
        shop.books.cover_elsewhere(payment, money, key=charge.id, connection=session)
    except Refused:
        order.transactions.append(
            Transaction(id=f"{charge.id}/back", payment=charge.id, type="credit", state="open", **more)
        )
        return
    order.transactions.append(
        Transaction(
            id=f"{charge.id}/reversal", payment=payment, type="reversal", state="closed", processed=amount, **more
        )
    )
    for each in order.transactions:
        too_much = -promised(order, payment)
        waits = (each.payment, each.type, each.state) == (payment, "settlement", "open")
        if waits and too_much > 0 and shop.books.engine.seen(each.id) is None:  # the books have not heard of it
            each.requested -= min(too_much, each.requested)
            if each.requested == 0:
                each.state = "closed"

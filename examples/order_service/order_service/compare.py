"""Every order beside the books, beside the credit gateway, and the books beside the provider.

An order says by its own rows what its cards hold and have paid. The books have written down the same for themselves. At
rest they agree to the cent; every sentence that comes out of here is a difference.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from order_service.database import Shop
from order_service.models import Checkout, LostCard, Order, SoldCard, Transaction
from order_service.orders import charged, charges, earned, gift_payments, promised


def differences(shop: Shop) -> Iterator[str]:
    """What does not agree. Nothing, at rest."""
    with shop.read() as session:
        for order in session.scalars(select(Order)):
            yield from _order(shop, order)
        for sold in session.scalars(select(SoldCard).where(SoldCard.state == "sold")):
            yield from _sold(shop, sold)
        known = {charge for order in session.scalars(select(Order)) for charge in charges(order)}
    for charge in shop.credit.charges() - known:
        yield f"the credit gateway has a charge that no order knows: {charge}"
    yield from (f"verify: {finding}" for finding in shop.books.verify().findings)
    if not shop.books.engine.provider.local:
        yield from (f"reconcile: {finding}" for finding in shop.books.reconcile().findings)


def unfinished(shop: Shop) -> list[str]:
    """What has not ended yet. An order that waits for its customer is no such thing, nor is a lost card in it."""
    open_rows: list[str] = []
    with shop.read() as session:
        for kind, states in ((Checkout, ("holding", "charging", "undoing")), (Transaction, ("open", "asked")),
                             (LostCard, ("open",)), (SoldCard, ("open",))):  # fmt: skip
            rows = session.execute(select(kind.id, kind.state, kind.why).where(kind.state.in_(states)))
            open_rows += [f"{id} is {state}: {why}" for id, state, why in rows]
    waiting = shop.books.waiting()
    open_rows += [f"call {each.row.id} of {each.row.entity}: {each.why}" for each in waiting.calls]
    open_rows += [f"{each.row.key}: {each.why}" for each in waiting.queue if each.row.command != "retire"]
    return open_rows


def _order(shop: Shop, order: Order) -> Iterator[str]:
    ours = set(gift_payments(order))
    for payment in shop.books.payments(order.id):
        theirs = (payment.held + payment.uncovered).minor, payment.redeemed.minor, payment.in_doubt.minor
        mine = promised(order, payment.id), earned(order, payment.id), 0
        if payment.id not in ours:
            mine = 0, 0, 0
        if theirs != mine:
            names = "held, earned, in doubt"
            yield f"order {order.id}, payment {payment.id}: {names} are {theirs} in the books, {mine} in the order"
        ours.discard(payment.id)
    for missing in ours:
        yield f"order {order.id}: the books do not know its payment {missing}"
    for charge in charges(order):
        if shop.credit.net(charge) != charged(order, charge):
            yield f"order {order.id}, charge {charge}: {shop.credit.net(charge)} taken, {charged(order, charge)} known"
    gifts = gift_payments(order)
    paid = sum(earned(order, each) for each in gifts) + sum(charged(order, each) for each in charges(order))
    paid += sum(promised(order, each) for each in gifts)
    value = {"paid": ("open", "shipped"), "complete": ("shipped",), "cancelled": (), "unpaid": (), "paying": ()}
    worth = sum(line.price for line in order.lines if line.state in value[order.state])
    if paid != worth:
        yield f"order {order.id} is {order.state}: its goods are worth {worth}, and {paid} is paid or promised for them"
    for failed in order.transactions:
        if failed.state == "failed" and failed.type != "charge":
            yield f"order {order.id}: {failed.id} failed: {failed.why}"


def _sold(shop: Shop, sold: SoldCard) -> Iterator[str]:
    issued = [
        move.amount.minor
        for entry in shop.books.history("gift_card", sold.id)
        for move in entry.moves
        if entry.command == "issue" and move.target == "available"
    ]
    if issued != [sold.amount]:
        yield f"card {sold.id} was sold with {sold.amount}, and {issued} was put on it"

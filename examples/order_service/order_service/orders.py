"""What happens to a paid order: goods ship, the rest is cancelled, a line comes back.

    ship        the shipment and its settlements are written down, and a scheduled job settles them      later
    cancel      the order and the giving back are one transaction: the order learns at once if the
                books say no, because a shipment is being settled just now                               with the order
    take_back   so is a refund; to a lost card it goes as merchandise credit on a new one                with the order

Gift cards pay first, in the order in which they were given, and what they cannot pay the credit card has paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from order_service import paying
from order_service.database import Shop, later
from order_service.models import Line, LostCard, Order, Transaction
from order_service.paying import No, NotYet
from tallystick import Money, Receipt, Refused

GIFT = ("authorization", "redemption")


class NotNow(Exception):
    """The order cannot do this at the moment, and nothing was changed."""


# How the money of an order stands, by its own transactions


def promised(order: Order, payment: str) -> int:
    """What a gift card still owes to shipments that were not written down yet."""
    return _sum(order, payment, {"authorization": 1, "settlement": -1, "reversal": -1})


def earned(order: Order, payment: str) -> int:
    """What a gift card has paid, or will have when open settlements are done; less what was refunded."""
    return _sum(order, payment, {"redemption": 1, "settlement": 1, "refund": -1, "void": -1})


def charged(order: Order, charge: str) -> int:
    """What the credit card has paid by this charge, less what was given back."""
    return _sum(order, charge, {"charge": 1, "credit": -1})


def _sum(order: Order, payment: str, signs: dict[str, int]) -> int:
    return sum(
        signs.get(each.type, 0) * (each.requested if each.state == "open" else each.processed)
        for each in order.transactions
        if each.payment == payment
    )


def gift_payments(order: Order) -> list[str]:
    return [each.payment for each in order.transactions if each.type in GIFT]


def charges(order: Order) -> list[str]:
    return [each.payment for each in order.transactions if each.type == "charge"]


# What happens


def ship(shop: Shop, order: str, lines: Iterable[str]) -> None:
    """Goods have left the house. Said again, it is not done again. Raises: NotNow."""
    with shop.write() as session:
        found = session.get_one(Order, order)
        going = [session.get_one(Line, each) for each in lines]
        if all(line.state in ("shipped", "returned") for line in going):
            return
        if found.state != "paid" or any(line.state != "open" for line in going):
            raise NotNow(f"order {order} is {found.state}")
        for line in going:
            line.state = "shipped"
        amount, name = sum(line.price for line in going), going[0].id
        for payment in gift_payments(found):
            part = min(promised(found, payment), amount)
            if part:
                amount -= part
                _add(session, found, f"{payment}/{name}/settlement", payment, "settlement", part)
        _completed(found)


def cancel(shop: Shop, order: str) -> None:
    """Cancel what has not shipped. Said again, it is not done again. Raises: NotNow."""
    with shop.write() as session:
        found = session.get_one(Order, order)
        if found.state in ("cancelled", "complete"):
            return
        if found.state != "paid" or any(each.state == "open" for each in found.transactions):
            raise NotNow(f"order {order} is {found.state}, or a shipment of it is being settled")
        value = sum(line.price for line in found.lines if line.state == "open")
        given: list[tuple[str, str, int]] = []
        for payment in gift_payments(found):
            part = promised(found, payment)
            if part:
                value -= part
                given.append((f"{payment}/reversal", payment, part))
        for line in found.lines:
            line.state = "cancelled" if line.state == "open" else line.state
        found.state = "complete" if any(line.state == "shipped" for line in found.lines) else "cancelled"
        _credit(session, found, f"{order}/cancelled", value)
        receipts = list(_with_the_order(shop, session, found, given, "reversal"))
    _send(shop, receipts)


def take_back(shop: Shop, line: str) -> None:
    """A line that has shipped comes back and is refunded. Said again, it is not done again. Raises: NotNow."""
    with shop.write() as session:
        found = session.get_one(Line, line)
        if found.state == "returned":
            return
        order = session.get_one(Order, found.order_id)
        if found.state != "shipped" or any(each.state == "open" for each in order.transactions):
            raise NotNow(f"line {line} is {found.state}, or a shipment of its order is being settled")
        found.state, value = "returned", found.price
        given: list[tuple[str, str, int]] = []
        for payment in gift_payments(order):
            part = min(earned(order, payment), value)
            if part:
                value -= part
                if _is_lost(shop, session, payment):
                    id = f"{payment}/{line}/refund"
                    _add(session, order, id, payment, "refund", part, f"credit/{id}")
                else:
                    given.append((f"{payment}/{line}/refund", payment, part))
        _credit(session, order, f"{line}/returned", value)
        receipts = list(_with_the_order(shop, session, order, given, "refund"))
    _send(shop, receipts)


def _with_the_order(
    shop: Shop, session: Session, order: Order, given: list[tuple[str, str, int]], kind: str
) -> Iterator[Receipt]:
    """The books join the order's transaction. A refusal undoes all of it."""
    session.flush()
    for id, payment, minor in given:
        try:
            if kind == "reversal":
                receipt = shop.books.cancel(payment, key=id, connection=session)
            else:
                amount = Money(minor, order.currency)
                receipt = shop.books.refund(payment, amount, key=id, connection=session)
        except Refused as refused:
            raise NotNow(str(refused)) from refused
        row = _add(session, order, id, payment, kind, minor)
        if receipt.applied:
            row.state, row.processed = "closed", minor
        yield receipt


def _send(shop: Shop, receipts: Iterable[Receipt]) -> None:
    """Ask the provider now. If that does not end well, a worker goes on."""
    for receipt in receipts:
        if not receipt.applied:
            perform(shop, receipt.key)


def _add(
    session: Session, order: Order, id: str, payment: str, kind: str, minor: int, to: str | None = None
) -> Transaction:
    row = Transaction(
        id=id, order_id=order.id, payment=payment, type=kind, requested=minor, processed=0, state="open", to=to,
        due=0.0, tries=0, why="",
    )  # fmt: skip
    order.transactions.append(row)
    return row


def _credit(session: Session, order: Order, name: str, minor: int) -> None:
    """The credit card gets an amount back: a worker asks its gateway."""
    for charge in charges(order):
        part = min(charged(order, charge), minor)
        if part:
            minor -= part
            _add(session, order, f"{charge}/{name}", charge, "credit", part)


def _is_lost(shop: Shop, session: Session, payment: str) -> bool:
    card = shop.books.payment(payment).card
    return session.scalar(select(LostCard).where(LostCard.card == card)) is not None


def _completed(order: Order) -> None:
    if all(line.state != "open" for line in order.lines):
        order.state = "complete"


# The scheduled job does one transaction


def perform(shop: Shop, id: str) -> None:
    """Do what an open transaction says, or find that it is done; then write down how it ended."""
    with shop.read() as session:
        asked = session.get_one(Transaction, id)
        currency = asked.order.currency
    if asked.state != "open":
        return
    answer: NotYet | No | None = None
    try:
        _do(shop, asked, Money(asked.requested, currency))
    except (NotYet, No) as error:
        answer = error
    with shop.write() as session:
        row = session.get_one(Transaction, id)
        if (row.state, row.to, row.requested) != ("open", asked.to, asked.requested):
            return  # somebody else has changed it meanwhile, and this is no answer to what it says now
        if answer is None:
            row.state, row.processed, row.why = "closed", row.requested, ""
        elif answer.for_good and row.type == "refund" and row.to is None and _is_lost(shop, session, row.payment):
            row.to, row.due = f"credit/{id}", 0.0  # lost since, so it did not get the refund and never will
        elif isinstance(answer, NotYet):
            later(row, str(answer))
        else:
            row.state, row.why = "failed", str(answer)[:500]


def _do(shop: Shop, row: Transaction, amount: Money) -> None:
    """Raises: NotYet, No."""
    books, key, payment, to = shop.books, row.id, row.payment, row.to
    match row.type:
        case "settlement":
            paying.say(books, lambda: books.settle(payment, amount, key=key))
        case "reversal":
            paying.say(books, lambda: books.cancel(payment, key=key))
        case "refund" if to is None:
            paying.say(books, lambda: books.refund(payment, amount, key=key))
        case "refund":
            paying.say(books, lambda: books.refund_to_new(payment, amount, str(to), key=f"{key}/new").receipt)
        case "credit":
            shop.credit.give_back(key, payment, row.requested)

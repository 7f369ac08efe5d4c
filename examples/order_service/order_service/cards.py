"""Gift cards are sold, and get lost.

electronic   when its order is paid: drawn, activated, loaded. The PIN is mailed the moment it is drawn, because
             nobody keeps it. Key first
physical     when it ships, with the number that the warehouse scans. The number stands nowhere here, so the
             warehouse says it until it is answered. Key first
lost         the card is suspended with the row that says so; a worker moves its value to a new one. What orders
             hold stays where it is. If they give it back later, it is moved then
"""

from __future__ import annotations

from order_service import checkout, paying
from order_service.database import Shop, later
from order_service.models import LostCard, Order, SoldCard
from order_service.paying import No, NotYet
from tallystick import Money, Refused

MOVING = "open", "waiting"  # states of a lost card that is not done; it waits while orders hold some of it


class NotNow(Exception):
    """It cannot be done at the moment, and nothing was changed."""


def sell(shop: Shop, order: str, customer: str, amount: int, form: str, token: str | None, card: str) -> str:
    """Order a gift card, paid by credit card. Said again, it is not done again. The order's state."""
    with shop.write() as session:
        if session.get(SoldCard, card) is None:
            state = "to_scan" if form == "physical" else "open"
            if session.get(Order, order) is None:
                session.add(checkout.new_order(order, customer, [amount], token))
            session.add(SoldCard(id=card, order_id=order, form=form, amount=amount, state=state))
    return checkout.place(shop, order, customer, [amount], token=token)


def fulfil(shop: Shop, card: str, number: str | None = None) -> None:
    """Go on with a sale, once it is paid. `number`: of a physical card, scanned as it ships."""
    with shop.read() as session:
        sold = session.get_one(SoldCard, card)
        order = session.get(Order, sold.order_id)
        currency = order.currency if order else ""
    if order is None or order.state != "paid" or sold.state not in ("open", "to_scan"):
        return
    amount, why = Money(sold.amount, currency), ""
    try:
        with paying.answers():
            if sold.form == "electronic":
                sale = shop.books.sell_electronic(card, amount, currency, order=order.id, key=f"{card}/sale")
            elif number is not None:
                sale = shop.books.ship_physical(card, number, amount, currency, order=order.id, key=f"{card}/sale")
            else:
                return
    except NotYet as not_yet:
        with shop.write() as session:
            later(session.get_one(SoldCard, card), str(not_yet))
        return
    except No as no:
        why = str(no)
    else:
        shop.mail(card=card, number=sale.number)
    with shop.write() as session:
        sold, order = session.get_one(SoldCard, card), session.get_one(Order, order.id)
        if sold.state in ("open", "to_scan"):
            sold.state, sold.why = ("failed", why[:500]) if why else ("sold", "")
            order.state = "complete"
            for line in order.lines:
                line.state = "shipped"


def lose(shop: Shop, card: str, new: str) -> None:
    """A customer has lost a card: from now on nothing can be spent from it. Raises: NotNow."""
    with shop.write() as session:
        if session.get(LostCard, card) is None:
            session.add(LostCard(id=card, card=card, new=new))
            session.flush()
            try:
                shop.books.suspend(card, key=f"{card}/lost", connection=session)
            except Refused as refused:
                raise NotNow(str(refused)) from refused
    replace(shop, card)


def replace(shop: Shop, lost: str) -> None:
    """Go on with a lost card until it is empty: suspend it, move what is available, and again if more comes back."""
    with shop.read() as session:
        row = session.get_one(LostCard, lost)
    if row.state not in MOVING:
        return
    books = shop.books
    try:
        paying.say(books, lambda: books.suspend(row.card, key=f"{lost}/lost"))
        card = books.card(row.card)
        key = f"{lost}/new-{row.moves}"
        if card.available.minor or card.in_doubt.minor or books.engine.seen(f"{key}/replace") is not None:
            with paying.answers():
                sale = books.replace(row.card, row.new, key=key)
            moved, over = 1, False
            shop.mail(card=row.new, number=sale.number)
        else:
            moved, over = 0, not card.held.minor
    except (NotYet, No) as error:
        with shop.write() as session:
            later(session.get_one(LostCard, lost), str(error))
        return
    with shop.write() as session:
        again = session.get_one(LostCard, lost)
        if again.moves == row.moves and again.state in MOVING:
            again.moves += moved
            again.state = "done" if over else "open" if moved else "waiting"
            if again.state == "waiting":
                later(again, "orders hold some of it still")
            else:
                again.tries, again.why, again.due = 0, "", 0.0

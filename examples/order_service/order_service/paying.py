"""What an order asks of its gift cards: hold a plan on all of them or on none, look at what is there, give it back.

Everything that the service knows of the books' answers is here:

    NotYet    the answer is not known, the provider was not there, or something else is in the way: say the same again
              later, with the same key
    No        it was not done, and never will be under this key
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from order_service.models import Checkout
from tallystick import (
    Books,
    Declined,
    GivenBack,
    InDoubt,
    Invalid,
    Money,
    Pending,
    Plan,
    Receipt,
    Refused,
    ShortApproval,
    StoreError,
    Unavailable,
    Unfinished,
)

Given = TypeVar("Given")
Held = tuple[str, int]  # a payment's id in the books, and what it holds or has taken
UNPAID = "the order was not paid"


class NotYet(Exception):
    """Say the same again later, with the same key."""

    @property
    def for_good(self) -> bool:
        """Whether the books refuse it, and not because of an open call: time alone will not change that."""
        refusal = self.__cause__.receipt.refusal if isinstance(self.__cause__, Refused) else None
        return refusal is not None and not refusal.waits


class No(Exception):
    """Not done, and never will be under this key."""

    for_good = True


@contextmanager
def answers() -> Iterator[None]:
    """The books' errors as ours."""
    try:
        yield
    except (InDoubt, Unavailable, Pending, Refused, StoreError, Unfinished) as error:
        raise NotYet(str(error)) from error
    except (Declined, ShortApproval, GivenBack, Invalid) as error:
        raise No(str(error)) from error


def say(books: Books, verb: Callable[[], Receipt]) -> Receipt:
    """Say a verb, perhaps again; also if it was written with an order and its process died before it was sent.

    Raises: NotYet, No.
    """
    with answers():
        try:
            return verb()
        except Pending as pending:
            return books.send(pending.receipt)


def hold(books: Books, checkout: Checkout, pins: Mapping[str, str]) -> list[Held]:
    """Hold the plan of a checkout on all its cards, or on none. Raises: NotYet, No."""
    currency = checkout.order.currency
    plan = Plan(tuple((card, Money(minor, currency)) for card, minor in checkout.plan), Money.zero(currency))
    if not plan.parts:
        return []
    try:
        with answers():
            tender = books.authorize_all(plan, order=checkout.order_id, key=checkout.id, pins=pins)
    except NotYet as not_yet:
        if isinstance(not_yet.__cause__, Refused | Unavailable):  # the customer is waiting, and may try another card
            raise No(str(not_yet)) from not_yet
        raise
    return [(part.id, part.held.minor) for part in tender.parts]


def look(books: Books, checkout: Checkout) -> list[Held] | None:
    """What the cards of a checkout hold, or have paid, as things stand now; None if that is not its whole plan.

    Only what was asked for under its own key counts: an earlier try of the order may hold the same of the same card,
    and will give it back.

    Raises: NotYet, if some of it is in doubt.
    """
    found: list[Held] = []
    there = books.payments(checkout.order_id)
    if any(each.in_doubt.minor for each in there):
        raise NotYet("the answer for a card is not known yet")
    if checkout.one_step:
        own = {each.id for each in there if _was_asked(books, "payment", each.id, f"{checkout.id}/redeem")}
    else:
        tenders = [
            each for each in books.tenders(checkout.order_id) if _was_asked(books, "tender", each.id, checkout.id)
        ]
        own = {part.id for each in tenders for part in each.parts}
    for card, minor in checkout.plan:
        matching = [each for each in there if each.card == card and (each.held + each.redeemed).minor == minor]
        matching = [each for each in matching if each.id in own]
        if not matching:
            return None
        found.append((matching[0].id, minor))
    return found


def _was_asked(books: Books, machine: str, id: str, key: str) -> bool:
    return any(entry.key == key for entry in books.history(machine, id))


def give_back(books: Books, order: str, undoing: Callable[[], bool]) -> None:
    """Give back all that the cards hold for an order, or have paid at once. Said again, it goes on. Raises: NotYet, No.

    `undoing`: whether the checkout that failed is still being undone. It is asked when we know what there is to give
    back: if somebody else has undone it meanwhile, the order's next checkout may hold the cards, and they are not ours.
    The key is that of the tender, or the payment: each is given back once, whoever does it.
    """
    tenders, payments = books.tenders(order), books.payments(order)
    if not undoing():
        return
    for tender in tenders:
        if tender.state != "given_back":
            _undo(books, tender.id)
    for each in (books.payment(payment.id) for payment in payments):
        if each.in_doubt.minor:
            raise NotYet(f"the answer for {each.card} is not known yet")
        if each.state == "closed" and each.redeemed.minor:
            if books.queue.waiting("payment", each.id):
                raise NotYet(f"less was taken from {each.card} than was asked, and the books give it back")
            say(books, lambda: books.void(each.id, key=f"{each.id}/undo", reason=UNPAID))  # noqa: B023
        elif each.state == "requested":
            say(books, lambda: books.cancel(each.id, key=f"{each.id}/undo", reason=UNPAID))  # noqa: B023


def let_go(books: Books, held: list[Held]) -> None:
    """Give back what this process holds on the cards, and nothing else. Raises: NotYet, No."""
    for payment, _ in held:
        tender = books.payment(payment).tender
        if tender is not None:
            _undo(books, tender)
        else:  # somebody held it by hand
            say(books, lambda: books.cancel(payment, key=f"{payment}/undo", reason=UNPAID))  # noqa: B023


def _undo(books: Books, tender: str) -> None:
    say(books, lambda: books.cancel_all(tender, key=f"{tender}/undo", reason=UNPAID))

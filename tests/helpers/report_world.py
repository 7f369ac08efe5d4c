"""Books with a life of all kinds, told from numbers: sales, orders, refunds, lost cards, and calls without an answer.

What reports say of them is compared with sums over the rows themselves, made here without any view.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from inspect import signature
from random import Random
from typing import Any

from tallystick.books.books import Books
from tallystick.errors import TallystickError
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.protocol import Reading

REPLIES = [*[None] * 8, "declined", "lost_after", "lost_before", "unavailable", {"confirmed": "1.00"}]
CARDS = {"c0": ("gift", "BRL"), "c1": ("gift", "JPY"), "c2": ("promo", "BRL"), "c3": ("merchandise_credit", "KWD")}


class Late:
    """The verbs of books; what is done by them happened at a moment."""

    def __init__(self, books: Books, moment: datetime) -> None:
        self._books, self._moment = books, moment

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._books, name)
        dated = callable(verb) and "occurred_at" in signature(verb).parameters
        return partial(verb, occurred_at=self._moment) if dated else verb


def tell(
    books: Books, provider: ScriptedProvider, numbers: Iterable[int], name: str = "k", *, late: bool = False
) -> None:
    """Each number is one deed. What is refused, declined or in doubt is a part of the story. `name`: of its keys.

    `late`: half of them happened up to some days before they are told.
    """
    for card, (kind, currency) in CARDS.items():
        limits = {"cash_out_limit": "3"} if kind == "gift" else None
        books.sell_electronic(card, "9", currency, order=f"sale-{card}", key=card, kind=kind, card_set=f"set-{kind}",
                              limits=limits)  # fmt: skip
    cards, payments = list(CARDS), ["none"]
    for at, number in enumerate(numbers):
        choose = Random(number)
        deed, card = choose.choice(DEEDS), choose.randrange(len(cards))
        provider.wait(3600.0 * choose.randrange(1, 50))
        if (said := choose.choice(REPLIES)) is not None:
            provider.script.append(Reply.read(said))
        amount = str(choose.randrange(1, 10))
        said_late = Random(-number - 1)
        happened = provider.clock() - timedelta(minutes=said_late.randrange(1, 9000))
        by: Any = Late(books, happened) if late and said_late.random() < 0.5 else books
        with suppress(TallystickError):
            deed(by, cards[card], choose.choice(payments[-4:]), amount, f"{name}{at}")
        provider.script.clear()
        payments += [f"{name}{at}"] if deed in DEEDS[:NEW] else []
        cards[card] = f"{cards[card]}-{name}{at}" if deed is _replace and choose.random() < 0.8 else cards[card]


def _replace(books: Books, card: str, payment: str, amount: str, key: str) -> None:
    books.suspend(card, key=f"{key}s", reason="lost")
    books.replace(card, f"{card}-{key}", key=key)


NEW = 5  # so many deeds, from the first on, make a payment
DEEDS: list[Callable[[Books, str, str, str, str], object]] = [
    lambda books, card, payment, amount, key: books.authorize(key, card, amount, order=f"o-{key}", key=key),
    lambda books, card, payment, amount, key: books.authorize(key, card, amount, order=f"o-{key}", key=key),
    lambda books, card, payment, amount, key: books.authorize(key, card, "2", order=f"o-{key}", key=key),
    lambda books, card, payment, amount, key: books.authorize(key, card, amount, order="o", key=key, allow_partial=True),
    lambda books, card, payment, amount, key: books.redeem(key, card, amount, order=f"o-{key}", key=key),
    lambda books, card, payment, amount, key: books.reload(card, amount, key=key),
    lambda books, card, payment, amount, key: books.reload(card, amount, key=key),
    lambda books, card, payment, amount, key: books.engine.execute("gift_card", card, "credit", {"amount": amount},
                                                                   key=key),
    lambda books, card, payment, amount, key: books.settle(payment, "1", key=key, keep_hold=False),
    lambda books, card, payment, amount, key: books.settle(payment, "1", key=key, keep_hold=False),
    lambda books, card, payment, amount, key: books.settle(payment, amount, key=key, last=True),
    lambda books, card, payment, amount, key: books.cancel(payment, key=key),
    lambda books, card, payment, amount, key: books.refund(payment, "1", key=key),
    lambda books, card, payment, amount, key: books.void(payment, key=key),
    lambda books, card, payment, amount, key: books.adjust(card, "-1", key=key, by="ann", reason="wrong"),
    lambda books, card, payment, amount, key: books.cash_out(card, key=key),
    lambda books, card, payment, amount, key: books.engine.execute("gift_card", card, "observe", {"balance": amount},
                                                                   key=key),
    lambda books, card, payment, amount, key: books.run_due(),
    lambda books, card, payment, amount, key: books.run_due(),
    lambda books, card, payment, amount, key: books.recover(timedelta()),
    _replace,
]  # fmt: skip


def stood(books: Books, before: str = "~") -> dict[str, Counter[str]]:
    """What stood on each machine by currency, of what happened before a moment: what came less what went."""
    found: dict[str, Counter[str]] = {}
    with books.engine.store.reading() as reading:
        for row in reading.journal():
            accounts = json.loads(row.after)
            for source, target, amount in json.loads(row.postings) if row.happened < before else ():
                came = amount * ((target in accounts) - (source in accounts))
                found.setdefault(row.machine, Counter())[row.currency] += came
    return found


def in_doubt_twice(reading: Reading, before: str = "~") -> Counter[str]:
    """What calls had set aside on a second card, beside the one that they ask about."""
    calls = {each.id: each for each in reading.all_calls()}
    found: Counter[str] = Counter()
    for row in reading.journal("gift_card"):
        call = calls.get(row.call or "")
        if row.happened < before and call is not None and call.machine == "gift_card" and call.entity != row.entity:
            for source, target, amount in json.loads(row.postings):
                found[row.currency] += amount * ((target == "in_doubt") - (source == "in_doubt"))
    return found


def moved(books: Books, since: str, before: str) -> Counter[tuple[str, str]]:
    """By currency and figure, what came onto cards and left them in a period, as their page has it."""
    found: Counter[tuple[str, str]] = Counter()
    figures = books.engine.machines["gift_card"].figures
    with books.engine.store.reading() as reading:
        for row in reading.journal("gift_card"):
            for source, target, amount in json.loads(row.postings) if since <= row.happened < before else ():
                if source in figures:
                    found[row.currency, figures[source][row.command]] += amount
                if target in figures:
                    found[row.currency, figures[target][row.command]] -= amount
    return found

"""Books with a life of all kinds, told from numbers: sales, orders, refunds, lost cards, and calls without an answer.

What reports say of them is compared with sums over the rows themselves, made here without any view.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from random import Random

from tallystick.books.books import Books
from tallystick.errors import TallystickError
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.store.protocol import Reading

REPLIES = [*[None] * 8, "declined", "lost_after", "lost_before", "unavailable", {"confirmed": "1.00"}]
CARDS = {"c0": ("gift", "BRL"), "c1": ("gift", "JPY"), "c2": ("promo", "BRL"), "c3": ("merchandise_credit", "KWD")}


def tell(books: Books, provider: ScriptedProvider, numbers: Iterable[int], name: str = "k") -> None:
    """Each number is one deed. What is refused, declined or in doubt is a part of the story. `name`: of its keys."""
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
        with suppress(TallystickError):
            deed(books, cards[card], choose.choice(payments[-4:]), amount, f"{name}{at}")
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
    """What stood on each machine by currency, of entries before a moment: from what stands in each entity's last."""
    found: dict[str, Counter[str]] = {}
    with books.engine.store.reading() as reading:
        last = {(row.machine, row.entity): row for row in reading.journal() if row.at < before}
        for row in last.values():
            found.setdefault(row.machine, Counter())[row.currency] += sum(json.loads(row.after).values())
    return found


def in_doubt_twice(reading: Reading, before: str = "~") -> Counter[str]:
    """What calls had set aside on a second card, beside the one that they ask about."""
    calls = {each.id: each for each in reading.all_calls()}
    found: Counter[str] = Counter()
    for row in reading.journal("gift_card"):
        call = calls.get(row.call or "")
        if row.at < before and call is not None and call.machine == "gift_card" and call.entity != row.entity:
            for source, target, amount in json.loads(row.postings):
                found[row.currency] += amount * ((target == "in_doubt") - (source == "in_doubt"))
    return found


def moved(books: Books, since: str, before: str) -> Counter[tuple[str, str]]:
    """By currency and figure, what came onto cards and left them in a period, as their page has it."""
    found: Counter[tuple[str, str]] = Counter()
    figures = books.engine.machines["gift_card"].figures
    with books.engine.store.reading() as reading:
        for row in reading.journal("gift_card"):
            for source, target, amount in json.loads(row.postings) if since <= row.at < before else ():
                if source in figures:
                    found[row.currency, figures[source][row.command]] += amount
                if target in figures:
                    found[row.currency, figures[target][row.command]] -= amount
    return found

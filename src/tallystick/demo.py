"""A story for `tallystick demo`: one card, its orders, and its end, told by a real store.

Everything is done through the verbs an order system calls, on SQLite; each beat looks the books up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from rich.console import RenderableType
from rich.text import Text

from tallystick.errors import Refused
from tallystick.receipt import Receipt
from tallystick.stored_value import StoredValue
from tallystick.tables import grid
from tallystick.views import Sale

CURRENCY = "BRL"


@attrs.frozen
class Beat:
    """What is asked for, what the books answer, and where the card's money stands then."""

    what: str
    result: str
    says: str
    card: str
    available: str
    held: str

    def plain(self) -> dict[str, Any]:
        return attrs.asdict(self)


def story(books: StoredValue) -> Iterator[Beat]:
    """The story, beat by beat, as it is lived."""
    told = _Teller(books)
    sale = books.sell_electronic("card-1", "50.00", CURRENCY, order="o-1", key="o-1/card-1", by="web shop")
    yield told.did("Order o-1 sells a card, 50.00", sale)
    card = books.card("card-1")
    yield told.beat("Its owner asks the balance", "seen", f"card {card.masked} carries {card.available}")

    authorize = books.authorize
    yield told.did("Order o-2 authorizes 40.00", authorize("pay-2", "card-1", "40.00", order="o-2", key="o-2/pay"))
    yield told.did("15.00 of it ships", books.settle("pay-2", "15.00", key="o-2/ship-1"))
    yield told.no("60.00 more shall ship", lambda: books.settle("pay-2", "60.00", key="o-2/ship-2"))
    yield told.did("The first shipment, again", books.settle("pay-2", "15.00", key="o-2/ship-1"))
    yield told.did("The other 25.00 ships", books.settle("pay-2", "25.00", key="o-2/ship-3"))
    yield told.did("5.00 of it is sent back", books.refund("pay-2", "5.00", key="o-2/return", reason="too small"))

    yield told.did("Order o-3 authorizes 12.00", authorize("pay-3", "card-1", "12.00", order="o-3", key="o-3/pay"))
    yield told.no("Order o-4 too, meanwhile",
                  lambda: authorize("pay-4", "card-1", "12.00", order="o-4", key="o-4/pay"))  # fmt: skip
    yield told.did("Order o-3 is cancelled", books.cancel("pay-3", key="o-3/cancel", reason="out of stock"))

    yield told.did("The card is lost", books.suspend("card-1", key="lost", by="call centre", reason="lost"))
    yield told.no("Its finder tries it",
                  lambda: authorize("pay-5", "card-1", "1.00", order="o-5", key="o-5/pay"))  # fmt: skip
    told.card = "card-2"
    yield told.did("A new card takes its value", books.replace("card-1", "card-2", key="lost/new", by="call centre"))


class _Teller:
    """Words the answers, with the balance of the card the story is about."""

    def __init__(self, books: StoredValue) -> None:
        self._books = books
        self.card = "card-1"

    def beat(self, what: str, result: str, says: str) -> Beat:
        card = self._books.card(self.card)
        return Beat(what, result, says, self.card, str(card.available).split()[0], str(card.held).split()[0])

    def did(self, what: str, done: Receipt | Sale) -> Beat:
        receipt = done if isinstance(done, Receipt) else done.receipt
        if receipt.replayed:
            return self.beat(what, "replayed", f"key {receipt.key} was done before; nothing moves twice")
        says = ", then ".join(f"{each.machine} is {each.state}" for each in [receipt, *receipt.followed])
        if isinstance(done, Sale):
            commands = [entry.command for entry in self._books.history(receipt.machine, receipt.id)[1:]]
            says = f"{' → '.join(commands)}; {says}, {done.card} carries {self._books.card(done.card).available}"
        return self.beat(what, receipt.result.value, says)

    def no(self, what: str, ask: Callable[[], object]) -> Beat:
        try:
            ask()
        except Refused as refused:
            refusal = refused.receipt.refusal
            while refusal is not None and refusal.cause is not None:
                refusal = refusal.cause
            return self.beat(what, "refused", str(refusal))
        raise AssertionError(f"{what}: it was not refused")


def table(beats: list[Beat]) -> RenderableType:
    """The story as a table: what happens, what the books say, and the card's money after it."""
    colours = {"refused": "yellow", "replayed": "cyan"}
    rows: list[list[str | Text]] = []
    for beat in beats:
        says = Text.assemble((beat.result, colours.get(beat.result, "green")), f": {beat.says}")
        rows.append([beat.what, says, beat.available, beat.held])
    return grid("what happens", "what the books say", "available", "held", rows=rows, right=("available", "held"))

"""Make up the sample: orders.csv, payments.csv and items.csv in the folder `sample` beside this file.

    python examples/voucher_orders/make_sample.py

Nothing in them comes from a real order. The files have the columns of the real data that README.md names, and every
shape that makes such orders hard; amounts, days and sellers are drawn. The same seed makes the same files.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

SAMPLE = Path(__file__).parent / "sample"
SEED = 7
FIRST_DAY = datetime(2026, 3, 2)
DAYS = 60
SELLERS = [f"s-{number:02}" for number in range(1, 15)]
NOT_YET = ""

Row = dict[str, object]


class Shape(NamedTuple):
    """Orders of one kind. `sellers` is 0 where the order has no items."""

    orders: int
    status: str
    approved: bool
    handed_over: bool
    vouchers: range  # how many
    sellers: int = 1
    card_too: bool = False  # a credit card pays the rest
    empty: int = 0  # of the vouchers these are of 0.00
    off: int = 0  # cents by which the tenders differ from the items


SHAPES = [
    Shape(16, "delivered", True, True, range(1, 2)),
    Shape(8, "delivered", True, True, range(1, 2), card_too=True),
    Shape(6, "delivered", True, True, range(2, 7)),
    Shape(1, "delivered", True, True, range(14, 15), empty=2),
    Shape(1, "delivered", True, True, range(1, 2), off=2),
    Shape(4, "delivered", True, True, range(1, 4), sellers=2),
    Shape(2, "delivered", True, True, range(2, 4), sellers=3, card_too=True),
    Shape(4, "shipped", True, True, range(1, 3)),
    Shape(3, "invoiced", True, False, range(1, 3)),
    Shape(3, "processing", True, False, range(1, 4), sellers=2),
    Shape(6, "canceled", False, False, range(1, 3), sellers=0),
    Shape(2, "canceled", True, False, range(1, 3), card_too=True),
    Shape(1, "canceled", True, True, range(1, 2)),
    Shape(1, "canceled", True, True, range(2, 3), sellers=2),
    Shape(2, "unavailable", True, False, range(1, 2), sellers=0),
]


class Order:
    """One made-up order: its row, its items and its tenders."""

    def __init__(self, id: str, shape: Shape, chance: Random) -> None:
        self.id, self.shape, self.chance = id, shape, chance
        self.placed = FIRST_DAY + timedelta(seconds=chance.randrange(DAYS * 86400))
        self.approved = self.placed + timedelta(minutes=chance.randrange(5, 2000))
        self.handed_over = self.approved + timedelta(hours=chance.randrange(5, 150))
        self.items = list(self._items())
        worth = sum(price + freight for _, _, price, freight in self.items) or self._cents(1500, 30000)
        self.tenders = list(self._tenders(worth + shape.off))

    def row(self) -> Row:
        return {
            "order_id": self.id,
            "order_status": self.shape.status,
            "order_purchase_timestamp": self.placed,
            "order_approved_at": self.approved if self.shape.approved else NOT_YET,
            "order_delivered_carrier_date": self.handed_over if self.shape.handed_over else NOT_YET,
        }

    def _items(self) -> Iterator[tuple[str, datetime, int, int]]:
        """Seller, shipping limit, price and freight; a seller may send several."""
        for seller in self.chance.sample(SELLERS, self.shape.sellers):
            until = self.approved + timedelta(days=self.chance.randrange(2, 9))
            for _ in range(self.chance.choice([1, 1, 1, 2])):
                yield seller, until, self._cents(900, 25000), self._cents(500, 3000)

    def _tenders(self, worth: int) -> Iterator[tuple[str, int]]:
        """Kind and amount; together they are what the order costs."""
        kinds = ["voucher"] * self.chance.choice(self.shape.vouchers) + ["credit_card"] * self.shape.card_too
        cuts = sorted(self.chance.sample(range(1, worth), len(kinds) - 1 - self.shape.empty))
        parts = [to - at for at, to in zip([0, *cuts], [*cuts, worth], strict=True)] + [0] * self.shape.empty
        yield from zip(kinds, parts, strict=True)

    def _cents(self, least: int, most: int) -> int:
        return self.chance.randrange(least, most)


def made_up(seed: int) -> tuple[list[Row], list[Row], list[Row]]:
    """The rows of orders.csv, payments.csv and items.csv."""
    chance = Random(seed)
    shapes = [shape for shape in SHAPES for _ in range(shape.orders)]
    orders = [Order(f"o-{number:03}", shape, chance) for number, shape in enumerate(shapes, 1)]
    chance.shuffle(orders)
    payments: list[Row] = [
        {"order_id": order.id, "payment_sequential": number, "payment_type": kind, "payment_value": _money(cents)}
        for order in orders
        for number, (kind, cents) in enumerate(order.tenders, 1)
    ]
    items: list[Row] = [
        {
            "order_id": order.id, "order_item_id": number, "seller_id": seller, "shipping_limit_date": until,
            "price": _money(price), "freight_value": _money(freight),
        }
        for order in orders
        for number, (seller, until, price, freight) in enumerate(order.items, 1)
    ]  # fmt: skip
    return [order.row() for order in orders], payments, items


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def write(folder: Path, seed: int = SEED) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in zip(("orders.csv", "payments.csv", "items.csv"), made_up(seed), strict=True):
        _write(folder / name, rows)


def _write(file: Path, rows: Sequence[Row]) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        table = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make up orders of every shape.")
    parser.add_argument("folder", type=Path, nargs="?", default=SAMPLE)
    write(parser.parse_args().folder)

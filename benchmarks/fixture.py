"""Books with cards in them, and the proof that the code by hand writes the same rows."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import count
from pathlib import Path

from benchmarks.by_hand_sqlite import Books
from benchmarks.measure import Setting
from tallystick import Engine, Money, load
from tallystick import open as open_books
from tallystick.engine.receipt import Command
from tallystick.engine.verify import verify
from tallystick.provider.local import LocalProvider
from tallystick.store.open import open_store

BALANCE = Money(10**12, "USD")
ONE = Money(100, "USD")  # what most commands move


def card(number: int) -> str:
    return f"card-{number}"


def make_books(path: Path, cards: int) -> None:
    """Make a store with so many issued cards, each with 10^12 minor units on it."""
    with open_books(str(path)) as books:
        commands = []
        for id in map(card, range(cards)):
            created = {"form": "electronic", "currency": "USD"}
            commands.append(Command("gift_card", id, "create", created, f"{id}/create"))
            commands.append(Command("gift_card", id, "recognize", {"number": id, "balance": BALANCE}, f"{id}/issue"))
        assert all(receipt.applied for receipt in books.engine.try_execute_many(commands))  # type: ignore[union-attr]
    _checkpoint(path)


def _checkpoint(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@dataclass(frozen=True)
class Rivals:
    """Two copies of the same books: one for tallystick, one for the code by hand."""

    engine: Engine
    by_hand: Books
    keys: Iterator[int]

    def key(self) -> str:
        return f"k{next(self.keys)}"

    def payments(self, how_many: int, cards: int) -> list[str]:
        """Create payments in both books, on one card after the other."""
        made = [(self.key(), card(i % cards)) for i in range(how_many)]
        created = [
            Command("payment", id, "create", {"order": "o", "card": on, "currency": "USD"}, f"{id}/create")
            for id, on in made
        ]
        assert all(receipt.applied for receipt in self.engine.try_execute_many(created))  # type: ignore[union-attr]
        self.by_hand.pay_many([("create", id, on, 0, f"{id}/create") for id, on in made])
        return [id for id, _ in made]


@contextmanager
def rivals(setting: Setting, cards: int, *, folder: str | None = None) -> Iterator[Rivals]:
    with (Setting(folder=folder) if folder else setting).scratch() as scratch:
        ours, theirs = scratch / "ours.db", scratch / "theirs.db"
        make_books(ours, cards)
        shutil.copy(ours, theirs)
        _same_rows(scratch)
        with open_books(str(ours)) as books, closing(Books(str(theirs))) as by_hand:
            yield Rivals(books.engine, by_hand, count())
            assert not verify(books.engine.machines, books.engine.store).findings


# The proof


def _same_rows(scratch: Path) -> None:
    """Let both do a few of everything, with the same clock and names. Every table has to be equal in the end."""
    start, ours, theirs = scratch / "start.db", scratch / "a.db", scratch / "b.db"
    make_books(start, 3)
    for path in (ours, theirs):
        shutil.copy(start, path)
    _by_tallystick(ours)
    with closing(Books(str(theirs), clock=_clock, ids=_id)) as by_hand:
        by_hand.redeem(card(0), 100, "r1")
        by_hand.pay_many([("create", "p1", card(0), 0, "p1"), ("create", "p2", card(1), 0, "p2")])
        by_hand.authorize("p1", 500, "a1")
        by_hand.settle("p1", 500, "s1")
        by_hand.redeem_many([(card(0), 100, "r2"), (card(0), 100, "r3"), (card(2), 100, "r4")])
        by_hand.pay_many([
            ("create", "p3", card(0), 0, "p3"), ("authorize", "p3", card(0), 70, "a3"),
            ("settle", "p3", card(0), 70, "s3"), ("authorize", "p2", card(1), 50, "a2"),
        ])  # fmt: skip
    with open_books(str(theirs)) as books:
        assert not verify(books.engine.machines, books.engine.store).findings
    for table in ("entry", "gift_card", "payment", "call", "queue"):
        for mine, other in zip(_rows(ours, table), _rows(theirs, table), strict=True):
            if mine != other:
                raise SystemExit(f"by_hand_sqlite.py writes other rows to {table}; mend it.\n  {mine}\n  {other}")
    for path in (start, ours, theirs):
        path.unlink()


def _by_tallystick(path: Path) -> None:
    engine = Engine(load(), open_store(str(path)), LocalProvider(), clock=_clock, ids=_id)
    redeem = [
        Command("gift_card", card(i), "redeem", {"amount": ONE}, f"r{key}") for key, i in enumerate((0, 0, 0, 2), 1)
    ]
    created = [
        Command("payment", id, "create", {"order": "o", "card": card(i), "currency": "USD"}, id)
        for id, i in (("p1", 0), ("p2", 1), ("p3", 0))
    ]
    engine.try_execute(redeem[0])
    engine.try_execute_many(created[:2])
    engine.execute("payment", "p1", "authorize", {"amount": "5.00"}, key="a1")
    engine.execute("payment", "p1", "settle", {"amount": "5.00"}, key="s1")
    engine.try_execute_many(redeem[1:])
    engine.try_execute_many([
        created[2], Command("payment", "p3", "authorize", {"amount": "0.70"}, "a3"),
        Command("payment", "p3", "settle", {"amount": "0.70"}, "s3"),
        Command("payment", "p2", "authorize", {"amount": "0.50"}, "a2"),
    ])  # fmt: skip
    engine.store.close()


def _clock() -> datetime:
    return datetime(2100, 1, 1, tzinfo=timezone.utc)  # after everything that make_books writes


def _id() -> str:
    return "call-1"


def _rows(path: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f'SELECT * FROM "{table}" ORDER BY 1').fetchall()

"""Two copies of the same books, for tallystick and for code by hand, and the proof that both write the same rows."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any

import attrs

from benchmarks.measure import Clock, Contestant, Run, Work
from benchmarks.opponents.by_hand import Books
from benchmarks.opponents.rules import Rules
from tallystick import Engine, Money, load
from tallystick.engine.receipt import Command, Receipt
from tallystick.engine.verify import verify
from tallystick.provider.local import LocalProvider
from tallystick.store.sqlite import SqliteStore

BALANCE = Money(10**12, "USD")
ONE = Money(100, "USD")  # what most commands move


def card(number: int) -> str:
    return f"card-{number}"


def applied(engine: Engine, commands: list[Command]) -> int:
    """Execute commands, each of which has to be applied. How many."""
    for answer in engine.try_execute_many(commands):
        assert isinstance(answer, Receipt)
        assert answer.applied, answer
    return len(commands)


def opened(path: Path, connections: type[sqlite3.Connection] = sqlite3.Connection, **more: Any) -> Engine:
    return Engine(load(), SqliteStore(path, connections=connections), LocalProvider(), **more)


def make_books(path: Path, cards: int) -> None:
    """Make a store with so many issued cards, each with 10^12 minor units on it."""
    engine = opened(path)
    fill(engine, cards)
    engine.store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def fill(engine: Engine, cards: int) -> None:
    commands = list[Command]()
    for id in map(card, range(cards)):
        commands += [
            Command("gift_card", id, "create", {"form": "electronic", "currency": "USD"}, f"{id}/create"),
            Command("gift_card", id, "recognize", {"number": id, "balance": BALANCE}, f"{id}/issue"),
        ]
    applied(engine, commands)


class Disk:
    """A made-up disk that takes so long for a sync: every COMMIT waits. Or it is only counted how often one would have.

    Counted, a wait is exactly as long as it is said to be, and nobody else on the machine makes it longer.
    """

    def __init__(self, sync: float, *, counted: bool = False) -> None:
        self.waits = 0
        disk = self

        class Slow(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if sql == "COMMIT":
                    disk.waits += 1
                    if not counted:
                        time.sleep(sync)
                return super().execute(sql, *args)

        self.connections = Slow if sync else sqlite3.Connection


@attrs.frozen
class Rivals:
    """Two copies of the same books."""

    engine: Engine
    by_hand: Books
    cards: int
    keys: Iterator[int]
    clock: Clock  # processor time, and the waits that were counted

    def key(self) -> str:
        return f"k{next(self.keys)}"

    def redeems(self, each: int) -> tuple[Contestant, Contestant]:
        """So many cards redeemed in a round, one after the other; ours and theirs."""
        mine, theirs = count(), count()

        def ours() -> int:
            for _ in range(each):
                id = card(next(mine) % self.cards)
                self.engine.execute("gift_card", id, "redeem", {"amount": ONE}, key=self.key())
            return each

        def by_hand() -> int:
            for _ in range(each):
                self.by_hand.redeem(card(next(theirs) % self.cards), 100, self.key())
            return each

        return lambda: ours, lambda: by_hand

    def payments(self, each: int) -> tuple[Contestant, Contestant]:
        """So many payments authorized and settled in a round; ours and theirs. They are created beforehand."""

        def ours() -> Work:
            payments = self.created(each, ours=True)

            def work() -> int:
                for id in payments:
                    self.engine.execute("payment", id, "authorize", {"amount": ONE}, key=f"{id}/a")
                    self.engine.execute("payment", id, "settle", {"amount": ONE}, key=f"{id}/s")
                return 2 * len(payments)

            return work

        def by_hand() -> Work:
            payments = self.created(each, ours=False)

            def work() -> int:
                for id in payments:
                    self.by_hand.authorize(id, 100, f"{id}/a")
                    self.by_hand.settle(id, 100, f"{id}/s")
                return 2 * len(payments)

            return work

        return ours, by_hand

    def created(self, how_many: int, *, ours: bool) -> list[str]:
        """Create payments in one of the books, on one card after the other."""
        made = [(self.key(), card(i % self.cards)) for i in range(how_many)]
        if ours:
            created = [
                Command("payment", id, "create", {"order": "o", "card": on, "currency": "USD"}, f"{id}/create")
                for id, on in made
            ]
            applied(self.engine, created)
        else:
            self.by_hand.pay_many([("create", id, on, 0, f"{id}/create") for id, on in made])
        return [id for id, _ in made]


@contextmanager
def rivals(
    run: Run, cards: int, *, disk: bool = False, sync: float = 0.0, counted: bool = False, rules: Rules | None = None
) -> Iterator[Rivals]:  # fmt: skip
    """Two copies of the same books, where a commit costs nothing, or on the disk, or with a `sync` of so many seconds.

    Both are verified in the end.
    """
    mine, theirs = Disk(sync, counted=counted), Disk(sync, counted=counted)

    def clock() -> float:
        return time.process_time() + sync * (mine.waits + theirs.waits)

    with run.scratch(disk=disk) as scratch:
        made, copy = scratch / "ours.db", scratch / "theirs.db"
        with run.scratch() as fast:
            same_rows(fast, rules)
        make_books(made, cards)
        shutil.copy(made, copy)
        engine = opened(made, mine.connections)
        with closing(engine.store), closing(Books(str(copy), connections=theirs.connections, rules=rules)) as by_hand:
            yield Rivals(engine, by_hand, cards, count(), clock)
            assert not sync or (mine.waits and theirs.waits)  # both were slow
            assert not verify(engine.machines, engine.store).findings
        with closing(opened(copy).store) as store:
            assert not verify(engine.machines, store).findings


# The proof


def same_rows(scratch: Path, rules: Rules | None = None) -> None:
    """Let both do a few of everything, with the same clock and names. Every table has to be equal in the end.

    Raises:
        AssertionError: the rows by hand are others.
    """
    start, ours, theirs = scratch / "start.db", scratch / "a.db", scratch / "b.db"
    make_books(start, 3)
    for path in (ours, theirs):
        shutil.copy(start, path)
    _by_tallystick(ours)
    with closing(Books(str(theirs), clock=_clock, ids=_id, rules=rules)) as by_hand:
        by_hand.redeem(card(0), 100, "r1")
        by_hand.pay_many([("create", "p1", card(0), 0, "p1"), ("create", "p2", card(1), 0, "p2")])
        by_hand.authorize("p1", 500, "a1")
        by_hand.settle("p1", 500, "s1")
        by_hand.redeem_many([(card(0), 100, "r2"), (card(0), 100, "r3"), (card(2), 100, "r4")])
        by_hand.pay_many([
            ("create", "p3", card(0), 0, "p3"), ("authorize", "p3", card(0), 70, "a3"),
            ("settle", "p3", card(0), 70, "s3"), ("authorize", "p2", card(1), 50, "a2"),
        ])  # fmt: skip
    engine = opened(theirs)
    with closing(engine.store):
        assert not verify(engine.machines, engine.store).findings
    for table in ("entry", "gift_card", "payment", "call", "queue"):
        for mine, other in zip(_rows(ours, table), _rows(theirs, table), strict=True):
            assert mine == other, f"opponents/by_hand.py writes other rows to {table}"
    for path in (start, ours, theirs):
        path.unlink()


def _by_tallystick(path: Path) -> None:
    engine = opened(path, clock=_clock, ids=_id)
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

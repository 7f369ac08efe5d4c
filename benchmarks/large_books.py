"""Large books in a minute: patterns that the engine has made, copied a million times under other names.

What is in them grows with the number of cards: each card has two entries, and of ten cards one has paid an order, with
five more. What waits for somebody does not grow: holds, queued commands, and what is stuck are as many in any books.
They pass `verify`. Only the fingerprints of keys stay those of the pattern; nobody says these keys again.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import attrs

import tallystick
from benchmarks.rivals import applied, opened
from tallystick import Engine, Money
from tallystick.engine.receipt import Command
from tallystick.store.rows import EntryRow

WAITING = 50  # holds, queued commands, stuck payments
BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)
LATER = BEGAN + timedelta(days=30)
PAYS = 10  # one card in so many has paid an order
IDLE, PAYING = "9999999998", "9999999999"  # in all names of the two patterns
CHUNK = 5000  # cards in one statement
ENTRY = ", ".join(EntryRow._fields[:-2])


def number(i: int) -> str:
    return f"{i:010}"


def make(path: Path, cards: int, redeems: int = 0) -> int:
    """Make books with so many cards, each redeemed so often, and give the number of their entries."""
    engine = opened(path, clock=lambda: BEGAN)
    for name in (IDLE, PAYING):
        _life(engine, name, redeems)
    with engine.store.reading() as reading:
        rows = list(reading.journal())
    engine.store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _copy(connection, rows, cards)
    engine = opened(path, clock=lambda: LATER)
    _what_waits(engine)
    engine.store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(connection.execute("SELECT count(*) FROM entry").fetchone()[0])


def into_postgres(path: Path, url: str) -> None:
    """The same books on PostgreSQL, whose role has to be a superuser: triggers do not look at each row again."""
    import psycopg

    with tallystick.open(url) as books:
        machines = [*books.engine.machines]
    with closing(sqlite3.connect(path)) as old, psycopg.connect(url) as new:
        new.execute("SET session_replication_role = replica")
        new.execute("SET search_path TO tallystick")
        for table in ("entry", "call", "queue", *machines):
            rows = old.execute(f'SELECT * FROM "{table}"')
            columns = ", ".join(f'"{each[0]}"' for each in rows.description)
            with new.cursor().copy(f'COPY "{table}" ({columns}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
        new.execute("INSERT INTO _key SELECT key, machine, entity, revision FROM entry WHERE key IS NOT NULL")
        new.execute("SELECT setval('_entry_seq', (SELECT max(seq) FROM entry))")
    with psycopg.connect(url, autocommit=True) as new:
        new.execute("VACUUM ANALYZE")


def _life(engine: Engine, name: str, redeems: int) -> None:
    """A card that was sold, and perhaps has paid an order."""
    card, payment = f"card-{name}", f"payment-{name}"
    commands = [
        Command("gift_card", card, "create", {"form": "electronic", "currency": "USD"}, f"{card}/create"),
        Command("gift_card", card, "recognize", {"number": name, "balance": Money(10**6, "USD")}, f"{card}/issue"),
    ]
    one = {"amount": Money(1, "USD")}
    commands += [Command("gift_card", card, "redeem", one, f"{card}/{i}") for i in range(redeems)]
    applied(engine, commands)
    if name == PAYING:
        _pay(engine, card, payment, ("authorize", "settle"))


def _pay(engine: Engine, card: str, payment: str, steps: tuple[str, ...]) -> None:
    created = {"order": payment, "card": card, "currency": "USD"}
    amount = {"amount": Money(500, "USD")}
    commands = [Command("payment", payment, "create", created, f"{payment}/create")]
    applied(engine, commands + [Command("payment", payment, step, amount, f"{payment}/{step}") for step in steps])


def _what_waits(engine: Engine) -> None:
    for i in range(1, WAITING + 1):
        card, signed = f"card-{number(i)}", {"by": "bench", "reason": "gone"}
        for name in ("held", "lost"):
            _pay(engine, card, f"{name}-{i}", ("authorize",))
        engine.execute("payment", f"lost-{i}", "mark_hold_lost", {}, key=f"lost-{i}/lost", **signed)  # type: ignore[arg-type]
        for name, days in (("due", 1), ("later", 1000)):
            engine.execute("gift_card", card, "redeem", {"amount": Money(100, "USD")}, key=f"{name}-{i}",
                           due=LATER + timedelta(days=days))  # fmt: skip


# Copies


@attrs.frozen
class _Pattern:
    """The entries of one entity and its row, with a name to be replaced."""

    name: str
    machine: str
    entries: list[tuple[object, ...]]  # without their hashes
    texts: list[str]  # each as it is hashed
    row: tuple[object, ...]
    hash: int  # where in the row it stands

    def copy(self, name: str) -> tuple[list[tuple[object, ...]], tuple[object, ...]]:
        """Entries and row under another name, chained anew."""
        entries, hash = [], ""
        for entry, text in zip(self.entries, self.texts, strict=True):
            hash = hashlib.sha256(f"{hash}\n{text.replace(self.name, name)}".encode()).hexdigest()
            entries.append((*self._named(name, entry), hash))
        row = self._named(name, self.row)
        row[self.hash] = hash
        return entries, tuple(row)

    def _named(self, name: str, fields: tuple[object, ...]) -> list[object]:
        return [each.replace(self.name, name) if type(each) is str and self.name in each else each for each in fields]


def _copy(connection: sqlite3.Connection, rows: list[EntryRow], cards: int) -> None:
    """Copy the patterns. Triggers and indexes are taken away meanwhile: they would look at each row by itself."""
    for pragma in ("synchronous = OFF", "foreign_keys = OFF", "cache_size = -200000"):
        connection.execute(f"PRAGMA {pragma}")
    idle = [_pattern(connection, rows, "gift_card", IDLE)]
    paying = [_pattern(connection, rows, machine, PAYING) for machine in ("gift_card", "payment")]
    select = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL"
    taken = connection.execute(select).fetchall()
    connection.execute("BEGIN")
    for kind, name, _ in taken:
        connection.execute(f'DROP {kind} "{name}"')
    for start in range(0, cards, CHUNK):
        _chunk(connection, range(start, min(start + CHUNK, cards)), lambda i: idle if i % PAYS else paying)
    for _, _, sql in taken:
        connection.execute(sql)
    connection.execute("COMMIT")


def _pattern(connection: sqlite3.Connection, rows: list[EntryRow], machine: str, name: str) -> _Pattern:
    mine = [each[:-3] for each in rows if each.machine == machine and each.entity.endswith(name)]
    texts = ["\n".join(["" if field is None else str(field) for field in each]) for each in mine]
    cursor = connection.execute(f"SELECT * FROM {machine} WHERE id LIKE '%' || ?", (name,))
    where = [each[0] for each in cursor.description].index("hash")
    return _Pattern(name, machine, mine, texts, cursor.fetchone(), where)


def _chunk(connection: sqlite3.Connection, numbers: range, patterns: Callable[[int], list[_Pattern]]) -> None:
    entries: list[tuple[object, ...]] = []
    heads: dict[str, list[tuple[object, ...]]] = {"gift_card": [], "payment": []}
    for i in numbers:
        for pattern in patterns(i):
            made, row = pattern.copy(number(i))
            entries += made
            heads[pattern.machine].append(row)
    marks = ", ".join("?" * (len(EntryRow._fields) - 2))
    connection.executemany(f"INSERT INTO entry ({ENTRY}) VALUES ({marks})", entries)
    for machine, rows in heads.items():
        if rows:
            connection.executemany(f"INSERT INTO {machine} VALUES ({', '.join('?' * len(rows[0]))})", rows)

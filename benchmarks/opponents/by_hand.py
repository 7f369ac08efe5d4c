"""What a good engineer would write by hand for SQLite: the same tables, rows and guarantees, for four commands.

The guarantees are these. A command is one transaction. Its key is looked up first, and a repeat is answered from the
journal. Every guard is checked. An entry has arguments, postings, changed facts and accounts afterwards, chained by
SHA-256. The row of an entity is replaced only if nobody has replaced it meanwhile. Commits are on disk.

Statements are constant, so sqlite3 keeps them prepared. JSON of names and numbers is written out; one encoder makes the
rest. Everything that makes tallystick general is left out: there is no page, no table of transitions, no currency to
parse, no other command, no provider, no date, and no refusal with numbers in it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from typing import NamedTuple

from benchmarks.opponents.in_memory import Refused
from benchmarks.opponents.rules import Ifs, Rules

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

CARD = "SELECT id, state, revision, currency, available, held, in_doubt, hash FROM gift_card"
PAYMENT = """SELECT id, state, revision, currency, "order", card, hold_id, redemption_id,
                    held, uncovered, redeemed, in_doubt, hash FROM payment"""
BOTH = """SELECT p.id, p.state, p.revision, p.currency, p."order", p.card, p.hold_id, p.redemption_id,
                 p.held, p.uncovered, p.redeemed, p.in_doubt, p.hash,
                 c.id, c.state, c.revision, c.currency, c.available, c.held, c.in_doubt, c.hash
FROM payment p JOIN gift_card c ON c.id = p.card WHERE p.id = ?"""
SEEN = "SELECT key, fingerprint, to_state, after FROM entry"
ENTRY = """INSERT INTO entry (machine, entity, revision, machine_version, transition, command, phase, from_state,
  to_state, args, postings, facts, after, currency, call, key, cause, fingerprint, by, reason, at, hash)
VALUES (?, ?, ?, 3, ?, ?, 'done', ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, NULL, NULL, ?, ?)"""
SET_CARD = """UPDATE gift_card SET state = ?, revision = ?, available = ?, held = ?, hash = ?, updated = ?
WHERE id = ? AND revision = ?"""
SET_PAYMENT = """UPDATE payment SET state = ?, revision = ?, hold_id = ?, held = ?, uncovered = ?, redeemed = ?,
  hash = ?, updated = ? WHERE id = ? AND revision = ?"""
ADD_PAYMENT = """INSERT INTO payment (id, state, revision, machine_version, currency, "order", card, hold_id,
  redemption_id, held, uncovered, redeemed, in_doubt, calls, changing, hash, created, updated)
VALUES (?, ?, ?, 3, ?, ?, ?, ?, NULL, ?, ?, ?, 0, 0, NULL, ?, ?, ?)"""


class Card:
    __slots__ = ("available", "currency", "hash", "held", "id", "in_doubt", "loaded", "revision", "state")

    def __init__(
        self, id: str, state: str, revision: int, currency: str, available: int, held: int, in_doubt: int, hash: str
    ) -> None:
        self.id = id
        self.state = state
        self.revision = self.loaded = revision
        self.currency = currency
        self.available = available
        self.held = held
        self.in_doubt = in_doubt
        self.hash = hash

    def after(self) -> str:
        return f'{{"available":{self.available},"held":{self.held},"leaving":0,"in_doubt":{self.in_doubt}}}'

    def row(self, at: str) -> tuple[object, ...]:
        return self.state, self.revision, self.available, self.held, self.hash, at, self.id, self.loaded


class Payment:
    __slots__ = (
        "card", "currency", "hash", "held", "hold_id", "id", "in_doubt", "loaded", "order", "redeemed", "redemption_id",
        "revision", "state", "uncovered",
    )  # fmt: skip

    def __init__(
        self, id: str, state: str, revision: int, currency: str, order: str, card: str, hold_id: str | None,
        redemption_id: str | None, held: int, uncovered: int, redeemed: int, in_doubt: int, hash: str,
    ) -> None:  # fmt: skip
        self.id = id
        self.state = state
        self.revision = self.loaded = revision
        self.currency = currency
        self.order = order
        self.card = card
        self.hold_id = hold_id
        self.redemption_id = redemption_id
        self.held = held
        self.uncovered = uncovered
        self.redeemed = redeemed
        self.in_doubt = in_doubt
        self.hash = hash

    def after(self) -> str:
        return (
            f'{{"held":{self.held},"uncovered":{self.uncovered},"redeemed":{self.redeemed},"in_doubt":{self.in_doubt}}}'
        )

    def row(self, at: str) -> tuple[object, ...]:
        return (
            self.state, self.revision, self.hold_id, self.held, self.uncovered, self.redeemed, self.hash, at,
            self.id, self.loaded,
        )  # fmt: skip

    def new(self, at: str) -> tuple[object, ...]:
        return (
            self.id, self.state, self.revision, self.currency, self.order, self.card, self.hold_id,
            self.held, self.uncovered, self.redeemed, self.hash, at, at,
        )  # fmt: skip


class Done(NamedTuple):
    """What the caller gets. The accounts are JSON."""

    key: str
    state: str
    after: str
    replayed: bool = False


class Books:
    """One connection and a lock: commands of many threads are executed one after the other."""

    def __init__(
        self, path: str, *, clock: Callable[[], datetime] | None = None, ids: Callable[[], str] | None = None,
        connections: type[sqlite3.Connection] = sqlite3.Connection, rules: Rules | None = None,
    ) -> None:  # fmt: skip
        """`rules`: who decides about payments and their cards; by default a few ifs."""
        self.connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=256, factory=connections
        )
        self._rules: Rules = rules or Ifs()
        for pragma in ("foreign_keys = ON", "journal_mode = WAL", "synchronous = FULL"):
            self.connection.execute(f"PRAGMA {pragma}")
        self._lock = threading.Lock()
        self._clock = clock or (lambda: datetime.now(timezone.utc))
        self._ids = ids or (lambda: uuid.uuid4().hex)

    def close(self) -> None:
        self.connection.close()

    # One command, one commit

    def redeem(self, id: str, amount: int, key: str) -> Done:
        fingerprint = _fingerprint("gift_card", id, "redeem", {"amount": amount})
        with self._lock:
            execute = self.connection.execute
            execute("BEGIN IMMEDIATE")
            try:
                seen = execute(f"{SEEN} WHERE key = ?", (key,)).fetchone()
                if seen is not None:
                    return self._again(seen, fingerprint)
                card = self._card(execute(f"{CARD} WHERE id = ?", (id,)).fetchone())
                at = self._at()
                execute(ENTRY, _redeem(card, amount, key, fingerprint, at))
                self._one(execute(SET_CARD, card.row(at)))
                execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    execute("ROLLBACK")
        return Done(key, card.state, card.after())

    def authorize(self, id: str, amount: int, key: str) -> Done:
        return self._driven(id, "authorize", amount, key)

    def settle(self, id: str, amount: int, key: str) -> Done:
        return self._driven(id, "settle", amount, key)

    def _driven(self, id: str, command: str, amount: int, key: str) -> Done:
        fingerprint = _fingerprint("payment", id, command, _args(command, amount))
        with self._lock:
            execute = self.connection.execute
            execute("BEGIN IMMEDIATE")
            try:
                seen = execute(f"{SEEN} WHERE key = ?", (key,)).fetchone()
                if seen is not None:
                    return self._again(seen, fingerprint)
                row = execute(BOTH, (id,)).fetchone()
                if row is None:
                    raise Refused(f"there is no payment {id!r}")
                payment, card = Payment(*row[:13]), Card(*row[13:])
                at = self._at()
                decided = _authorize if command == "authorize" else _settle
                for entry in decided(self._rules, payment, card, amount, key, fingerprint, at, self._ids):
                    execute(ENTRY, entry)
                self._one(execute(SET_PAYMENT, payment.row(at)))
                self._one(execute(SET_CARD, card.row(at)))
                execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    execute("ROLLBACK")
        return Done(key, payment.state, payment.after())

    # Many commands, one commit

    def redeem_many(self, wanted: Sequence[tuple[str, int, str]]) -> list[Done]:
        """Redeem many (card, amount, key): read all in bulk, decide in Python, write all in bulk."""
        done = []
        with self._lock:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                seen = self._seen(key for _, _, key in wanted)
                cards = self._cards({id for id, _, _ in wanted})
                at = self._at()
                entries = []
                for id, amount, key in wanted:
                    fingerprint = _fingerprint("gift_card", id, "redeem", {"amount": amount})
                    if key in seen:
                        done.append(self._again(seen[key], fingerprint))
                        continue
                    card = self._card(cards.get(id))
                    entry = _redeem(card, amount, key, fingerprint, at)
                    entries.append(entry)
                    seen[key] = (key, fingerprint, card.state, entry[9])
                    done.append(Done(key, card.state, card.after()))
                self.connection.executemany(ENTRY, entries)
                self._all(SET_CARD, [card.row(at) for card in cards.values()])
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
        return done

    def pay_many(self, wanted: Sequence[tuple[str, str, str, int, str]]) -> list[Done]:
        """Execute many (command, payment, card, amount, key). The commands are create, authorize and settle."""
        done = []
        with self._lock:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                seen = self._seen(each[4] for each in wanted)
                payments = self._payments({each[1] for each in wanted})
                cards = self._cards({each[2] for each in wanted} | {each.card for each in payments.values()})
                at = self._at()
                entries: list[tuple[object, ...]] = []
                new: dict[str, Payment] = {}
                for command, id, on, amount, key in wanted:
                    create = {"currency": "USD", "card": on, "order": "o"}
                    args = create if command == "create" else _args(command, amount)
                    fingerprint = _fingerprint("payment", id, command, args)
                    if key in seen:
                        done.append(self._again(seen[key], fingerprint))
                        continue
                    if command == "create":
                        if id in payments:
                            raise Refused(f"payment {id!r} exists already")
                        payment = Payment(id, "requested", 0, "USD", "o", on, None, None, 0, 0, 0, 0, "")
                        payments[id] = new[id] = payment
                        made = [_create(payment, self._card(cards.get(on)), key, fingerprint, at)]
                    else:
                        payment = payments[id]
                        decided = _authorize if command == "authorize" else _settle
                        made = decided(
                            self._rules, payment, cards[payment.card], amount, key, fingerprint, at, self._ids
                        )
                    entries += made
                    seen[key] = (key, fingerprint, payment.state, made[0][9])
                    done.append(Done(key, payment.state, payment.after()))
                self.connection.executemany(ENTRY, entries)
                self.connection.executemany(ADD_PAYMENT, [payment.new(at) for payment in new.values()])
                self._all(SET_PAYMENT, [each.row(at) for id, each in payments.items() if id not in new])
                self._all(SET_CARD, [card.row(at) for card in cards.values()])
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
        return done

    # Reading and checking

    def _seen(self, keys: Iterable[str]) -> dict[str, tuple[str, str, str, str]]:
        return {row[0]: row for row in self._chosen(SEEN, "key", keys)}

    def _cards(self, ids: Iterable[str]) -> dict[str, Card]:
        return {row[0]: Card(*row) for row in self._chosen(CARD, "id", ids)}

    def _payments(self, ids: Iterable[str]) -> dict[str, Payment]:
        return {row[0]: Payment(*row) for row in self._chosen(PAYMENT, "id", ids)}

    def _chosen(self, select: str, column: str, values: Iterable[str]) -> list[tuple[str, ...]]:
        wanted = list(values)
        marks = ", ".join("?" * len(wanted))
        return self.connection.execute(f"{select} WHERE {column} IN ({marks})", wanted).fetchall()

    def _card(self, found: tuple[object, ...] | Card | None) -> Card:
        if found is None:
            raise Refused("there is no such card")
        return found if isinstance(found, Card) else Card(*found)  # type: ignore[arg-type]

    def _again(self, seen: tuple[str, str, str, str], fingerprint: str) -> Done:
        key, kept, state, after = seen
        if kept != fingerprint:
            raise Refused(f"key {key!r} was used for something else")
        return Done(key, state, after, replayed=True)

    def _at(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def _one(self, cursor: sqlite3.Cursor) -> None:
        if cursor.rowcount != 1:
            raise Refused("somebody else was faster")

    def _all(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        if rows and self.connection.executemany(statement, rows).rowcount != len(rows):
            raise Refused("somebody else was faster")


def _args(command: str, amount: int) -> dict[str, object]:
    """As the local provider decides, the rest of a hold stays held."""
    return {"amount": amount, "keep_hold": True} if command == "settle" else {"amount": amount}


def _fingerprint(machine: str, id: str, command: str, args: dict[str, object]) -> str:
    return hashlib.sha256(encode([machine, id, command, args]).encode()).hexdigest()


def _entry(
    machine: str, entity: Card | Payment, transition: str, command: str, before: str | None, args: str, postings: str,
    facts: str, key: str | None, cause: str | None, fingerprint: str | None, at: str,
) -> tuple[object, ...]:  # fmt: skip
    """Make the row of an entry, and give the entity its new revision and hash."""
    entity.revision += 1
    after = entity.after()
    chained = (
        f"{entity.hash}\n{machine}\n{entity.id}\n{entity.revision}\n3\n{transition}\n{command}\ndone\n{before or ''}\n"
        f"{entity.state}\n{args}\n{postings}\n{facts}\n{after}\n{entity.currency}\n\n{key or ''}\n{cause or ''}\n"
        f"{fingerprint or ''}\n\n\n{at}"
    )
    entity.hash = hashlib.sha256(chained.encode()).hexdigest()
    return (
        machine, entity.id, entity.revision, transition, command, before, entity.state, args, postings, facts, after,
        entity.currency, key, cause, fingerprint, at, entity.hash,
    )  # fmt: skip


def _redeem(card: Card, amount: int, key: str, fingerprint: str, at: str) -> tuple[object, ...]:
    if card.state != "issued" or not 0 < amount <= card.available:
        raise Refused(f"card {card.id!r} is {card.state} and refuses to redeem {amount}")
    card.available -= amount
    args, postings = f'{{"amount":{amount},"now":"{at}"}}', f'[["available","spent",{amount}]]'
    return _entry(
        "gift_card", card, "redeem", "redeem", card.state, args, postings, "{}", key, None, fingerprint, at
    )  # fmt: skip


def _create(payment: Payment, card: Card, key: str, fingerprint: str, at: str) -> tuple[object, ...]:
    if payment.currency != card.currency:
        raise Refused("two currencies")
    args, facts = encode({"currency": payment.currency}), encode({"order": payment.order, "card": payment.card})
    return _entry("payment", payment, "create", "create", None, args, "[]", facts, key, None, fingerprint, at)


def _authorize(
    rules: Rules, payment: Payment, card: Card, amount: int, key: str, fingerprint: str, at: str, ids: Callable[[], str]
) -> list[tuple[object, ...]]:
    before = payment.state
    rules.authorize(payment, card, amount)
    payment.hold_id = ids()
    args, facts = (
        f'{{"amount":{amount},"now":"{at}"}}',
        encode({"hold_id": payment.hold_id, "until": None}),
    )
    given = f'{{"amount":{amount},"now":"{at}"}}'
    posted, held = f'[["card","held",{amount}]]', f'[["available","held",{amount}]]'
    return [
        _entry("payment", payment, "authorize", "authorize", before, args, posted, facts, key, None, fingerprint, at),
        _entry("gift_card", card, "hold", "hold", card.state, given, held, "{}", None, key, None, at),
    ]


def _settle(
    rules: Rules, payment: Payment, card: Card, amount: int, key: str, fingerprint: str, at: str, ids: Callable[[], str]
) -> list[tuple[object, ...]]:
    before, hold = payment.state, payment.hold_id
    rules.settle(payment, card, amount)
    payment.hold_id = None
    args, posted = encode(_args("settle", amount)), f'[["held","redeemed",{amount}]]'
    given, spent = (
        encode({"amount": amount, "release": 0, "hold": hold, "whole": amount, "now": at}),
        f'[["held","spent",{amount}]]',
    )
    facts = '{"hold_id":null}'
    return [
        _entry("payment", payment, "settle_all", "settle", before, args, posted, facts, key, None, fingerprint, at),
        _entry("gift_card", card, "redeem_hold", "redeem_hold", card.state, given, spent, "{}", None, key, None, at),
    ]

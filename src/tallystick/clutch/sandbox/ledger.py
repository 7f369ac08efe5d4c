"""The provider's books: card sets, cards, balances, holds and history, in one SQLite database.

Value enters and leaves only through `Ledger.record`, which writes the history entry with its signed updates, while
`add` and `set_hold` move what is available and held. `audit` proves for every card that the three agree. Balances
and holds cannot go below zero: the schema refuses it, whatever the code above does.

One lock and one connection serve all threads; `transaction` holds both, so a request is all or nothing.
"""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs import frozen

from tallystick.clutch.sandbox.exact_json import dumps, loads
from tallystick.clutch.sandbox.settings import CardSet, Settings, ValueType

Status = Literal["inventory", "active", "suspended"]
Operation = Literal[
    "allocate", "issue", "redeem", "hold", "redeem_from_hold", "release", "adjustment", "account", "void",
    "checkout", "checkout_setup",
]  # fmt: skip

SCHEMA = Path(__file__).with_name("schema.sql")


@frozen
class Origin:
    """Who asked: goes into the history beside what was done."""

    request_ref: str
    location: str | None = None
    terminal: str | None = None
    custom_request_id: str | None = None
    external_id: str | None = None


@frozen
class Card:
    """A card. `activated`: milliseconds since 1970; `account`: what updateAccount was sent."""

    number: str
    card_set: str
    status: Status
    pin: str | None = attrs.field(repr=False)
    activated: int | None
    account: dict[str, Any] = attrs.field(repr=False)


@frozen
class Hold:
    """An open hold, or a closed one with `amount` 0; `placed` is what it held at first."""

    id: str
    number: str
    value: ValueType
    placed: int
    amount: int


@frozen
class Update:
    """A signed change of one balance, in minor units."""

    value: ValueType
    minor: int


@frozen
class Entry:
    """A line of history, as `cardHistory` reads it."""

    seq: int
    transaction_id: str
    request_ref: str
    number: str | None
    time: int
    location: str | None
    operation: Operation
    call_type: str
    updates: tuple[Update, ...]
    shown: bool
    hold_id: str | None
    voided_by: str | None


CARD = ", ".join(field.name for field in attrs.fields(Card))
HOLD = "id, number, kind, code, placed, amount"
ENTRY = ", ".join(field.name for field in attrs.fields(Entry))


class Ledger:
    """The books. `clock` is seconds since 1970; without a `state` file they are in memory."""

    def __init__(self, settings: Settings, *, seed: int, state: Path | None, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self._clock = clock
        self._values = {(value.kind, value.code): value for value in settings.value_types}
        self._db = _connect(state)
        with self.transaction():
            self.seed = int(self._meta("seed", str(seed)))
            self.boot = int(self._meta("boots", "0")) + 1
            self._db.execute("update meta set value = ? where name = 'boots'", (str(self.boot),))
        self._ids = random.Random(f"{self.seed}:{self.boot}:ids")  # noqa: S311 - to be repeatable

    def close(self) -> None:
        with self.lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, one at a time."""
        with self.lock:
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    def _meta(self, name: str, first: str) -> str:
        self._db.execute("insert or ignore into meta (name, value) values (?, ?)", (name, first))
        return str(self._db.execute("select value from meta where name = ?", (name,)).fetchone()[0])

    def remembered(self, name: str, first: str) -> str:
        """A word that outlives a restart: the stored one, or `first` from now on."""
        with self.transaction():
            return self._meta(name, first)

    def now(self) -> int:
        return int(self._clock() * 1000)

    def new_id(self) -> str:
        """A UUID no earlier run with this state has given out."""
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    def value(self, kind: str, code: str) -> ValueType | None:
        """The value type; without `code`, the only one of its kind."""
        if found := self._values.get((kind, code)):
            return found
        of_kind = [value for value in self._values.values() if value.kind == kind]
        return of_kind[0] if not code and len(of_kind) == 1 else None

    # --- Cards

    def add_set(self, name: str, card_set: CardSet) -> None:
        """Print the cards of a set; one already there only grows to `count`. Numbers and PINs follow from the seed."""
        with self.transaction():
            known = (name, card_set.physical, card_set.pins)
            self._db.execute("insert or ignore into card_set (id, physical, pins) values (?, ?, ?)", known)
            pins = bool(self._db.execute("select pins from card_set where id = ?", (name,)).fetchone()[0])
            there = self._db.execute("select count(*) from card where card_set = ?", (name,)).fetchone()[0]
            for position in range(there, card_set.count):
                self._print_card(name, position, pins)

    def _print_card(self, card_set: str, position: int, pins: bool) -> None:
        settings = self.settings
        for attempt in range(1000):
            digest = hashlib.sha256(f"{self.seed}:{card_set}:{position}:{attempt}".encode()).digest()
            digits = settings.number_length - len(settings.number_prefix)
            number = f"{settings.number_prefix}{int.from_bytes(digest[:16]) % 10**digits:0{digits}d}"
            pin = f"{int.from_bytes(digest[16:]) % 10**settings.pin_length:0{settings.pin_length}d}" if pins else None
            done = self._db.execute(
                "insert or ignore into card (number, card_set, position, pin) values (?, ?, ?, ?)",
                (number, card_set, position, pin),
            )
            if done.rowcount:
                return
        raise ValueError(f"card set {card_set}: too many cards for numbers of {settings.number_length} digits")

    def card_set(self, name: str) -> CardSet | None:
        row = self._db.execute("select physical, pins from card_set where id = ?", (name,)).fetchone()
        return None if row is None else CardSet(count=0, physical=bool(row[0]), pins=bool(row[1]))

    def card(self, number: str) -> Card | None:
        row = self._db.execute(f"select {CARD} from card where number = ?", (number,)).fetchone()
        return None if row is None else _card(row)

    def free_card(self, card_set: str) -> Card | None:
        """The next card of the set that was never allocated."""
        wanted = f"select {CARD} from card where card_set = ? and status = 'inventory' order by position limit 1"
        row = self._db.execute(wanted, (card_set,)).fetchone()
        return None if row is None else _card(row)

    def cards_of(self, card_set: str, status: Status) -> list[Card]:
        wanted = f"select {CARD} from card where card_set = ? and status = ? order by position"
        rows = self._db.execute(wanted, (card_set, status))
        return [_card(row) for row in rows]

    def find(self, wanted: dict[str, str], statuses: Sequence[str], limit: int, offset: int) -> list[Card]:
        """Cards that match every wanted column, in the order they were printed."""
        where = " and ".join([f"{column} = ?" for column in wanted] + [f"status in ({_marks(statuses)})"])
        sql = f"select {CARD} from card where {where} order by rowid limit ? offset ?"
        rows = self._db.execute(sql, (*wanted.values(), *statuses, limit, offset))
        return [_card(row) for row in rows]

    def set_status(self, number: str, status: Status) -> None:
        """A card becomes active at its first status after inventory."""
        change = "update card set status = ?, activated = coalesce(activated, ?) where number = ?"
        self._db.execute(change, (status, self.now(), number))

    def set_account(self, number: str, account: dict[str, Any]) -> None:
        customer = account.get("primaryCustomer") or {}
        found = (customer.get("email"), customer.get("phone"), account.get("customCardNumber"))
        self._db.execute(
            "update card set account = ?, email = ?, phone = ?, custom_number = ? where number = ?",
            (dumps(account), *(None if each is None else str(each) for each in found), number),
        )

    # --- Value

    def available(self, number: str, value: ValueType) -> int:
        row = self._db.execute(
            "select available from balance where number = ? and kind = ? and code = ?", (number, value.kind, value.code)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def balances(self, number: str) -> list[Update]:
        """What is available, net of holds; zero balances are left out."""
        sql = "select kind, code, available from balance where number = ? and available > 0 order by kind, code"
        rows = self._db.execute(sql, (number,))
        return [Update(self._values[kind, code], available) for kind, code, available in rows]

    def add(self, number: str, value: ValueType, minor: int) -> None:
        """Change what is available. Raises: sqlite3.IntegrityError below zero, which the callers rule out first."""
        key = (number, value.kind, value.code)
        done = self._db.execute(
            "update balance set available = available + ? where number = ? and kind = ? and code = ?", (minor, *key)
        )
        if not done.rowcount:
            self._db.execute("insert into balance (available, number, kind, code) values (?, ?, ?, ?)", (minor, *key))

    def hold(self, hold_id: str) -> Hold | None:
        row = self._db.execute(f"select {HOLD} from hold where id = ?", (hold_id,)).fetchone()
        return None if row is None else self._hold(row)

    def open_holds(self, number: str) -> list[Hold]:
        sql = f"select {HOLD} from hold where number = ? and amount > 0 order by created, rowid"
        rows = self._db.execute(sql, (number,))
        return [self._hold(row) for row in rows]

    def place_hold(self, hold_id: str, number: str, value: ValueType, minor: int) -> None:
        self._db.execute(
            "insert into hold (id, number, kind, code, placed, amount, created) values (?, ?, ?, ?, ?, ?, ?)",
            (hold_id, number, value.kind, value.code, minor, minor, self.now()),
        )

    def set_hold(self, hold_id: str, amount: int) -> None:
        self._db.execute("update hold set amount = ? where id = ?", (amount, hold_id))

    def _hold(self, row: Sequence[Any]) -> Hold:
        hold_id, number, kind, code, placed, amount = row
        return Hold(hold_id, number, self._values[kind, code], placed, amount)

    # --- History

    def next_transaction_id(self, origin: Origin) -> str:
        """The id the next `record` of this origin must be given."""
        if self.settings.transaction_ids == "request_ref":
            return origin.request_ref
        last = self._db.execute("select coalesce(max(seq), 0) from history").fetchone()[0]
        return str(self.settings.first_numeric_id + last)

    def record(
        self, origin: Origin, operation: Operation, number: str | None, updates: Sequence[Update] = (), *,
        hold_id: str | None = None, return_related: bool = False, expires: str | None = None,
    ) -> str:  # fmt: skip
        """Write a line of history; returns its transactionId."""
        transaction_id = self.next_transaction_id(origin)
        self._db.execute(
            "insert into history (transaction_id, request_ref, number, time, location, terminal, custom_request_id,"
            " external_id, operation, call_type, updates, shown, hold_id, return_related, expires)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(transaction_id, origin.request_ref, number, self.now(), origin.location, origin.terminal),
                *(origin.custom_request_id, origin.external_id, operation, self._call_type(operation)),
                dumps([(update.value.kind, update.value.code, update.minor) for update in updates]),
                *(self._shown(operation, number), hold_id, return_related, expires),
            ),
        )
        return transaction_id

    def _call_type(self, operation: Operation) -> str:
        settings = self.settings
        return {
            "allocate": "ALLOCATE", "account": settings.call_type_account, "void": settings.call_type_void,
            "checkout": settings.call_type_checkout, "checkout_setup": settings.call_type_checkout_setup,
        }.get(operation, "UPDATE_BALANCE")  # fmt: skip

    def _shown(self, operation: Operation, number: str | None) -> bool:
        if self.settings.first_issue_shows_update or operation != "issue":
            return True
        earlier = "select 1 from history where number = ? and operation = 'issue' limit 1"
        return self._db.execute(earlier, (number,)).fetchone() is not None

    def entry(self, request_ref: str) -> Entry | None:
        """What a request has done; none has done two things."""
        row = self._db.execute(f"select {ENTRY} from history where request_ref = ?", (request_ref,)).fetchone()
        return None if row is None else self._entry(row)

    def history(self, number: str) -> list[Entry]:
        """Every line of a card, newest first."""
        rows = self._db.execute(f"select {ENTRY} from history where number = ? order by seq desc", (number,))
        return [self._entry(row) for row in rows]

    def mark_voided(self, transaction_id: str, by: str) -> None:
        self._db.execute("update history set voided_by = ? where transaction_id = ?", (by, transaction_id))

    def _entry(self, row: Sequence[Any]) -> Entry:
        known = dict(zip(ENTRY.split(", "), row, strict=True))
        updates = tuple(Update(self._values[kind, code], minor) for kind, code, minor in loads(known["updates"]))
        return Entry(**{**known, "updates": updates, "shown": bool(known["shown"])})

    # --- All of it

    def sql(self, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """For checkouts, remembered answers and the operator: their SQL stands beside the verb that needs it."""
        return self._db.execute(sql, arguments).fetchall()

    def audit(self) -> list[str]:
        """Every card whose history, balances and holds disagree; empty when the books are right."""
        totals: dict[tuple[str, str, str], int] = {}
        for number, updates in self.sql("select number, updates from history where number is not null"):
            for kind, code, minor in loads(updates):
                totals[number, kind, code] = totals.get((number, kind, code), 0) + minor
        for table, column in (("balance", "available"), ("hold", "amount")):
            for number, kind, code, minor in self.sql(f"select number, kind, code, {column} from {table}"):
                totals[number, kind, code] = totals.get((number, kind, code), 0) - minor
        return [f"{number}: {kind} {code} is off by {off}" for (number, kind, code), off in totals.items() if off]


def _connect(state: Path | None) -> sqlite3.Connection:
    """A state file holds PINs, so only its owner may read it. WAL survives a killed process."""
    if state is not None:
        os.close(os.open(state, os.O_CREAT | os.O_RDWR, 0o600))
    db = sqlite3.connect(state or ":memory:", isolation_level=None, check_same_thread=False, timeout=10)
    if state is not None:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = normal")
    db.execute("pragma foreign_keys = on")
    db.executescript(SCHEMA.read_text())
    return db


def _card(row: Sequence[Any]) -> Card:
    known = dict(zip(CARD.split(", "), row, strict=True))
    return Card(**{**known, "account": {} if known["account"] == "{}" else loads(known["account"])})


def _marks(items: Sequence[object]) -> str:
    return ", ".join("?" * len(items))

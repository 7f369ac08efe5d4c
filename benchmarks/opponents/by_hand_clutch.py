"""What a good engineer would write by hand to redeem at Clutch: write down, ask, write down how it ended.

The rows are ours: two chained entries and a call before the request, so that a crash in between can be looked up, and
two entries and the call's end after it. They pass `verify`. Only one verb and one good answer are known here. There is
no limit shared among processes, no circuit breaker, no deadline, no partial approval, and no look-up.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import httpcore2

from benchmarks.opponents.by_hand import _fingerprint, encode
from benchmarks.opponents.in_memory import Refused

BOTH = """SELECT p.state, p.revision, p.currency, p."order", p.held, p.uncovered, p.redeemed, p.hash,
  c.id, c.state, c.revision, c.number, c.available, c.held, c.leaving, c.in_doubt, c.hash, c.calls, c.has_pin
FROM payment p JOIN gift_card c ON c.id = p.card WHERE p.id = ?"""
ENTRY = """INSERT INTO entry (machine, entity, revision, machine_version, transition, command, phase, from_state,
  to_state, args, postings, facts, after, currency, call, key, cause, fingerprint, by, reason, at, hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
CALL = f"INSERT INTO call VALUES ({', '.join('?' * 21)})"
END = (
    "UPDATE call SET state = 'confirmed', closed = ?, outcome = ?, claims = ?, hash = ? WHERE id = ? AND state = 'open'"
)
PAYMENT = """UPDATE payment SET state = ?, revision = ?, redemption_id = ?, redeemed = ?, in_doubt = ?, calls = ?,
  changing = ?, hash = ?, updated = ? WHERE id = ? AND revision = ?"""
CARD = """UPDATE gift_card SET revision = ?, available = ?, in_doubt = ?, calls = ?, hash = ?, updated = ?
WHERE id = ? AND revision = ?"""


class Books:
    """One connection to the database, one pool of connections to Clutch."""

    def __init__(self, path: str, known: Mapping[str, str]) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        for pragma in ("foreign_keys = ON", "journal_mode = WAL", "synchronous = FULL"):
            self.connection.execute(f"PRAGMA {pragma}")
        self._pool = httpcore2.ConnectionPool()
        self._url = f"{known['url'].rstrip('/')}/updateBalance"
        secret = b64encode(f"{known['api_key']}:{known['api_secret']}".encode()).decode()
        self._headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json",
                         "Accept": "application/json", "Accept-Encoding": "identity",
                         **{name: known[name] for name in ("brand", "location", "terminal")}}  # fmt: skip

    def close(self) -> None:
        self._pool.close()
        self.connection.close()

    def redeem(self, payment: str, amount: int, key: str) -> None:
        call = uuid.uuid4().hex
        number, order = self._asked(payment, amount, key, call)
        body = encode({
            "cardNumber": number, "action": "redeem", "redeemFromHoldTransactionId": None,
            "releaseHoldRemainder": False, "isReturnRelated": False, "returnBalances": True,
            "amount": {"balanceType": "Currency", "balanceCode": "USD", "amount": amount / 100},
        })  # fmt: skip
        headers = {**self._headers, "customRequestId": call, "externalTransactionId": order}
        answer = self._pool.request("POST", self._url, headers=list(headers.items()), content=body.encode())
        said = json.loads(answer.content)
        if answer.status != 200 or not said.get("success"):
            raise Refused(f"Clutch answers {answer.status}")
        self._confirmed(payment, amount, key, call, said)

    def _asked(self, payment: str, amount: int, key: str, call: str) -> tuple[str, str]:
        execute, at = self.connection.execute, _now()
        execute("BEGIN IMMEDIATE")
        if execute("SELECT 1 FROM entry WHERE key = ?", (key,)).fetchone() is not None:
            raise Refused("the key was seen before")
        row = execute(BOTH, (payment,)).fetchone()
        state, revision, currency, order, held, uncovered, redeemed, hash = row[:8]
        card, on, at_card, number, available, kept, leaving, doubt, hash_card, calls, has_pin = row[8:]
        if state != "requested" or on != "issued" or not 0 < amount <= available:
            raise Refused(f"payment {payment!r} is {state}, its card {on}")
        after = _after_payment(held, uncovered, redeemed, amount)
        mine = _entry(hash, "payment", payment, revision + 1, "asked", state, state, None, amount, ("card", "in_doubt"),
                      "{}", after, currency, call, key, None, _mark(payment, amount), at)  # fmt: skip
        after = _after_card(available - amount, kept, leaving, doubt + amount)
        theirs = _entry(hash_card, "gift_card", card, at_card + 1, "asked", on, on, at, amount,
                        ("available", "in_doubt"), "{}", after, currency, call, None, key, None, at)  # fmt: skip
        said = {"amount": amount, "allow_partial": False}
        steps = [["payment", payment, "redeem", "redeem", said, [amount], "amount"],
                 ["gift_card", card, "redeem", "redeem", {**said, "now": at}, [amount], "amount"]]  # fmt: skip
        given: dict[str, Any] = {"amount": amount}
        if has_pin is not None:
            given["has_pin"] = bool(has_pin)
        fields: list[Any] = [
            call, key, "redeem", "gift_card", card, currency, encode({**given, "allow_partial": False, "order": order}),
            encode(steps), False, "open", 1, at, at,
            None, None, None, None, False, None, None,
        ]  # fmt: skip
        execute(ENTRY, mine)
        execute(ENTRY, theirs)
        execute(PAYMENT, (state, revision + 1, None, redeemed, amount, 1, "redeem", mine[-1], at, payment, revision))
        execute(CARD, (at_card + 1, available - amount, doubt + amount, calls + 1, theirs[-1], at, card, at_card))
        execute(CALL, (*fields, _hash(fields)))
        execute("COMMIT")
        return number, order

    def _confirmed(self, payment: str, amount: int, key: str, call: str, said: Mapping[str, Any]) -> None:
        execute, at = self.connection.execute, _now()
        reference = said["transactionId"]
        available_there = round(sum(each["amount"] for each in said["balances"] if not each["isHold"]) * 100)
        execute("BEGIN IMMEDIATE")
        opened = list(execute("SELECT * FROM call WHERE id = ?", (call,)).fetchone())
        state, revision, currency, _, held, uncovered, redeemed, hash, *rest = execute(BOTH, (payment,)).fetchone()
        card, on, at_card, _, available, kept, leaving, doubt, hash_card, calls, _ = rest
        after = _after_payment(held, uncovered, redeemed + amount, 0)
        mine = _entry(hash, "payment", payment, revision + 1, "confirmed", state, "closed", None, amount,
                      ("in_doubt", "redeemed"), encode({"redemption_id": said["requestRef"]}), after, currency, call,
                      None, key, None, at)  # fmt: skip
        after = _after_card(available, kept, leaving, doubt - amount)
        theirs = _entry(hash_card, "gift_card", card, at_card + 1, "confirmed", on, on, opened[11], amount,
                        ("in_doubt", "spent"), "{}", after, currency, call, None, key, None, at)  # fmt: skip
        outcome = encode({"result": "confirmed", "reference": reference, "request": said["requestRef"],
                          "available": available_there})  # fmt: skip
        fields = [*opened[:8], False, "confirmed", *opened[10:13], at, outcome, None, None, False,
                  f"clutch {reference}", None]  # fmt: skip
        execute(ENTRY, mine)
        execute(ENTRY, theirs)
        execute(PAYMENT, ("closed", revision + 1, said["requestRef"], redeemed + amount, 0, 0, None, mine[-1], at,
                          payment, revision))  # fmt: skip
        execute(CARD, (at_card + 1, available, doubt - amount, calls - 1, theirs[-1], at, card, at_card))
        execute(END, (at, outcome, f"clutch {reference}", _hash(fields), call))
        execute("COMMIT")


def _after_payment(held: int, uncovered: int, redeemed: int, in_doubt: int) -> str:
    return f'{{"held":{held},"uncovered":{uncovered},"redeemed":{redeemed},"in_doubt":{in_doubt}}}'


def _after_card(available: int, held: int, leaving: int, in_doubt: int) -> str:
    return f'{{"available":{available},"held":{held},"leaving":{leaving},"in_doubt":{in_doubt}}}'


def _entry(
    before: str, machine: str, id: str, revision: int, phase: str, was: str, state: str, now: str | None, amount: int,
    moved: tuple[str, str], facts: str, after: str, currency: str, call: str, key: str | None, cause: str | None,
    fingerprint: str | None, at: str,
) -> tuple[Any, ...]:  # fmt: skip
    more = "" if now is None else f',"now":"{now}"'
    fields = (
        machine, id, revision, 3, "redeem", "redeem", phase, was, state, f'{{"amount":{amount}{more}}}',
        f'[["{moved[0]}","{moved[1]}",{amount}]]', facts, after, currency, call, key, cause, fingerprint, "bench",
        None, at,
    )  # fmt: skip
    text = "\n".join(["" if field is None else str(field) for field in fields])
    return (*fields, hashlib.sha256(f"{before}\n{text}".encode()).hexdigest())


def _mark(payment: str, amount: int) -> str:
    return _fingerprint("payment", payment, "redeem", {"amount": amount})


def _hash(call: list[Any]) -> str:
    return hashlib.sha256(encode(call).encode()).hexdigest()


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

"""What a good engineer would write by hand for PostgreSQL with psycopg: a card redeemed, with the same rows.

The guarantees are those of `by_hand`: the key is looked up, the card is locked, guards are checked, the entry is
hashed and chained, and statements are prepared. `redeem` decides in Python, in two pipelined trips.
`redeem_cte` decides in the database, in one statement. `redeem_many` reads and writes in bulk. `drain` does the same
with redeems that wait in the queue, beside any number of others: what one has locked, the others skip. Nothing keeps
the order of a card among them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

import psycopg
from psycopg.types.numeric import Int8Dumper

from benchmarks.opponents.by_hand import Card, _fingerprint, _redeem, encode
from benchmarks.opponents.in_memory import Refused

CARD = """SELECT id, state, revision, currency, available, held, in_doubt, hash FROM tallystick.gift_card
WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"""
SEEN = "SELECT key FROM tallystick._key WHERE key = ANY(%s)"
NAMES = """machine, entity, revision, machine_version, transition, command, phase, from_state, to_state, args, postings,
  facts, after, currency, key, cause, fingerprint, at, hash"""
ONE = f"""INSERT INTO tallystick.entry ({NAMES}) VALUES (%s, %s, %s, 3, %s, %s, 'done', %s, %s, %s::json, %s::json,
  %s::json, %s::json, %s, %s, %s, %s, %s, %s)"""
MANY = f"""INSERT INTO tallystick.entry ({NAMES})
SELECT a, b, c, 3, d, e, 'done', f, g, h, i, j, k, l, m, n, o, p, q FROM unnest(%s::text[], %s::text[], %s::bigint[],
  %s::text[], %s::text[], %s::text[], %s::text[], %s::json[], %s::json[], %s::json[], %s::json[], %s::text[],
  %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
  AS new (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q)"""
SET_ONE = """UPDATE tallystick.gift_card
SET state = %s, revision = %s, available = %s, held = %s, hash = %s, updated = %s
WHERE id = %s AND revision = %s"""
SET_MANY = """UPDATE tallystick.gift_card AS old
SET state = new.a, revision = new.b, available = new.c, held = new.d, hash = new.e, updated = new.f
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[])
  AS new (a, b, c, d, e, f, id, revision) WHERE old.id = new.id AND old.revision = new.revision"""
DUE = """SELECT key, machine, entity, command, args::text, due, attempts FROM tallystick.queue
WHERE state = 'waiting' AND due <= %s ORDER BY due, key LIMIT %s FOR NO KEY UPDATE SKIP LOCKED"""
DONE = """UPDATE tallystick.queue AS old SET state = 'done', attempts = new.attempts, hash = new.hash
FROM unnest(%s::text[], %s::bigint[], %s::text[]) AS new (key, attempts, hash) WHERE old.key = new.key"""
TEXT = """'{"available":%%s,"held":%%s,"leaving":%%s,"in_doubt":%%s}'"""
CTE = f"""WITH done AS (
  UPDATE tallystick.gift_card SET available = available - %(amount)s, revision = revision + 1, updated = %(at)s,
    hash = encode(sha256(convert_to(concat_ws(E'\\n', hash, 'gift_card', id, revision + 1, 3, 'redeem', 'redeem',
      'done', state, state, %(args)s::text, %(postings)s::text, '{{}}',
      format({TEXT}, available - %(amount)s, held, leaving, in_doubt), currency, '',
      %(key)s::text, '', %(fingerprint)s::text, '', '', %(at)s::text), 'UTF8')), 'hex')
  WHERE id = %(id)s AND state = 'issued' AND available >= %(amount)s AND %(amount)s > 0
    AND NOT EXISTS (SELECT FROM tallystick._key WHERE key = %(key)s::text)
  RETURNING id, revision, state, currency, hash, format({TEXT}, available, held, leaving, in_doubt)::json AS after)
INSERT INTO tallystick.entry ({NAMES})
SELECT 'gift_card', id, revision, 3, 'redeem', 'redeem', 'done', state, state, %(args)s::json, %(postings)s::json,
  '{{}}', after, currency, %(key)s::text, NULL, %(fingerprint)s::text, %(at)s::text, hash FROM done RETURNING seq"""


class Books:
    """One connection."""

    def __init__(self, url: str, *, clock: Callable[[], datetime] | None = None) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.adapters.register_dumper(int, Int8Dumper)
        self.connection.prepare_threshold = 2
        self._clock = clock or (lambda: datetime.now(timezone.utc))

    def close(self) -> None:
        self.connection.close()

    def redeem(self, id: str, amount: int, key: str) -> str:
        fingerprint = _fingerprint("gift_card", id, "redeem", {"amount": amount})
        (card,), at = self._read([id], [key])
        entry = _redeem(card, amount, key, fingerprint, at)
        self._write((ONE, entry), (SET_ONE, card.row(at)))
        return card.after()

    def redeem_cte(self, id: str, amount: int, key: str) -> None:
        at = self._at()
        given = {"id": id, "amount": amount, "key": key, "at": at, "args": f'{{"amount":{amount},"now":"{at}"}}',
                 "postings": f'[["available","spent",{amount}]]',
                 "fingerprint": _fingerprint("gift_card", id, "redeem", {"amount": amount})}  # fmt: skip
        if self.connection.execute(CTE, given).fetchone() is None:
            raise Refused(f"card {id!r} refuses to redeem {amount}, or the key was seen")

    def redeem_many(self, wanted: Sequence[tuple[str, int, str]]) -> list[str]:
        """Redeem many (card, amount, key) in one transaction."""
        return self._redeem_many(wanted)

    def _redeem_many(
        self, wanted: Sequence[tuple[str, int, str]], *more: tuple[str, Sequence[Any]], begin: str = "BEGIN"
    ) -> list[str]:
        found, at = self._read(sorted({id for id, _, _ in wanted}), [key for _, _, key in wanted], begin)
        cards = {card.id: card for card in found}
        entries, done = [], []
        for id, amount, key in wanted:
            fingerprint = _fingerprint("gift_card", id, "redeem", {"amount": amount})
            entries.append(_redeem(cards[id], amount, key, fingerprint, at))
            done.append(cards[id].after())
        rows = [card.row(at) for card in cards.values()]
        self._write((MANY, _columns(entries)), (SET_MANY, _columns(rows)), *more)
        return done

    def drain(self, limit: int) -> int:
        """Redeem what is due, up to `limit` of them, in one transaction; how many."""
        self.connection.execute("BEGIN")
        due = self.connection.execute(DUE, (self._at(), limit)).fetchall()
        done = []
        for key, machine, entity, command, args, when, attempts in due:
            content = (key, machine, entity, command, args, when, attempts + 1, "done", *[None] * 5)
            done.append((key, attempts + 1, hashlib.sha256(encode(content).encode()).hexdigest()))
        wanted = [(entity, int(json.loads(args)["amount"]), key) for key, _, entity, _, args, _, _ in due]
        self._redeem_many(wanted, (DONE, _columns(done)), begin="")
        return len(due)

    def _read(self, ids: list[str], keys: list[str], begin: str = "BEGIN") -> tuple[list[Card], str]:
        execute = self.connection.execute
        with self.connection.pipeline():
            if begin:
                execute(begin)
            cards, seen = execute(CARD, (ids,)), execute(SEEN, (keys,))
        if seen.fetchone() is not None:
            raise Refused("a key was seen before")
        return [Card(*row) for row in cards.fetchall()], self._at()

    def _write(self, *statements: tuple[str, Sequence[Any]]) -> None:
        execute = self.connection.execute
        with self.connection.pipeline():
            for statement in statements:
                execute(*statement)
            execute("COMMIT")

    def _at(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]

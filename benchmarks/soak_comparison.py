"""What a soak compares in the end: every call and every card of our books, with the sandbox's own file."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Container, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs

from tallystick.books.books import Books

OPERATION = {"issue": "issue", "hold": "hold", "redeem": "redeem", "redeem_hold": "redeem_from_hold",
             "release_hold": "release", "void": "void"}  # fmt: skip


@attrs.frozen
class Line:
    """What a request of ours did, by the sandbox's own file. For a hold: the amount it began with."""

    call: str
    id: str
    number: str
    operation: str
    terminal: str  # one for each HTTP request
    amount: int

    @property
    def change(self) -> int:
        """Of what is available."""
        return -self.amount if self.operation == "hold" else self.amount


def lines_at(theirs: Path) -> list[Line]:
    with closing(sqlite3.connect(theirs)) as books:
        rows = books.execute(
            "select h.custom_request_id, h.transaction_id, h.number, h.operation, h.terminal, h.updates, p.placed"
            " from history h left join hold p on p.id = h.transaction_id"
            " where h.custom_request_id is not null order by h.seq"
        ).fetchall()
    return [
        Line(*named, named_hold if named[3] == "hold" else sum(each[2] for each in json.loads(updates)))
        for *named, updates, named_hold in rows
    ]


def _doubles(lines: list[Line], claimed: Container[str]) -> list[Line]:
    """What the provider did a second time for one request, and no call of ours has claimed."""
    by_request: dict[str, list[Line]] = {}
    for line in lines:
        by_request.setdefault(line.terminal, []).append(line)
    several = [each for each in by_request.values() if len(each) > 1 and any(line.id in claimed for line in each)]
    return [line for each in several for line in each if line.id not in claimed]


def compared(books: Books, theirs: Path) -> tuple[list[str], int, int, int, int]:
    """What differs, and the numbers of calls, of calls that a look-up ended, of doubles, and of cards."""
    wrong, here = list[str](), Counter[tuple[object, ...]]()
    with books.engine.store.reading() as reading:
        cards = {each.id: each for each in reading.all("gift_card")}
        payments = list(reading.all("payment"))
        rows = list(reading.all_calls())
        heard = Counter[str]()  # what our books have heard of what others moved, by card
        for entry in reading.journal("gift_card"):
            for source, target, amount in json.loads(entry.postings):
                heard[entry.entity] += amount * ((source == "elsewhere") - (target == "elsewhere"))
    claims = Counter[str]()
    for row in rows:
        told, args = row.ended, json.loads(row.args)
        if row.state == "open":
            wrong.append(f"{row.id} ({row.verb}) is in doubt: {row.note}")
        if row.state != "confirmed" or row.verb not in OPERATION or told is None:
            continue
        minor = told.amount if told.amount is not None else args["amount"]
        sign = {"redeem": -1, "redeem_hold": -1, "release_hold": 0}.get(row.verb, 1)
        here[cards[row.entity].facts["number"], OPERATION[row.verb], sign * minor] += 1
        claims[str(told.reference)] += 1
    lines = lines_at(theirs)
    doubles = _doubles(lines, claims)
    kept = [each for each in lines if each.operation != "allocate" and each not in doubles]
    there = Counter((each.number, each.operation, each.amount) for each in kept)
    wrong += [f"done at Clutch, not here: {each}" for each in (there - here).elements()]
    wrong += [f"done here, not at Clutch: {each}" for each in (here - there).elements()]
    wrong += [f"{id} is claimed {count} times" for id, count in claims.items() if count > 1]
    wrong += _holds(theirs, payments, {each.id for each in doubles})
    wrong += _balances(theirs, list(cards.values()), doubles, heard)
    done = [row for row in rows if row.state == "confirmed"]
    return wrong, len(rows), sum(row.note is not None or row.attempts > 1 for row in done), len(doubles), len(cards)


def _holds(theirs: Path, payments: list[Any], doubles: Container[str]) -> list[str]:
    """Compare every open hold there, without the provider's doubles, with every payment here that holds something."""
    with closing(sqlite3.connect(theirs)) as books:
        open_ = dict(books.execute("select id, amount from hold where amount > 0").fetchall())
    held = {str(each.facts["hold_id"]): each.accounts["held"] for each in payments if each.accounts["held"]}
    return [
        f"hold {id}: {held.get(id, 0)} here, {open_.get(id, 0)} at Clutch"
        for id in sorted(held.keys() | {each for each in open_ if each not in doubles})
        if held.get(id, 0) != open_.get(id, 0)
    ]


def _balances(theirs: Path, cards: list[Any], doubles: list[Line], heard: Mapping[str, int]) -> list[str]:
    """Compare what is available on every card there and here, without what others and the provider itself did.

    `heard`: how much of that our books have taken in already, because an answer stated the balance.
    """
    with closing(sqlite3.connect(theirs)) as books:
        available = dict(books.execute("select number, available from balance").fetchall())
        others = Counter[str]()
        for number, updates in books.execute("select number, updates from history where custom_request_id is null"):
            others[number] += sum(each[2] for each in json.loads(updates))
    for each in doubles:
        others[each.number] += each.change
    return [
        f"{card.id}: {card.accounts} here, {available.get(number, 0)} available there, others moved {others[number]}"
        for card in cards
        if (number := card.facts["number"])
        and card.accounts["available"] + others[number] - heard[card.id] != available.get(number, 0)
    ]

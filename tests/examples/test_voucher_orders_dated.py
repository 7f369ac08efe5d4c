"""The voucher orders told week by week, each with the moment at which it happened, and in no order.

A tenth of the cards is given away, some expire, some orders are edited before they ship. Our own books and a sandbox of
Clutch end in the same totals, and every report closes in every month. The judge is SQL over the journal.
"""

from __future__ import annotations

import json
import runpy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from clutch_world import MACHINES, Clock, World
from postgres_books import postgres_url
from tallystick import reports
from tallystick.books.books import Books
from tallystick.cli.commands.json_lines import Summary, run_lines
from tallystick.engine.engine import Engine
from tallystick.money import parse, to_text
from tallystick.provider.local import LocalProvider
from tallystick.reports import Report
from tallystick.store.open import open_store
from voucher_data import BOTH, EXAMPLE, SAMPLE, VoucherOrders

WEEK = timedelta(days=7)
INSIDE = tuple(MACHINES["gift_card"].columns)
Told = list[tuple[datetime, list[dict[str, Any]]]]  # a moment, and what is told then


@cache
def story(data: VoucherOrders) -> Told:
    """What is told at the end of each week: the week's events with their moments, voucher by voucher, in no order."""
    example = runpy.run_path(str(EXAMPLE / "orders.py"))
    tenders = {tender.id: (order, tender) for order in example["read"](data.folder) for tender in order.tenders}
    lot = example["lot"]
    found: list[tuple[datetime, dict[str, Any]]] = []
    for event in example["events"](
        [order for order, _ in {id(order): (order, 0) for order, _ in tenders.values()}.values()]
    ):
        line = json.loads(event.line.replace('"BRL"', '"USD"'))
        at = event.at.replace(tzinfo=timezone.utc)
        order, tender = tenders[line["id"].removesuffix("/card")]
        if (line["machine"], line["command"]) == ("gift_card", "create"):
            line["args"] |= {"kind": "promo"} if lot(tender, "promo") % 10 == 0 else {}
            if lot(tender, "expires") % 4 == 0 and order.state not in example["CALLED_OFF"]:
                line["args"]["expires"] = (order.placed.replace(tzinfo=timezone.utc) + 3 * WEEK).isoformat()
        line["args"].pop("keep_hold", None)
        found.append((at, {**line, "occurred_at": at.isoformat()}))
    _edit(found, lot, tenders)
    begin = min(at for at, _ in found).replace(hour=0, minute=0, second=0, microsecond=0)
    weeks: dict[int, list[tuple[datetime, dict[str, Any]]]] = {}
    for at, line in found:
        weeks.setdefault((at - begin) // WEEK, []).append((at, line))
    told: Told = []
    for number in range(max(weeks) + 6):  # and five more, in which cards expire
        lines = sorted(weeks.get(number, []), key=lambda each: lot(tenders[each[1]["id"].removesuffix("/card")][1], ""))
        told.append((begin + (number + 1) * WEEK, [line for _, line in lines]))
    return told


def _edit(found: list[tuple[datetime, dict[str, Any]]], lot: Any, tenders: Any) -> None:
    """Of each fifth voucher that is shipped, the order wants less before that: half of its last shipment."""
    for id, (_, tender) in tenders.items():
        mine = [(at, line) for at, line in found if line["id"] == id]
        last = next(((at, line) for at, line in mine if line["args"].get("last")), None)
        if lot(tender, "edit") % 5 or last is None:
            continue
        cents = parse(last[1]["args"]["amount"], "USD")
        less = cents // 2
        if not less:
            continue
        last[1]["args"]["amount"] = to_text(cents - less, "USD")
        for _, line in mine:
            if line["command"] == "refund":
                line["args"]["amount"] = to_text(parse(line["args"]["amount"], "USD") - less, "USD")
        authorized = next(at for at, line in found if line["id"] == id and line["command"] == "authorize")
        edit = {"key": f"{id}/reduce", "machine": "payment", "id": id, "command": "reduce", "by": "customer",
                "args": {"amount": to_text(less, "USD")}, "occurred_at": authorized.isoformat()}  # fmt: skip
        place = next(at for at, (_, line) in enumerate(found) if line["id"] == id and line["command"] == "authorize")
        found.insert(place + 1, (authorized, edit))


@contextmanager
def books_of(where: str, folder: Path) -> Iterator[tuple[Books, Clock]]:
    url = postgres_url() if where == "postgres" else nullcontext(f"sqlite:///{folder}/{where}.db")
    with url as url:
        if where == "clutch":
            world = World(sets={"Voucher": 2000}, store=open_store(url))
            engine, clock = world.engine, world.clock
        else:
            clock = Clock()
            engine = Engine(MACHINES, open_store(url), LocalProvider(), clock=clock)
        with Books(engine) as books:
            yield books, clock
            if where == "clutch":
                world.agree()


def tell(books: Books, clock: Clock, told: Told) -> None:
    for moment, lines in told:
        clock.now = moment
        answers = list(run_lines(books.engine, [json.dumps(each).encode() for each in lines], Summary()))
        assert {each["result"] for each in answers} <= {"applied"}, [each for each in answers if each["why"]]
        books.run_due()
    assert not books.stuck()
    assert books.verify().clean


def totals(books: Books) -> dict[tuple[str, ...], Counter[str]]:
    """By machine, state and kind: how many, and what stands on them."""
    found: dict[tuple[str, ...], Counter[str]] = {}
    with books.engine.store.reading() as reading:
        for machine in ("gift_card", "payment"):
            for each in reading.all(machine):
                by = (machine, each.state, str(each.facts.get("kind")))
                found.setdefault(by, Counter()).update({"number": 1, **each.accounts})
    return found


def by_month(books: Books) -> dict[str, Counter[tuple[str, str, str]]]:
    """What moved on cards each month, by source, target and command: from the journal, without a view of reports."""
    query = (
        "SELECT substr(coalesce(e.occurred_at, e.at), 1, 7), p.source, p.target, e.command, sum(p.amount) "
        "FROM posting p JOIN entry e ON e.seq = p.seq WHERE p.machine = 'gift_card' GROUP BY 1, 2, 3, 4"
    )
    found: dict[str, Counter[tuple[str, str, str]]] = {}
    with books.engine.store.reading() as reading:
        for month, source, target, command, amount in reading.select(query):
            found.setdefault(month, Counter())[source, target, command] += int(amount)
    return dict(sorted(found.items()))


def of(report: Report, name: str, **where: str) -> int:
    rows = [row for row in (report.rows if where else report.totals) if where.items() <= row.items()]
    return sum(int(str(row.get(name) or 0)) for row in rows)


def close(books: Books) -> list[dict[str, int]]:
    """Every report beside the journal, month by month; what the months say."""
    months = by_month(books)
    stood: Counter[str] = Counter()
    said = []
    for month, moved in months.items():
        first = datetime.fromisoformat(f"{month}-01").date()
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        opening = sum(stood[name] for name in INSIDE)
        for (source, target, _), amount in moved.items():
            stood[source] -= amount
            stood[target] += amount
        closing = sum(stood[name] for name in INSIDE)
        rolled = reports.rollforward(books, start=str(first), end=str(last))
        assert (of(rolled, "opening"), of(rolled, "closing")) == (opening, closing)
        figures = {"issued": ("issuance", ""), "given_away": ("promotion", ""), "refunded": ("spent", ""),
                   "spent": ("", "spent"), "expired": ("", "expired")}  # fmt: skip
        for figure, (source, target) in figures.items():
            came = sum(each for (left, _, _), each in moved.items() if source and left == source)
            went = sum(each for (_, to, _), each in moved.items() if target and to == target)
            assert of(rolled, figure) == came - went, (month, figure)
        owed = reports.liability(books, as_of=str(last))
        assert of(owed, "total") == closing
        assert {name: of(owed, name) for name in ("available", "held")} == {
            name: stood[name] for name in ("available", "held")
        }
        assert of(reports.liability(books, as_of=str(last), by=("kind",)), "total", kind="promo") > 0 or month < "2026"
        balance = reports.trial_balance(books, start=str(first), end=str(last))
        assert not of(balance, "closing")
        for name, amount in stood.items():
            assert of(balance, "closing", machine="gift_card", account=name) == amount, (month, name)
        said.append({name: of(rolled, name) for name in ("opening", *figures, "closing")})
    assert said[-1]["closing"] == of(reports.liability(books), "total")
    _activity(books)
    return said


def _activity(books: Books) -> None:
    """Transactions by day, beside the entries of steps that ask the provider."""
    asks = {(name, transition.name) for name in MACHINES for transition in MACHINES[name].transitions.values()
            if transition.ask is not None and name == "gift_card"}  # fmt: skip
    query = (
        "SELECT substr(coalesce(occurred_at, at), 1, 10), transition, count(*) FROM entry "
        "WHERE machine = 'gift_card' AND phase <> 'asked' GROUP BY 1, 2"
    )
    expected: Counter[str] = Counter()
    with books.engine.store.reading() as reading:
        for day, transition, number in reading.select(query):
            expected[day] += number if ("gift_card", transition) in asks else 0
    told: Counter[str] = Counter()
    for row in reports.activity(books, by=("day",)).rows:
        told[str(row["day"])] += int(str(row["transactions"]))
    assert +told == +expected


@pytest.mark.slow
@pytest.mark.parametrize("data", BOTH)
def test_with_their_dates_all_books_end_in_the_same_totals_and_every_month_closes(
    data: VoucherOrders, tmp_path: Path
) -> None:
    ended, months = {}, {}
    for where in ("sqlite", "postgres", "clutch"):
        with books_of(where, tmp_path) as (books, clock):
            tell(books, clock, story(data))
            ended[where], months[where] = totals(books), close(books)
            with books.engine.store.reading() as reading:
                late = [row for row in reading.journal() if row.occurred_at is not None]
            assert len({row.happened[:7] for row in late}) >= 3
            assert {"reduce", "authorize", "settle"} <= {row.command for row in late}
    assert ended["sqlite"] == ended["postgres"] == ended["clutch"]
    assert months["sqlite"] == months["postgres"] == months["clutch"]
    whole = Counter[str]()
    for month in months["sqlite"]:
        whole.update({name: amount for name, amount in month.items() if name not in ("opening", "closing")})
    assert whole["given_away"] > 0 > whole["expired"]
    assert whole.total() == months["sqlite"][-1]["closing"]
    if data is SAMPLE:
        assert whole == Counter(issued=905_527, given_away=110_243, refunded=35_536, spent=-645_404, expired=-3_065)

"""Every figure agrees with the rows it is made of, with `verify`, and with itself, whatever happened in the books."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tallystick
from postgres_books import postgres_url
from report_world import in_doubt_twice, moved, stood, tell
from tallystick import reports
from tallystick.books.books import Books
from tallystick.provider.scripted import ScriptedProvider
from tallystick.reports import Report
from tallystick.store.rows import stamp

EASE = settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.too_slow])
numbers = st.lists(st.integers(0, 2**32), min_size=20, max_size=60)


@contextmanager
def told(url: str, story: list[int], *, late: bool = False) -> Iterator[Books]:
    provider = ScriptedProvider()
    with tallystick.open(url, provider=provider) as books:
        tell(books, provider, story, late=late)
        yield books


def totals(report: Report, column: str) -> Counter[str]:
    return Counter({str(row["currency"]): int(str(row[column])) for row in report.totals})


def check(books: Books) -> None:
    """All that has to hold, now and at each of a few moments."""
    verified = books.verify()
    assert verified.clean
    with books.engine.store.reading() as reading:
        twice = in_doubt_twice(reading)
        times = sorted({row.happened for row in reading.journal()})
    owed = Counter(verified.money.get("gift_card", {}))
    liability, doubt = reports.liability(books), reports.doubt(books)
    assert +totals(liability, "total") + +twice == +owed
    assert +totals(doubt, "in_doubt") == +totals(liability, "in_doubt")
    assert +totals(reports.rollforward(books), "closing") == +owed
    assert +totals(reports.holds(books), "held") == +Counter(_payments(books, "held"))
    for at in times[:: max(1, len(times) // 4)]:
        _check_at(books, at, times[-1])
    for report in (liability, doubt, reports.rollforward(books), reports.holds(books), reports.trial_balance(books)):
        _check_opens(report)


def _payments(books: Books, account: str) -> Counter[str]:
    found: Counter[str] = Counter()
    with books.engine.store.reading() as reading:
        for each in reading.all("payment"):
            found[each.currency] += each.accounts[account]
    return found


def _check_at(books: Books, at: str, last: str) -> None:
    moment = datetime.fromisoformat(at)
    before = stamp(moment + timedelta(milliseconds=1))
    with books.engine.store.reading() as reading:
        twice = in_doubt_twice(reading, before)
    was = reports.liability(books, as_of=moment)
    assert +totals(was, "total") + +twice == +stood(books, before).get("gift_card", Counter())
    assert +totals(was, "in_doubt") == +totals(reports.doubt(books, as_of=moment), "in_doubt")
    assert +totals(was, "total") == +_by(
        reports.liability(books, as_of=moment, by=("kind", "age", "card_set")), "total"
    )
    end = datetime.fromisoformat(last)
    rolled = reports.rollforward(books, start=moment, end=end)
    figures = [each.name for each in rolled.columns if each.kind == "money" and each.name not in ("opening", "closing")]
    expected = moved(books, at, last)
    for row in rolled.totals:
        assert int(str(row["opening"])) + sum(int(str(row[name])) for name in figures) == row["closing"]
        for name in figures:
            assert row[name] == expected[str(row["currency"]), name]
        opened = rolled.rows_of(row)
        assert totals(opened, "amount")[str(row["currency"])] == int(str(row["closing"])) - int(str(row["opening"]))
    assert totals(rolled, "opening") == totals(reports.rollforward(books, end=moment), "closing") or not rolled.totals


def _by(report: Report, column: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in report.rows:
        found[str(row["currency"])] += int(str(row[column]))
    return found


def _check_opens(report: Report) -> None:
    """A total is what its rows add up to, in whatever way they are told."""
    amounts = [each.name for each in report.columns if each.kind == "money"]
    for row in report.totals:
        opened = report.rows_of(row)
        assert all(each["currency"] == row["currency"] for each in opened.rows)
        for name in {*amounts} & {*opened.totals[0]}:
            assert sum(int(str(each[name] or 0)) for each in opened.rows) == opened.totals[0][name]
            if name in row:
                assert opened.totals[0][name] == row[name]


@EASE
@given(numbers, st.booleans())
def test_whatever_happened(story: list[int], late: bool) -> None:
    with told("memory:", story, late=late) as books:
        check(books)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_what_is_told_late_and_in_any_order(store: str, tmp_path: Path) -> None:
    url = nullcontext(f"sqlite:///{tmp_path}/books.db") if store == "sqlite" else postgres_url()
    with url as url, told(url, list(range(300, 360)), late=True) as books:
        check(books)
        with books.engine.store.reading() as reading:
            rows = list(reading.journal())
        assert sum(row.occurred_at is not None for row in rows) > 30
        lives = [(before, row) for before, row in pairwise(rows) if row.entity == before.entity]
        assert any(row.happened < before.happened for before, row in lives)  # in another order than it is written


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_on_both_databases(store: str, tmp_path: Path) -> None:
    url = nullcontext(f"sqlite:///{tmp_path}/books.db") if store == "sqlite" else postgres_url()
    with url as url, told(url, list(range(100, 190))) as books:
        check(books)
        with books.engine.store.reading() as reading:
            counted = Counter({row[0] for row in reading.select("SELECT figure FROM v_movement")})
        assert {"issued", "spent", "reloaded", "given_away", "returned"} <= {*counted}
        assert len(reports.activity(books).rows) > 20
        assert reports.advanced_holds(books).totals
        assert json.loads(reports.activity(books).json())["rows"]

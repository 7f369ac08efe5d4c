"""Reports close over a migration: accounts have new names, and nothing is owed twice, not now and not of the past."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

import tallystick
from postgres_books import postgres_url
from tallystick import reports
from tallystick.engine.sums import bring
from tallystick.reports import Report

ONE = """
machine: deposit
version: 1
summary: A deposit on rented tools.
accounts: {hold: Promised., spare: Given on top.}
outside:
  till: {says: The till., by: {take: taken, give_back: given_back, thank: taken}}
states:
  open: {start: true, says: Taken.}
  done: {final: true, says: Given back.}
transitions:
  take: {from: open, when: amount > 0, move: {till -> hold: amount}}
  thank: {from: open, when: amount > 0, move: {till -> spare: amount}}
  give_back:
    from: open
    to: done
    move:
      hold -> till: hold
      spare -> till: spare
commands: {take: {amount: money}, thank: {amount: money}, give_back: {}}
refuse:
  - {in: [open], commands: [take, thank], when: amount <= 0, says: More than nothing.}
  - {in: [done], commands: [take, thank, give_back], says: It is over.}
"""
TWO = """
machine: deposit
version: 2
summary: A deposit on rented tools, in one account.
from version 1: {states: {open: active}, accounts: {hold: held, spare: held}}
accounts: {held: Promised.}
outside:
  till: {says: The till., by: {take: taken, give_back: given_back}}
states:
  active: {start: true, says: Taken.}
  done: {final: true, says: Given back.}
transitions:
  take: {from: active, when: amount > 0, move: {till -> held: amount}}
  give_back:
    from: active
    to: done
    move: {held -> till: held}
commands: {take: {amount: money}, give_back: {}}
refuse:
  - {in: [active], commands: [take], when: amount <= 0, says: More than nothing.}
  - {in: [done], commands: [take, give_back], says: It is over.}
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    made = postgres_url() if request.param == "postgres" else nullcontext(f"sqlite:///{tmp_path}/books.db")
    with made as url:
        yield url


def sums(report: Report, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row.get(column) for column in columns) for row in report.totals]


def test_reports_close_over_a_migration(url: str, tmp_path: Path) -> None:
    for folder, text in (("before", ONE), ("now", TWO)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "deposit.yaml").write_text(text, encoding="utf-8")
    with tallystick.open(url, machines=tmp_path / "before") as books:
        give = books.engine.execute
        for number in range(1, 5):
            give("deposit", f"d-{number}", "create", {"currency": "BRL"}, key=f"d-{number}")
            give("deposit", f"d-{number}", "take", {"amount": f"{number}0.00"}, key=f"d-{number}/take")
        give("deposit", "d-1", "thank", {"amount": "0.50"}, key="thank")
        give("deposit", "d-4", "give_back", key="back")
        books.sell_electronic("card", "5.00", "BRL", order="o", key="o")
        moment = books.engine.now()
        owed = sums(reports.liability(books), "total")
        assert sums(reports.liability(books), "hold", "spare", "total") == [(6000, 50, 6550)]
    with tallystick.open(url, machines=tmp_path / "now") as books:
        assert books.engine.migration.migrate(["deposit"]).moved == 4
        assert books.verify().findings == ()
        now, then = reports.liability(books), reports.liability(books, as_of=moment)
        assert sums(now, "total") == sums(then, "total") == owed
        assert sums(now, "hold", "spare", "held") == [(0, 0, 6050)]
        assert sums(then, "hold", "spare", "held") == [(6000, 50, 0)]
        books.engine.execute("deposit", "d-2", "give_back", key="back-2")
        books.engine.execute("deposit", "d-3", "take", {"amount": "1.00"}, key="more")
        rolled = reports.rollforward(books)
        assert sums(rolled, "opening", "issued", "taken", "given_back", "closing") == [(0, 500, 10150, -6000, 4650)]
        assert sums(reports.liability(books), "total") == [(4650,)]
        balanced = reports.trial_balance(books)
        assert books.verify().findings == ()
        assert bring(books.engine.store, books.engine.machines)
        assert books.verify().findings == ()
        assert reports.rollforward(books).totals == rolled.totals
        assert sums(reports.liability(books), "hold", "spare", "held", "total") == [(0, 0, 4150, 4650)]
        assert reports.trial_balance(books).rows == balanced.rows

"""Reports of whole books: the voucher orders, and what is left of a simulation, on both databases.

The judge is `verify`, and SQL over the tables themselves, never over a view.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from test_figures_close import check, totals

import tallystick
from postgres_books import postgres_url
from tallystick import reports
from tallystick.books.books import Books
from tallystick.engine.engine import Engine
from tallystick.provider.local import LocalProvider
from tallystick.reports import Report
from tallystick.store.open import open_store
from tallystick.store.protocol import Store
from tallystick.store.rows import Changes
from tallystick.testing.simulation.simulate import Simulation
from voucher_data import BOTH, EXAMPLE, SAMPLE, VoucherOrders

STORES = ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)]


@contextmanager
def url_of(store: str, folder: Path) -> Iterator[str]:
    with nullcontext(f"sqlite:///{folder}/books.db") if store == "sqlite" else postgres_url() as url:
        yield url


def asked(books: Books, query: str) -> Counter[str]:
    """Sums by currency, of SQL over the tables."""
    with books.engine.store.reading() as reading:
        return Counter({currency: int(minor) for currency, minor in reading.select(query)})


def posted(books: Books, direction: str, account: str, commands: tuple[str, ...]) -> Counter[str]:
    listed = ", ".join(f"'{each}'" for each in commands)
    return asked(
        books,
        "SELECT p.currency, sum(p.amount) FROM posting p JOIN entry e ON e.seq = p.seq "
        f"WHERE p.machine = 'gift_card' AND p.{direction} = '{account}' AND e.command IN ({listed}) GROUP BY p.currency",
    )


def agree(books: Books) -> None:
    """Every report beside verify and beside SQL over the tables."""
    verified = books.verify()
    assert verified.clean
    stands = "SELECT currency, sum(available + held + leaving + in_doubt) FROM gift_card GROUP BY currency"
    owed = Counter(verified.money["gift_card"])
    rolled = reports.rollforward(books)
    assert +totals(rolled, "closing") == +owed == +asked(books, stands)
    for figure, account, commands in (("issued", "issuance", ("issue",)), ("reloaded", "issuance", ("reload",)),
                                      ("returned", "returned", ("issue", "credit"))):  # fmt: skip
        back = posted(books, "target", account, commands)
        assert +totals(rolled, figure) == +(posted(books, "source", account, commands) - back)
    spent = posted(books, "target", "spent", ("redeem", "redeem_hold"))
    assert {name: -minor for name, minor in totals(rolled, "spent").items() if minor} == +spent
    holds = "SELECT currency, sum(held) FROM payment GROUP BY currency"
    assert +totals(reports.holds(books), "held") == +asked(books, holds)
    assert not any(totals(reports.trial_balance(books), "closing").values())
    tried = (
        "SELECT currency, count(*) FROM entry WHERE machine = 'payment' AND command = 'hold_again' AND phase <> 'asked'"
    )
    refused = ("SELECT p.currency, count(*) FROM queue q JOIN payment p ON p.id = q.entity WHERE q.command = 'hold_again' "
               "AND q.state IN ('refused', 'parked') GROUP BY p.currency")  # fmt: skip
    unavailable = asked(books, f"{tried} AND phase = 'unavailable' GROUP BY currency")
    expected = asked(books, f"{tried} GROUP BY currency") - unavailable + asked(books, refused)
    assert +totals(reports.advanced_holds(books), "holds") == +expected
    _same_both_ways(
        reports.liability(books), reports.liability(books, by=("kind", "card_set", "age", "state")), "total"
    )


def _same_both_ways(whole: Report, told: Report, column: str) -> None:
    assert totals(whole, column) == totals(told, column)
    assert sum(len(told.rows_of(row).rows) for row in told.rows) == sum(int(str(row["cards"])) for row in whole.totals)


@pytest.mark.parametrize("data", BOTH)
@pytest.mark.parametrize("store", STORES)
def test_of_voucher_orders(store: str, data: VoucherOrders, tmp_path: Path) -> None:
    with url_of(store, tmp_path) as url:
        subprocess.run([sys.executable, EXAMPLE / "orders.py", data.folder, "--store", url], check=True,
                       capture_output=True)  # fmt: skip
        with tallystick.open(url) as books:
            agree(books)
            redeemed = asked(books, "SELECT currency, sum(redeemed) FROM payment GROUP BY currency")
            rolled = reports.rollforward(books)
            back = totals(rolled, "refunded") + totals(rolled, "voided")
            assert Counter({"BRL": -totals(rolled, "spent")["BRL"] - back["BRL"]}) == redeemed
            told = reports.activity(books, by=("result",))
            issued = sum(int(str(row["amount"])) for row in told.rows if row["verb"] == "issue")
            assert issued == totals(rolled, "issued")["BRL"] + totals(rolled, "refunded")["BRL"]
            if data is SAMPLE:
                assert reports.advanced_holds(books).rows or reports.holds(books).totals


def copied(source: Store, target: Store, engine: Engine) -> None:
    """All of one store in another one."""
    changes = Changes()
    with source.reading() as reading:
        rows = list(reading.journal())
        changes.entries = sorted(rows, key=lambda each: each.seq)
        changes.entities = {each.ref: each for name in engine.machines for each in reading.all(name)}
        changes.calls = {each.id: each for each in reading.all_calls()}
        changes.queue = {each.key: each for each in reading.all_queued()}
    target.run(lambda transaction: transaction.write(changes, rows[-1].at))


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("seed", [3, pytest.param(7, marks=pytest.mark.slow), pytest.param(11, marks=pytest.mark.slow)])
def test_of_a_simulation_in_its_middle_and_at_its_end(store: str, seed: int, tmp_path: Path) -> None:
    simulation = Simulation(seed, 250, world="memory")
    simulation._safety()
    for when in ("middle", "end"):
        with url_of(store, tmp_path / when) as url:
            (tmp_path / when).mkdir()
            engine = Engine(simulation.machines, open_store(url), LocalProvider())
            with Books(engine) as books:
                copied(simulation.world.store, engine.store, engine)
                agree(books)
                check(books)
        if when == "middle":
            simulation._liveness()
            simulation._judge()
            assert not simulation.wrong

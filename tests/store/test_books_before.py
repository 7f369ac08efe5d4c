"""Books that an earlier version wrote: they open, verify, and go on; cards and payments keep the pages of then.

`tests/data/write_books_before.py` wrote them, and says what is in them.
"""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import tallystick
from tallystick import reports
from tallystick.engine.migrate import InTheWay
from tallystick.provider.scripted import Done, ScriptedProvider

BEFORE = Path(__file__).parents[1] / "data" / "books_before.db.gz"
CHECKPOINT = "414/5ef3351a440b219aa6cfe2f970beb983056f492011c24c8b28714fa6"  # as `verify` printed it then


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "books.db"
    path.write_bytes(gzip.decompress(BEFORE.read_bytes()))
    return path


@pytest.fixture
def books(path: Path) -> Iterator[tallystick.Books]:
    provider = ScriptedProvider()
    provider.wait(timedelta(days=30).total_seconds())
    for number in range(200):  # so that what it calls its transactions comes after those of then
        provider.done[f"before {number}"] = Done(f"before {number}", "issue", "", {}, None, f"R{number}")
    with tallystick.open(f"sqlite:///{path}", provider=provider) as books:
        yield books


def test_they_open_and_verify(books: tallystick.Books, path: Path) -> None:
    """Nothing is wrong, nothing has moved, and the checkpoint of then still fits."""
    report = books.verify()
    assert report.findings == ()
    assert (report.entities, report.entries) == (64, 431)
    assert [str(each).startswith(CHECKPOINT) for each in report.compared] == [True]
    with closing(sqlite3.connect(path)) as connection:
        sums = "SELECT currency, sum(available), sum(held), sum(in_doubt) FROM gift_card GROUP BY 1 ORDER BY 1"
        assert connection.execute(sums).fetchall() == [("BRL", 46700, 10700, 700), ("JPY", 5000, 0, 0)]


def test_orders_go_on(books: tallystick.Books) -> None:
    """What was held then ships, is given back and refunded; what is sold now stands beside it."""
    assert books.settle("p-held", "6.00", key="new/1", keep_hold=True).money("redeemed").minor == 600
    assert books.refund("p-held", "1.00", key="new/2").money("redeemed").minor == 500
    assert books.cancel("p-part", key="new/3").money("held").minor == 0
    books.engine.execute("payment", "p-31", "authorize", {"amount": "100"}, key="o-31")  # nobody was there then
    assert books.payment("p-31").held.minor == 100
    books.settle_all("t-held", "24.00", key="new/4", last=True)
    assert books.tender("t-held").state == "paid"
    books.engine.execute("replacement", "waits/r", "activate", {"number": "6006490000000027"}, key="new/5")
    books.run_due()
    assert books.card("waits-2").available.minor == 4000
    books.issue("s-9", key="new/6")
    books.sell_electronic("new", "10.00", "BRL", order="new/7", key="new/7")
    books.authorize("p-mixed", "gift", "3.00", order="new/8", key="new/8")
    books.reinstate("card-suspended", key="new/9")
    assert books.verify().findings == ()


def test_what_happened_then_can_be_told_now(books: tallystick.Books, path: Path) -> None:
    """An event of the time before, of which nobody knew: old entries count when they were written."""
    with books.engine.store.reading() as reading:
        *_, since = [row.happened for row in reading.journal("gift_card", "gift") if row.command == "issue"]
    moment = datetime.fromisoformat(since) + timedelta(hours=1)
    before = reports.liability(books, as_of=moment - timedelta(minutes=1)).totals, reports.liability(books).totals
    then = reports.liability(books, as_of=moment).totals
    books.reload("gift", "6.00", key="late", occurred_at=moment)

    def brl(totals: Sequence[Mapping[str, object]]) -> int:
        return next(int(str(row["total"])) for row in totals if row["currency"] == "BRL")

    assert brl(reports.liability(books, as_of=moment).totals) == brl(then) + 600
    assert brl(reports.liability(books).totals) == brl(before[1]) + 600
    assert reports.liability(books, as_of=moment - timedelta(minutes=1)).totals == before[0]
    assert [each.occurred_at == each.at for each in books.history("gift_card", "gift")][-3:] == [True, False, False]
    assert books.verify().findings == ()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*), count(occurred_at) FROM entry").fetchone() == (431 + 2, 2)


def test_keys_of_then_are_known(books: tallystick.Books) -> None:
    """Said again, they do nothing twice."""
    before = books.card("gift").available
    assert books.reload("gift", "50.00", key="s-1/reload").replayed
    assert books.settle("p-earned", "12.00", key="o-3/1", last=True).replayed
    assert books.card("gift").available == before
    with pytest.raises(tallystick.errors.KeyReused):
        books.reload("gift", "51.00", key="s-1/reload")


def test_what_was_in_doubt_and_what_waits_is_done(books: tallystick.Books) -> None:
    assert books.payment("p-doubt").in_doubt.minor == 700
    (ended,) = books.recover()
    assert ended.applied
    assert books.payment("p-doubt").redeemed.minor == 700
    assert not any(receipt.applied for receipt in books.run_due())  # what retires a card waits for an order
    provider = books.engine.provider
    assert isinstance(provider, ScriptedProvider)
    provider.wait((datetime(2026, 4, 1, tzinfo=timezone.utc) - provider.clock()).total_seconds())
    books.run_due()
    assert books.payment("p-held").redeemed.minor == 500
    assert books.card("some-day").available.minor == 2000
    assert books.verify().findings == ()


def test_they_move_to_the_pages_of_today(books: tallystick.Books) -> None:
    """Once nothing is in doubt. Not a cent moves, and what was written before verifies by the pages of then."""
    with pytest.raises(InTheWay, match="a call to the provider is open"):
        books.engine.migration.migrate()
    books.recover()
    owed, before = figures(books), books.verify()
    todo = books.engine.migration.foretell()
    assert todo.entities >= 47  # cards, payments and tenders
    assert books.engine.migration.migrate(by="eva", reason="the pages of today").moved == todo.entities
    assert figures(books) == owed
    after = books.verify()
    assert after.findings == ()
    assert (after.entities, after.entries, after.money) == (64, before.entries + todo.entities, before.money)
    test_orders_go_on(books)
    assert books.engine.migration.foretell().entities == 0


def figures(books: tallystick.Books) -> list[object]:
    """What is owed, how it came to be, and all accounts: the totals of reports."""
    made = [reports.liability(books), reports.rollforward(books), reports.holds(books), reports.trial_balance(books)]
    return [[dict(row) for row in report.totals] for report in made]

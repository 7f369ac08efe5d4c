"""Cards that expire wait for their date: counted by day, listed page by page, and in nobody's way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tallystick.board.app import href
from tallystick.board.board import Board
from tallystick.board.render import Frame, html
from tallystick.books.books import Books
from tallystick.books.waiting import Dated, Total, listed
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.errors import Invalid, NotFound
from tallystick.provider.local import LocalProvider
from tallystick.store.open import open_store

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
OF = ("gift_card", "expire")


class Shop(Books):
    now = NOON
    changed = False  # in the database, by hand

    def waits(self) -> tuple[list[str], list[tuple[str, int]]]:
        """What is listed, by entity; and what is counted, by day."""
        found = self.waiting()
        dated = [(day, count) for each in found.dated for day, count in each.days.items()]
        assert found.totals["queue"].count == len(found.queue) + found.more
        return [each.row.entity for each in found.queue], dated


@pytest.fixture(params=["memory:", "sqlite"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """Four cards that expire on three days, one that does not, and a shipment of tomorrow."""
    url = "memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/books.db"
    made = Shop(Engine(reader.load(), open_store(url), LocalProvider(), clock=lambda: made.now))
    for id, days in (("c1", 10), ("c2", 10), ("c3", 11), ("c4", 500), ("c5", None)):
        expires = NOON + timedelta(days=days) if days else None
        made.sell_electronic(id, "50.00", "USD", order=f"s-{id}", key=id, expires=expires)
    made.authorize("p", "c5", "20.00", order="o", key="hold")
    made.settle("p", "20.00", key="ship", due=NOON + DAY)
    yield made
    assert made.verify().clean != made.changed
    made.close()


def test_what_waits_for_its_date_is_counted_and_the_rest_is_listed(books: Shop) -> None:
    assert books.waits() == (["p"], [("2030-01-11", 2), ("2030-01-12", 1), ("2031-05-16", 1)])
    (dated,) = books.waiting().dated
    assert (dated.machine, dated.command, dated.count, dated.first) == (*OF, 4, NOON + 10 * DAY)
    assert books.waiting().totals == {"calls": Total(0, {}), "queue": Total(1, {"USD": 2000}), "dated": Total(4, {})}
    assert not books.stuck()


def test_what_is_due_is_listed_until_it_is_done(books: Shop) -> None:
    books.now = NOON + 10 * DAY
    assert books.waits() == (["p", "c1", "c2"], [("2030-01-12", 1), ("2031-05-16", 1)])
    assert [each.id for each in books.run_due()] == ["p", "c1", "c2"]
    assert books.waits() == ([], [("2030-01-12", 1), ("2031-05-16", 1)])


def test_a_long_list_says_how_many_more_there_are(books: Shop) -> None:
    from tallystick.books.waiting import waiting

    found = waiting(books.engine, now=NOON + 11 * DAY, limit=2)
    assert [each.row.entity for each in found.queue] == ["p", "c1"]
    assert (found.more, found.totals["queue"]) == (2, Total(4, {}))


def test_all_that_waits_is_read_page_by_page(books: Shop) -> None:
    def ids(**which: object) -> list[str]:
        return [each.id for each in books.engine.queue.waiting(**which)]  # type: ignore[arg-type]

    assert ids() == ["p", "c1", "c2", "c3", "c4"]
    first = books.engine.queue.waiting(limit=2)
    assert [each.id for each in first] == ["p", "c1"]
    assert ids(after=first[-1].key, limit=2) == ["c2", "c3"]
    assert ids(machine="gift_card", until=NOON + 10 * DAY) == ["c1", "c2"]
    assert ids(machine="gift_card", command="expire", until=NOON + 10 * DAY) == ["c1", "c2"]
    assert ids(machine="payment") == ids(machine="payment", id="p") == ["p"]
    assert ids(machine="gift_card", id="c1", until=NOON) == ids(machine="gift_card", command="reload") == []
    with pytest.raises(NotFound, match="no queued command 'nothing'"):
        ids(after="nothing")


def test_a_day_a_month_or_a_year_is_listed(books: Shop) -> None:
    def ids(**which: object) -> list[str]:
        return [each.row.entity for each in listed(books.engine, **which)]  # type: ignore[arg-type]

    assert ids(of="gift_card.expire", on="2030-01-11") == ["c1", "c2"]
    assert ids(on="2030-01") == ["p", "c1", "c2", "c3"]
    assert ids(on="2030", skip=1, limit=2) == ["c1", "c2"]
    with pytest.raises(NotFound, match=r"Did you mean .gift_card\.expire"):
        listed(books.engine, of="gift_card.expires")
    with pytest.raises(Invalid, match="'january' is no day, month or year"):
        listed(books.engine, on="january")


def test_the_next_days_are_told_by_day_and_later_ones_by_month_and_year() -> None:
    days = [datetime(2030, 1, 26, tzinfo=timezone.utc) + number * DAY for number in range(800)]
    dated = Dated(*OF, 800, days[0], {f"{day:%Y-%m-%d}": 1 for day in days})
    names = [name for name, _ in dated.periods]
    assert names[:9] == [*(f"2030-01-{day}" for day in range(26, 32)), "2030-02-01", "later in 2030-02", "2030-03"]
    assert names[9:] == [*(f"2030-{month:02}" for month in range(4, 13)), "2031-01", "later in 2031", "2032"]
    assert sum(count for _, count in dated.periods) == 800
    assert Dated(*OF, 1, days[0], {"2030-01-26": 1}).periods == [("2030-01-26", 1)]


def test_the_board_counts_what_waits_for_its_date_and_lists_a_day(books: Shop) -> None:
    board = Board(books)

    def text(**asked: str) -> str:
        return html(board.page("queue", asked), Frame(board.url, board.now), href)

    overview = text()
    assert "expire of gift card: waits for its date" in overview
    assert 'href="/queue?of=gift_card.expire&amp;on=2030-01-11" class="whole">2030-01-11</a>' in overview
    assert "/life?id=p&amp;of=payment" in overview
    assert "/life?id=c1&amp;of=gift_card" not in overview
    day = text(of="gift_card.expire", on="2030-01-11")
    assert "expire of gift card, due in 2030-01-11" in day
    assert "tallystick waiting --of gift_card.expire --on 2030-01-11" in day
    assert [f"/life?id={id}&amp;of=gift_card" in day for id in ("c1", "c2", "c3")] == [True, True, False]
    assert "/life?id=c2" not in text(of="gift_card.expire", on="2030-01-11", skip="2")
    assert board.page("queue", {"of": "gift_card.expires", "on": "2030"}).status == 404
    assert board.page("queue", {"of": "gift_card.expire", "on": "january"}).status == 404


@pytest.mark.parametrize("books", ["sqlite"], indirect=True)
def test_a_date_that_somebody_has_changed_is_for_verify_and_for_a_person_once_it_is_due(books: Shop) -> None:
    books.changed = True
    with sqlite3.connect(books.engine.store.path) as sql:  # type: ignore[attr-defined]
        (key,) = sql.execute("SELECT key FROM queue WHERE entity = 'c1' AND state = 'waiting'").fetchone()
        sql.execute("UPDATE queue SET due = 'never' WHERE key = ?", (key,))
    assert ("never", 1) in books.waits()[1]
    assert "queue_hash" in {each.code for each in books.verify().findings}
    with sqlite3.connect(books.engine.store.path) as sql:  # type: ignore[attr-defined]
        sql.execute("UPDATE queue SET due = '2030-01-01T00:00:00.000Z' WHERE key = ?", (key,))
    (stuck,) = books.stuck().queue
    assert (stuck.row.key, stuck.due, "was changed in the database" in stuck.why) == (key, None, True)
    assert books.engine.queue.dismiss(key, by="ann", reason="seen").state == "dismissed"

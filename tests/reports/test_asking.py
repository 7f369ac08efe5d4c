"""What may be asked of a report, what is refused in a sentence, and how it is written down."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

import tallystick
from postgres_books import postgres_url
from tallystick import Invalid, StoreError, reports
from tallystick.books.books import Books
from tallystick.engine.sealing import new_key
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.reports.period import period

NUMBER = "6006491234567890"
UTC = timezone.utc
NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    urls = {"memory": nullcontext("memory:"), "sqlite": nullcontext(f"{tmp_path}/books.db"), "postgres": postgres_url()}
    with urls[request.param] as url:
        yield url


@pytest.fixture
def books(url: str) -> Iterator[Books]:
    """Two currencies; a card whose number we know, of which a part is held."""
    provider = ScriptedProvider()
    with tallystick.open(url, provider=provider) as books:
        books.sell_electronic("c-1", "50.00", "BRL", order="sale", key="k1", card_set="A")
        books.sell_electronic("c-2", "500", "JPY", order="sale", key="k2", card_set="B", kind="promo")
        books.recognize("c-3", NUMBER, currency="BRL", balance="8.00", key="k3")
        provider.wait(10 * 86_400)
        books.authorize("p-1", "c-1", "20.00", order="=1+1", key="k4")
        yield books


@pytest.mark.parametrize(("given", "first", "before", "as_of"), [
    ({}, "", "~", NOW),
    ({"as_of": "2026-11-20"}, "", "2026-11-21T00:00:00.000Z", datetime(2026, 11, 20, 23, 59, 59, 999000, UTC)),
    ({"as_of": date(2026, 11, 20)}, "", "2026-11-21T00:00:00.000Z", None),
    ({"as_of": "2026-11-20T10:00Z"}, "", "2026-11-20T10:00:00.001Z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
    ({"as_of": "2026-11-20T10:00+02:00"}, "", "2026-11-20T08:00:00.001Z", None),
    ({"start": "2026-11-01", "end": "2026-11-20"}, "2026-11-01T00:00:00.000Z", "2026-11-21T00:00:00.000Z", None),
    ({"end": datetime(2026, 11, 20, tzinfo=UTC)}, "", "2026-11-20T00:00:00.000Z", None),
    ({"start": "2026-11-01", "end": "2030-01-01"}, "2026-11-01T00:00:00.000Z", "~", NOW),
])  # fmt: skip
def test_days_count_whole_and_moments_to_the_millisecond(
    given: dict[str, Any], first: str, before: str, as_of: datetime | None
) -> None:
    found = period(NOW, **given)
    assert (found.first, found.bound) == (first, before)
    assert as_of in (None, found.as_of)


@pytest.mark.parametrize(("given", "why"), [
    ({"start": "2026-11-20", "end": "2026-11-01"}, "ends before it begins"),
    ({"start": "2026-11-20", "end": "2026-11-19"}, "ends before it begins"),
    ({"start": "2027-01-01"}, "begins later than now: from 2027-01-01 00:00:00; now it is 2026-11-27 15:30"),
    ({"start": "2030-01-01", "end": "2030-01-31"}, "begins later than now"),
    ({"as_of": "0001-01-01"}, "outside the years"),
    ({"as_of": "0001-01-01T00:00+05:00"}, "outside the years"),
    ({"as_of": "9999-12-31T23:59:59.999Z"}, "outside the years"),
    ({"as_of": "2026-11-01", "end": "2026-11-02"}, "not of both"),
    ({"as_of": "yesterday"}, "a day such as"),
    ({"as_of": "2026-02-30"}, "a day such as"),
    ({"as_of": datetime(2026, 11, 1)}, "has no time zone"),
    ({"as_of": "2026-11-01T10:00"}, "has no time zone"),
    ({"as_of": 20261101}, "not 20261101"),
    ({"end": date.max}, "outside the years"),
])  # fmt: skip
def test_a_time_that_is_none_is_refused(given: dict[str, Any], why: str | None) -> None:
    with pytest.raises(Invalid, match=why):
        period(NOW, **given)


@pytest.mark.parametrize(("name", "given", "why"), [
    ("liability", {"by": ("colour",)}, "cannot be told by 'colour'; by kind, card_set"),
    ("liability", {"by": "kind; DROP TABLE entry"}, "cannot be told by"),
    ("trial_balance", {"by": ("age",)}, "cannot be told by 'age'"),
    ("liability", {"start": "2026-01-01"}, "as of a moment"),
    ("liabilty", {}, "is no report.*liability"),
])  # fmt: skip
def test_what_a_report_does_not_have_is_refused(books: Books, name: str, given: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        reports.ask(books, name, **{"as_of": None, "start": None, "end": None, "by": (), **given})


def test_two_currencies_are_never_added_up(books: Books) -> None:
    for name in reports.NAMES:
        found = reports.ask(books, name, None, None, None, ())
        currencies = [row["currency"] for row in found.totals]
        assert len(currencies) == len({*currencies})
        for total in found.totals:
            assert {row["currency"] for row in found.rows_of(total).rows} == {total["currency"]}
    owed = {row["currency"]: reports.liability(books).text(row, "total") for row in reports.liability(books).totals}
    assert owed == {"BRL": "58.00", "JPY": "500"}


def test_before_the_books_began_nothing_was_owed_and_that_is_said(books: Books) -> None:
    for name in reports.NAMES:
        start = {"end": "2025-01-01"} if name in ("rollforward", "activity", "advanced_holds", "trial_balance") else {}
        given = {"as_of": None, "start": None, "end": None, "by": (), **(start or {"as_of": "2025-01-01"})}
        found = reports.ask(books, name, **given)
        assert (found.rows, found.totals) == ((), ())
        assert any("the books began later" in note for note in found.notes)


def test_empty_books_say_so(url: str) -> None:
    with tallystick.open(url) as books:
        for name in reports.NAMES:
            found = reports.ask(books, name, None, None, None, ())
            assert found.rows == ()
            assert found.notes[0] == "these books are empty"


def test_a_number_is_masked_wherever_it_is_written(books: Books) -> None:
    for name in reports.NAMES:
        found = reports.ask(books, name, None, None, None, ())
        opened = [found.rows_of(total) for total in found.totals]
        for each in (found, *opened):
            written = [each.csv(), each.json(), each.table(), each._repr_html_(), repr(each.rows)]
            assert not [text for text in written if NUMBER in text]
    assert "…7890" in reports.liability(books).rows_of(reports.liability(books).totals[0]).csv()


def test_sealed_numbers_are_masked_too(url: str) -> None:
    with tallystick.open(url, seal_key=new_key()) as books:
        books.recognize("c-1", NUMBER, currency="BRL", balance="50.00", key="k1")
        assert "…7890" in (text := reports.activity(books).csv() + reports.liability(books).rows_of(
            reports.liability(books).totals[0]).csv())  # fmt: skip
        assert "sealed" not in text


def test_csv_has_a_line_for_each_row_and_no_formula(books: Books) -> None:
    lines = list(csv.DictReader(io.StringIO(reports.holds(books).csv())))
    assert [(each["payment"], each["held"], each["order"]) for each in lines] == [("p-1", "20.00", "'=1+1")]
    owed = list(csv.DictReader(io.StringIO(reports.liability(books, by=("kind", "card_set")).csv())))
    assert [(each["kind"], each["card_set"], each["total"]) for each in owed] == [
        ("gift", "", "8.00"), ("gift", "A", "50.00"), ("promo", "B", "500"),
    ] or {each["total"] for each in owed} == {"8.00", "50.00", "500"}  # fmt: skip


def test_json_has_decimals_and_what_the_columns_mean(books: Books) -> None:
    found = json.loads(reports.liability(books, by=("kind",)).json())
    assert found["totals"][0]["total"] == "58.00"
    assert {each["name"]: each["kind"] for each in found["columns"]}["total"] == "money"
    assert all(each["says"] for each in found["columns"])


def test_html_is_escaped(books: Books) -> None:
    books.authorize("p-2", "c-3", "1.00", order="<script>alert(1)</script>", key="k9")
    html = reports.holds(books)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_single_thing_opens_into_nothing_and_a_foreign_row_is_refused(books: Books) -> None:
    holds = reports.holds(books)
    with pytest.raises(Invalid, match="one thing already"):
        holds.rows_of(holds.rows[0])
    with pytest.raises(Invalid, match="no row of"):
        holds.rows_of({"currency": "BRL"})


def test_a_total_that_the_books_have_left_behind_says_so(books: Books) -> None:
    owed = reports.liability(books)
    assert owed.rows_of(owed.totals[0]).notes == ()
    books.reload("c-1", "1.00", key="more")
    assert "moved on" in owed.rows_of(owed.totals[0]).notes[0]


def test_ages_count_from_what_they_say(books: Books) -> None:
    def ages(report: reports.Report) -> set[object]:
        return {row["age"] for row in report.rows}

    assert ages(reports.liability(books, by=("age",))) == {"8 to 30 days"}
    assert ages(reports.holds(books, by=("age",))) == {"up to 7 days"}
    assert isinstance(books.engine.provider, ScriptedProvider)
    books.engine.provider.wait(8 * 86_400)
    assert ages(reports.holds(books, by=("age",))) == {"8 to 30 days"}


def test_a_card_is_dormant_a_year_after_its_customer_and_not_after_us(books: Books) -> None:
    provider = books.engine.provider
    assert isinstance(provider, ScriptedProvider)
    assert reports.dormant(books).rows == ()
    provider.wait(360 * 86_400)  # 370 days after the sales, 360 after the hold
    books.suspend("c-3", key="ours", reason="under review")
    assert {row["entity"] for row in reports.dormant(books).rows} == {"c-2", "c-3"}
    provider.wait(10 * 86_400)
    assert {row["entity"] for row in reports.dormant(books).rows} == {"c-1", "c-2", "c-3"}
    books.authorize("p-3", "c-1", "1.00", order="o", key="k10")
    assert {row["entity"] for row in reports.dormant(books).rows} == {"c-2", "c-3"}
    was = reports.dormant(books, as_of=books.engine.now() - timedelta(days=5))
    assert {row["entity"] for row in was.rows} == {"c-2", "c-3"}


def test_money_on_two_cards_in_doubt_is_counted_once(books: Books) -> None:
    """While a replacement waits for its answer, the amount stands on both cards: it left one for the other."""
    provider = books.engine.provider
    assert isinstance(provider, ScriptedProvider)
    books.suspend("c-3", key="lost", reason="lost")
    provider.script.extend([Reply("confirmed")] * 3 + [Reply("lost_after")])
    with pytest.raises(tallystick.InDoubt):
        books.replace("c-3", "c-4", key="new")
    assert books.verify().money["gift_card"]["BRL"] == 6600
    owed = reports.liability(books).totals[0]
    assert (owed["total"], owed["in_doubt"]) == (5800, 800)
    assert reports.doubt(books).totals[0]["in_doubt"] == 800
    rolled = reports.rollforward(books)
    assert (rolled.totals[0]["closing"], rolled.totals[0]["transferred"]) == (6600, 800)
    provider.wait(60)
    books.recover(timedelta())
    assert reports.liability(books).totals[0]["total"] == reports.rollforward(books).totals[0]["closing"] == 5800


def test_what_was_changed_by_hand_is_an_error_and_no_report(tmp_path: Path) -> None:
    with tallystick.open(f"{tmp_path}/books.db") as books:
        books.sell_electronic("c-1", "50.00", "BRL", order="sale", key="k1")
        with closing(sqlite3.connect(f"{tmp_path}/books.db")) as raw, raw:
            raw.execute("UPDATE gift_card SET available = 4999")
        with pytest.raises(StoreError, match=r"add up to 50\.00 BRL, but 49\.99 BRL stand on the cards"):
            reports.rollforward(books)


def test_books_of_before_get_their_views_when_they_are_opened_to_write(tmp_path: Path) -> None:
    path = f"{tmp_path}/books.db"
    with tallystick.open(path) as books:
        books.sell_electronic("c-1", "50.00", "BRL", order="sale", key="k1")
    with closing(sqlite3.connect(path)) as raw, raw:
        for (name,) in raw.execute(
            "SELECT name FROM sqlite_master WHERE type = 'view' AND name <> 'posting'"
        ).fetchall():
            raw.execute(f"DROP VIEW {name}")
        raw.execute("DELETE FROM _sqlite_migrations WHERE name = 'views'")
    with pytest.raises(StoreError, match="another version"):
        tallystick.open(path, read_only=True)
    with tallystick.open(path) as books:
        assert reports.liability(books).totals[0]["total"] == 5000


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_views_that_say_less_are_made_anew(store: str, tmp_path: Path) -> None:
    """Books of before have the views of then; they get those of now when they are opened to write."""
    with nullcontext(f"{tmp_path}/books.db") if store == "sqlite" else postgres_url() as url:
        with tallystick.open(url) as books:
            books.sell_electronic("c-1", "50.00", "BRL", order="sale", key="k1")
            books.authorize("p-1", "c-1", "20.00", order="o", key="k2")
        raw = sqlite3.connect(url) if store == "sqlite" else psycopg.connect(url, options="-csearch_path=tallystick")
        with closing(raw), raw:
            ours = () if store == "sqlite" else ("COMMENT ON VIEW v_hold IS 'A hold, as it was told once.'",)
            for sql in ("DROP VIEW v_hold", "CREATE VIEW v_hold AS SELECT id AS payment FROM payment", *ours,
                        f"DELETE FROM {'_sqlite_migrations' if store == 'sqlite' else '_migration'} "
                        "WHERE name = 'exact'"):  # fmt: skip
                raw.execute(sql)
        with tallystick.open(url) as books:
            assert reports.holds(books).totals[0]["held"] == 2000


def test_somebody_elses_view_is_not_touched(tmp_path: Path) -> None:
    with closing(sqlite3.connect(f"{tmp_path}/books.db")) as raw, raw:
        raw.execute("CREATE VIEW v_liability AS SELECT 1 AS mine")
    with pytest.raises(StoreError, match="'v_liability' already that is not ours"):
        tallystick.open(f"{tmp_path}/books.db")
    with closing(sqlite3.connect(f"{tmp_path}/books.db")) as raw:
        assert raw.execute("SELECT mine FROM v_liability").fetchone() == (1,)


def test_a_role_may_read_the_views_and_nothing_else() -> None:
    with postgres_url() as url, tallystick.open(url) as books:
        books.recognize("c-1", NUMBER, currency="BRL", balance="50.00", key="k1")
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("DROP ROLE IF EXISTS analyst_of_views")
            owner.execute("CREATE ROLE analyst_of_views")
            owner.execute("GRANT USAGE ON SCHEMA tallystick TO analyst_of_views")
            owner.execute("GRANT SELECT ON tallystick.v_liability, tallystick.v_movement TO analyst_of_views")
            try:
                owner.execute("SET ROLE analyst_of_views; SET search_path TO tallystick")
                (row,) = owner.execute("SELECT number, total, total_minor FROM v_liability").fetchall()
                assert (row[0], str(row[1]), row[2]) == ("…7890", "50.00", 5000)
                for table in ("gift_card", "entry", "call", "queue", "shared", "machine", "v_hold"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        owner.execute(f"SELECT * FROM {table}")
                with pytest.raises(psycopg.Error):
                    owner.execute("DELETE FROM v_liability")
            finally:
                owner.execute("RESET ROLE")
                owner.execute("DROP OWNED BY analyst_of_views; DROP ROLE analyst_of_views")


class PlacedProvider(ScriptedProvider):
    place = ("it's 5% here?", "till 7")


def test_activity_says_where_the_provider_is_told_that_it_was(url: str) -> None:
    with tallystick.open(url, provider=PlacedProvider()) as books:
        books.sell_electronic("c-1", "50.00", "BRL", order="sale", key="k1")
        books.authorize("p-1", "c-1", "20.00", order="o-1", key="k2")
        rows = reports.activity(books, start="2026-01-01").rows
        assert {(row["location"], row["terminal"]) for row in rows} == {PlacedProvider.place}
        assert rows[-1]["order"] == "o-1"
    with tallystick.open("memory:") as local:
        local.sell_electronic("c-1", "50.00", "BRL", order="sale", key="k1")
        assert {row["location"] for row in reports.activity(local).rows} == {None}

"""What a report prints is so: figures that close, times that can be asked for again, and no number of a card."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

import tallystick
from tallystick import StoreError, reports
from tallystick.books.books import Books
from tallystick.provider.scripted import Reply, ScriptedProvider

NUMBER = "6006491234567890"


def opened() -> tuple[Books, ScriptedProvider]:
    provider = ScriptedProvider()
    return tallystick.open("memory:", provider=provider), provider


def lost_card(books: Books, provider: ScriptedProvider) -> None:
    """The only card, with 50.00, is replaced, and nobody knows whether the new one has the value."""
    books.sell_electronic("c-1", "50.00", "BRL", order="o", key="k1")
    books.suspend("c-1", key="lost", reason="lost")
    provider.reply_with([*[Reply("confirmed")] * 3, Reply("lost_after")])
    with pytest.raises(tallystick.InDoubt):
        books.replace("c-1", "c-2", key="new")


# Figures


def renamed(path: Path) -> Path:
    """A newer page of the card, on which an outside account has another name."""
    page = (Path(__file__).parents[2] / "machines" / "gift_card.yaml").read_text(encoding="utf-8")
    old = "cashed_out: {says: Paid out in cash., by: {cash_out: cashed_out}}"
    new = "paid_out: {says: Paid out in cash., by: {cash_out: paid_out}}"
    for was, now in (("version: 2", "version: 3"), (old, new), ("available -> cashed_out", "available -> paid_out")):
        assert was in page
        page = page.replace(was, now, 1)
    path.mkdir()
    (path / "gift_card.yaml").write_text(page, encoding="utf-8")
    return path


def cash_out(books: Books, card: str) -> None:
    books.sell_electronic(card, "8.00", "BRL", order="o", key=card, limits={"cash_out_limit": "10.00"})
    books.cash_out(card, key=f"{card}-out", by="ann")


def test_what_counted_in_a_figure_of_an_older_page_stays_in_it(tmp_path: Path) -> None:
    with tallystick.open(f"{tmp_path}/books.db") as books:
        cash_out(books, "c-1")
    with tallystick.open(f"{tmp_path}/books.db", machines=renamed(tmp_path / "pages")) as books:
        cash_out(books, "c-2")
        (row,) = reports.rollforward(books).rows
        assert (row["issued"], row["cashed_out"], row["paid_out"], row["closing"]) == (1600, -800, -800, 0)
        assert {row["figure"] for row in reports.rollforward(books, by=("figure",)).rows} == {
            "issued", "cashed_out", "paid_out",
        }  # fmt: skip


def test_a_movement_in_no_known_figure_is_an_error_now_and_of_the_past(tmp_path: Path) -> None:
    with tallystick.open(f"{tmp_path}/books.db") as books:
        cash_out(books, "c-1")
        with closing(sqlite3.connect(f"{tmp_path}/books.db")) as raw, raw:
            (made,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'v_movement'").fetchone()
            raw.execute("DROP VIEW v_movement")
            raw.execute(made.replace("'cashed_out')", "'unheard_of')"))
        for asked in ({}, {"end": books.engine.now() + timedelta(seconds=1)}, {"as_of": books.engine.now()}):
            with pytest.raises(StoreError, match=r"-8\.00 BRL count in no figure"):
                reports.rollforward(books, **asked)


def test_what_is_on_two_cards_is_told_with_its_amount() -> None:
    books, provider = opened()
    with books:
        lost_card(books, provider)
        at = books.engine.now()
        assert any("50.00 BRL of the closing are on two cards" in note for note in reports.rollforward(books).notes)
        provider.wait(60)
        books.recover(timedelta())
        assert not any("two cards" in note for note in reports.rollforward(books).notes)
        was = reports.rollforward(books, as_of=at)
        assert (was.totals[0]["closing"], any("50.00 BRL of the closing" in note for note in was.notes)) == (
            10000,
            True,
        )


def test_a_card_on_which_nothing_stands_but_what_counts_elsewhere_is_not_counted() -> None:
    books, provider = opened()
    with books:
        lost_card(books, provider)
        at = books.engine.now()
        provider.wait(1)
        for owed in (reports.liability(books), reports.liability(books, as_of=at)):
            assert (owed.totals[0]["cards"], owed.totals[0]["total"]) == (1, 5000)
        provider.wait(400 * 86_400)
        assert {row["total"] for row in reports.dormant(books).rows} == {5000}


def test_both_reports_agree_when_the_clock_was_set_back() -> None:
    books, provider = opened()
    with books:
        books.sell_electronic("c-1", "50.00", "BRL", order="o", key="k1")
        provider.wait(3600)
        books.reload("c-1", "50.00", key="k2")
        provider.wait(-1800)
        books.redeem("p-1", "c-1", "80.00", order="o-2", key="k3")
        at = books.engine.now()
        provider.wait(7200)
        owed, rolled = reports.liability(books, as_of=at), reports.rollforward(books, as_of=at)
        assert owed.totals[0]["total"] == rolled.totals[0]["closing"] == -3000


def test_a_report_can_be_asked_for_again_as_of_what_it_prints() -> None:
    books, provider = opened()
    with books:
        books.sell_electronic("c-1", "50.00", "BRL", order="o", key="k1")
        provider.wait(0.5)
        books.reload("c-1", "5.00", key="k2")
        provider.wait(0.2)
        now = reports.rollforward(books).plain()
        provider.wait(100)
        books.reload("c-1", "7.00", key="k3")
        again = reports.rollforward(books, as_of=str(now["as_of"])).plain()
        assert (again["totals"], again["as_of"]) == (now["totals"], now["as_of"])
        assert str(now["as_of"]) in reports.rollforward(books, as_of=str(now["as_of"])).table()


# Numbers


def test_a_number_in_a_name_or_a_reason_is_not_written() -> None:
    books, _ = opened()
    with books:
        books.recognize(NUMBER, NUMBER, currency="BRL", balance="9.00", key="k1")
        books.authorize(f"{NUMBER[:4]} {NUMBER[4:]}", NUMBER, "1.00", order="o", key="k2")
        books.adjust(NUMBER, "1.00", key=NUMBER, by=NUMBER, reason=f"from the card {NUMBER[:4]} {NUMBER[4:]}")
        for name in reports.NAMES:
            found = reports.ask(books, name, None, None, None, ())
            for each in (found, *(found.rows_of(total) for total in found.totals)):
                written = " ".join([each.csv(), each.json(), each.table(), each._repr_html_(), repr(each)])
                assert NUMBER not in written.replace(" ", "")
        moved = reports.rollforward(books)
        last = moved.rows_of(moved.totals[0]).rows[-1]
        assert (last["entity"], last["by"], last["reason"]) == (NUMBER, "…", "from the card …")
        assert moved.rows_of(moved.totals[0]).text(last, "entity") == "…7890"

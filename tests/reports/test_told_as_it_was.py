"""What a report prints is so: figures that close, times that can be asked for again, and no number of a card."""

from __future__ import annotations

import io
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

import tallystick
from tallystick import StoreError, reports
from tallystick.books.books import Books
from tallystick.cli.main import main
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
    page = re.sub(r"([,{]\s+)cashed_out: (?=[0-9])", r"\1paid_out: ", page)  # examples name it too
    (version,) = re.findall(r"^version: (\d+)$", page, re.MULTILINE)
    newer = (f"version: {version}\n", f"version: {int(version) + 1}\n")
    for was, now in (newer, (old, new), ("available -> cashed_out", "available -> paid_out")):
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
        printed = "2026-01-01 00:00:00.700 UTC"
        assert f"as of {printed};" in reports.rollforward(books, as_of=str(now["as_of"])).table()
        assert reports.rollforward(books, as_of=printed).plain()["totals"] == now["totals"]


# Numbers


def test_a_number_in_a_name_or_a_reason_is_not_written() -> None:
    books, _ = opened()
    with books:
        books.recognize(NUMBER, NUMBER, currency="BRL", balance="9.00", key=NUMBER[::-1])
        books.sell_electronic("c-1", "3.00", "BRL", order="o", key=f"{NUMBER[:-1]}5")
        books.authorize(f"{NUMBER[:4]} {NUMBER[4:]}", NUMBER, "1.00", order="o", key="k2")
        books.adjust(NUMBER, "1.00", key=NUMBER, by=NUMBER, reason=f"from the card {NUMBER[:4]} {NUMBER[4:]}")
        numbers = (NUMBER, NUMBER[::-1], f"{NUMBER[:-1]}5")
        for name in reports.NAMES:
            found = reports.ask(books, name, None, None, None, ())
            for each in (found, *(found.rows_of(total) for total in found.totals)):
                written = " ".join([each.csv(), each.json(), each.table(), each._repr_html_(), repr(each)])
                assert not [number for number in numbers if number in written.replace(" ", "")]
        moved = reports.rollforward(books)
        last = moved.rows_of(moved.totals[0]).rows[-1]
        assert (last["entity"], last["by"], last["reason"]) == (NUMBER, "…", "from the card …")
        assert moved.rows_of(moved.totals[0]).text(last, "entity") == "…7890"


def test_cards_whose_ids_are_numbers_stay_apart_in_an_export_without_them() -> None:
    other = f"5{NUMBER[1:]}"
    books, _ = opened()
    with books:
        for number in (NUMBER, other):
            books.recognize(number, number, currency="BRL", balance="9.00", key=number)
        for format in ("csv", "xes", "ocel2"):
            out = io.StringIO()
            reports.export(books, format, out, case="card")
            assert NUMBER not in out.getvalue()
            assert other not in out.getvalue()
            assert "…7890 (1)" in out.getvalue()
            assert "…7890 (2)" in out.getvalue()


# What was done


@pytest.mark.parametrize("scripted", [True, False])
def test_what_is_taken_off_a_card_is_below_zero_in_the_activity(scripted: bool) -> None:
    with tallystick.open("memory:", provider=ScriptedProvider() if scripted else "local") as books:
        books.sell_electronic("c-1", "50.00", "BRL", order="o", key="k1")
        books.adjust("c-1", "-2.00", key="k2", by="ann", reason="wrong")
        books.suspend("c-1", key="k3", reason="lost")
        books.replace("c-1", "c-2", key="k4")
        amounts = [row["amount"] for row in reports.activity(books).rows if row["verb"] == "adjust"]
        assert amounts == [-200, -4800]
        (summed,) = (row for row in reports.activity(books, by=("kind",)).rows if row["verb"] == "adjust")
        assert summed["amount"] == -5000


def test_a_part_that_was_confirmed_and_what_was_released_are_told_as_they_were() -> None:
    books, provider = opened()
    with books:
        books.sell_electronic("c-1", "50.00", "BRL", order="o", key="k1")
        provider.reply_with([Reply("confirmed", "30.00")])
        books.authorize("p-1", "c-1", "40.00", order="o", key="k2", allow_partial=True)
        books.settle("p-1", "10.00", key="k3", last=True)
        rows = {row["verb"]: row for row in reports.activity(books).rows}
        assert (rows["hold"]["amount"], rows["redeem_hold"]["amount"], rows["redeem_hold"]["released"]) == (
            3000, 1000, 2000,
        )  # fmt: skip


def test_a_request_that_was_turned_away_has_no_reference_of_a_later_one() -> None:
    books, provider = opened()
    with books:
        books.sell_electronic("c-1", "50.00", "BRL", order="o", key="k1")
        provider.reply_with([Reply("unavailable")])
        with pytest.raises(tallystick.TallystickError):
            books.reload("c-1", "5.00", key="k2")
        provider.wait(86_400)
        books.reload("c-1", "5.00", key="k2")
        turned, done = reports.activity(books).rows[-2:]
        assert (turned["result"], turned["reference"], turned["request"]) == ("unavailable", None, None)
        assert (done["result"], bool(done["reference"])) == ("confirmed", True)
        assert all(row["reference"] for row in reports.activity(books).rows if row["result"] == "confirmed")


def test_doubt_is_as_old_as_the_try_that_is_in_doubt() -> None:
    books, provider = opened()
    with books:
        books.sell_electronic("c-1", "50.00", "BRL", order="o", key="k1")
        provider.reply_with([Reply("unavailable"), Reply("lost_after")])
        with pytest.raises(tallystick.TallystickError):
            books.reload("c-1", "5.00", key="k2")
        provider.wait(20 * 86_400)
        with pytest.raises(tallystick.InDoubt):
            books.reload("c-1", "5.00", key="k2")
        at = books.engine.now()
        for doubt in (reports.doubt(books, by=("age",)), reports.doubt(books, as_of=at, by=("age",))):
            assert [(row["age"], row["in_doubt"]) for row in doubt.rows] == [("up to 7 days", 500)]


# Holds that were put in force again


def again(books: Books) -> list[tuple[object, ...]]:
    return [
        tuple(row[name] for name in ("result", "wanted", "got", "short")) for row in reports.advanced_holds(books).rows
    ]


def refused(books: Books) -> None:
    """A part of 30.00 has shipped, and the card was suspended meanwhile."""
    books.sell_electronic("c-1", "30.00", "BRL", order="sale", key="k1")
    books.authorize("p-1", "c-1", "30.00", order="o", key="k2")
    books.suspend("c-1", key="k3", reason="lost")
    books.settle("p-1", "10.00", key="k4", keep_hold=False)


def test_what_was_short_stays_so_when_it_was_covered_elsewhere_or_laid_aside() -> None:
    books, _ = opened()
    with books:
        refused(books)
        assert again(books) == [("refused", 2000, 0, 2000)]
        books.cover_elsewhere("p-1", "20.00", key="k5")
        assert again(books) == [("refused", 2000, 0, 2000)]
        books.cancel("p-1", key="k6")
        assert again(books) == [("refused", 2000, 0, 2000)]
        books.queue.dismiss("k4>hold_again", by="ann", reason="paid by card")
        assert again(books) == [("dismissed", 2000, 0, 2000)]


def test_each_refusal_tells_what_was_wanted_then() -> None:
    books, provider = opened()
    with books:
        refused(books)
        books.reinstate("c-1", key="k5")
        provider.reply_with([Reply("confirmed", "5.00")])
        books.hold_again("p-1", "20.00", key="k6")
        books.suspend("c-1", key="k7", reason="lost again")
        books.settle("p-1", "5.00", key="k8", keep_hold=False)
        assert sorted(again(books)) == [
            ("confirmed", 2000, 500, 1500), ("refused", 1500, 0, 1500), ("refused", 2000, 0, 2000),
        ]  # fmt: skip


def test_a_part_that_was_asked_for_and_came_in_full_is_not_short() -> None:
    books, _ = opened()
    with books:
        books.sell_electronic("c-1", "30.00", "BRL", order="sale", key="k1")
        books.authorize("p-1", "c-1", "30.00", order="o", key="k2")
        books.mark_hold_lost("p-1", key="k3", by="ann", reason="gone")
        books.hold_again("p-1", "10.00", key="k4")
        assert again(books) == [("confirmed", 1000, 1000, 0)]
        assert reports.advanced_holds(books).totals[0]["came_short"] == 0


def test_a_hold_that_was_declined_and_laid_aside_is_told_once() -> None:
    books, provider = opened()
    with books:
        books.sell_electronic("c-1", "30.00", "BRL", order="sale", key="k1")
        books.authorize("p-1", "c-1", "30.00", order="o", key="k2")
        provider.reply_with([Reply("confirmed"), Reply("declined")])
        books.settle("p-1", "10.00", key="k3", keep_hold=False)
        books.queue.dismiss("k3>hold_again", by="ann", reason="paid by card")
        assert again(books) == [("declined", 2000, 0, 2000)]


# Written out


@pytest.mark.parametrize("format", ["csv", "xes", "ocel2"])
def test_an_export_is_utf_8_and_whole_on_any_terminal(format: str, tmp_path: Path) -> None:
    with tallystick.open(f"{tmp_path}/books.db") as books:
        books.sell_electronic("c-1", "50.00", "BRL", order="订单-1", key="k1", by="Zoë")
    arguments = ["export", "--format", format, "--store", f"{tmp_path}/books.db"]
    done = CliRunner(charset="latin-1").invoke(main, arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    text = done.stdout_bytes.decode("utf-8")
    assert "订单-1" in text
    assert text == _to_file(arguments, tmp_path / "out")


def _to_file(arguments: list[str], path: Path) -> str:
    assert CliRunner().invoke(main, [*arguments, "--out", str(path)]).exit_code == 0
    return path.read_bytes().decode("utf-8")

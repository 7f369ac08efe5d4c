"""`tallystick report`: as a table, as CSV and JSON, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tallystick
from tallystick.cli.commands.figures import REPORTS
from tallystick.cli.main import main
from tallystick.reports import NAMES

NUMBER = "6006491234567890"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('report')}/books.db"
    with tallystick.open(url) as books:
        books.recognize("c-1", NUMBER, currency="BRL", balance="50.00", key="k1")
        books.sell_electronic("c-2", "30.00", "BRL", order="sale", key="k2", kind="promo")
        books.authorize("p-1", "c-1", "20.00", order="o-1", key="k3")
    return url


def report(store: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["report", *arguments, "--store", store], catch_exceptions=False)


def test_every_report_can_be_asked_for(store: str) -> None:
    assert tuple(each.replace("-", "_") for each in REPORTS) == NAMES
    for name in REPORTS:
        for form in ([], ["--csv"], ["--json"], ["--rows"]):
            done = report(store, name, *form)
            assert done.exit_code == 0, done.output
            assert NUMBER not in done.output
        assert json.loads(report(store, name, "--json").stdout)["report"] == name.replace("-", "_")


def test_it_is_added_up_by_what_is_asked_for(store: str) -> None:
    rows = list(csv.DictReader(io.StringIO(report(store, "liability", "--by", "kind, age", "--csv").stdout)))
    assert [(each["kind"], each["age"], each["total"]) for each in rows] == [
        ("gift", "up to 7 days", "50.00"), ("promo", "up to 7 days", "30.00"),
    ]  # fmt: skip
    shown = report(store, "liability").stdout
    assert "80.00" in shown
    assert "never verified" in shown


def test_times_are_printed_to_the_second_and_json_has_them_whole(store: str) -> None:
    head = r"^as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3})? UTC; never verified"
    assert re.search(head, report(store, "holds").stdout, re.MULTILINE)
    (row,) = json.loads(report(store, "holds", "--json").stdout)["rows"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["since"])
    assert f"{row['since'][:10]} {row['since'][11:19]} " in report(store, "holds").stdout
    assert row["since"] in report(store, "holds", "--csv").stdout
    days = report(store, "rollforward", "--from", "2026-01-01", "--to", "2026-01-31").stdout
    assert "from 2026-01-01 to 2026-01-31, days of UTC" in days
    part = report(store, "rollforward", "--from", "2026-01-01T10:00Z", "--to", "2026-01-31").stdout
    assert "from 2026-01-01 10:00:00 to 2026-01-31 23:59:59.999 UTC" in part


def test_rows_are_those_of_each_total(store: str) -> None:
    told = json.loads(report(store, "liability", "--rows", "--json").stdout)
    assert [each["total"] for opened in told["opened"] for each in opened["rows"]] == ["50.00", "30.00"]
    assert "…7890" in report(store, "liability", "--rows").stdout


def test_a_report_says_since_when_nothing_is_known_against_the_books(store: str, tmp_path: Path) -> None:
    with tallystick.open(f"sqlite:///{tmp_path}/books.db") as books:
        books.sell_electronic("c-1", "50.00", "BRL", order="sale", key="k1")
        entries = books.verify().entries
    assert f"verified up to entry {entries} of" in report(f"sqlite:///{tmp_path}/books.db", "liability").stdout


@pytest.mark.parametrize(("arguments", "why"), [
    (["liability", "--by", "colour"], "cannot be told by 'colour'"),
    (["liability", "--from", "2026-01-01"], "as of a moment"),
    (["rollforward", "--from", "2026-02-01", "--to", "2026-01-01"], "ends before it begins"),
    (["rollforward", "--as-of", "2026-02-01", "--to", "2026-01-01"], "not of both"),
    (["holds", "--as-of", "monday"], "'monday'"),
    (["holds", "--csv", "--json"], "--csv goes with neither"),
    (["owed"], "there is no report 'owed'. Known: liability, rollforward"),
    (["libility"], "there is no report 'libility'. Did you mean 'liability'?"),
])  # fmt: skip
def test_what_cannot_be_asked_is_said_in_a_sentence(store: str, arguments: list[str], why: str) -> None:
    done = report(store, *arguments)
    assert done.exit_code in (1, 2)
    assert why in done.stderr
    assert done.stdout == ""

"""An order may be named by anything; one that has a card's number in its id is shown without it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

import tallystick
from tallystick import reports
from tallystick.engine.sealing import new_key

NUMBER, OTHER = "6006491234567890", "6006499999997890"  # of two cards, with the same end
ORDERS = {NUMBER: "…7890", f"A-{NUMBER[:4]} {NUMBER[4:8]} {NUMBER[8:12]} {NUMBER[12:]}/2": "A-…7890/2",
          OTHER: "…7890", "100000001234": "100000001234", "o-3": "o-3"}  # fmt: skip


def told(url: str, **more: str) -> tallystick.Books:
    books = tallystick.open(url, **more)
    for at, number in enumerate((NUMBER, OTHER)):
        books.recognize(f"card-{at}", number, currency="BRL", balance="500.00", key=f"card-{at}")
    for at, order in enumerate(ORDERS):
        books.authorize(f"p-{at}", "card-0", "10.00", order=order, key=f"k-{at}")
    return books


@pytest.mark.parametrize("url", ["memory:", "sqlite"])
def test_the_number_of_a_card_is_masked_in_an_orders_id_and_another_number_is_not(url: str, tmp_path: Path) -> None:
    with told(url if url == "memory:" else f"sqlite:///{tmp_path}/books.db") as books:
        listed = reports.holds(books)
        opened = reports.holds(books, by=("kind",))
        rows = [*listed.rows, *opened.rows_of(opened.totals[0]).rows]
        out = io.StringIO()
        reports.export(books, "csv", out)
        exported = {row["order"] for row in csv.DictReader(io.StringIO(out.getvalue()))} - {""}

    assert sorted({str(row["order"]) for row in rows}) == sorted({*ORDERS.values()})
    assert NUMBER not in listed.csv() + listed.json() + out.getvalue()
    assert len(exported) == len(ORDERS)  # and two that end alike are still two
    assert {"o-3", "100000001234"} <= exported


def test_in_sealed_books_every_long_number_is_masked(tmp_path: Path) -> None:
    with told(f"sqlite:///{tmp_path}/books.db", seal_key=new_key()) as books:
        orders = {str(row["order"]) for row in reports.holds(books).rows}

    assert orders == {"…7890", "A-…7890/2", "…1234", "o-3"}

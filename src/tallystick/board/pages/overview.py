"""The first page: how much, what is wrong, and what was done lately."""

from __future__ import annotations

from datetime import datetime, timedelta

from tallystick import reports
from tallystick.board import charts
from tallystick.board.desk import Ask, Desk
from tallystick.board.page import Block, Cell, Heading, Link, Page, Picture, Table, Target, Text, Tile, Tiles, target
from tallystick.board.pages.blocks import money
from tallystick.board.pages.changes import by_day
from tallystick.books.books import Books
from tallystick.reports import Report
from tallystick.reports.report import readable

RECENT = 30  # days
YET = "being counted"
PART = 0.3  # of the time that somebody waits, for each of two figures


def overview(desk: Desk, ask: Ask) -> Page:
    """What is quick comes at once, what takes long as soon as it is counted."""
    stuck = desk.books.stuck()
    waits = sum(total.count for total in stuck.totals.values())
    calls = len(desk.reading.calls())
    owed = desk.counting("owed", lambda: reports.liability(desk.books, by=("currency",)), PART)
    known = (
        _owed(owed.value, calls) if owed is not None else [Tile("Owed to customers", [YET], "", Target("liability"))]
    )
    blocks: list[Block] = [
        Tiles([
            *known,
            Tile("For a person", [waits], "what nobody does by itself" if waits else "nothing waits", Target("stuck"),
                 "bad" if waits else "good"),
            *([_verified(owed.value)] if owed is not None else []),
        ]),
    ]  # fmt: skip
    lately = desk.counting("lately", lambda: _activity(desk.books, desk.now), PART)
    blocks += (
        lately.value if lately is not None else [Heading("Lately"), Text("What was done lately is being counted.")]
    )
    if owed is not None:
        blocks += _accounts(owed.value)
    blocks.append(Heading("How it runs"))
    blocks.append(Text(Link("The machines, with what stands in each state", Target("machines"))))
    return Page("Overview", "", blocks, "overview", again=None if owed is not None and lately is not None else 3)


def _owed(owed: Report, calls: int) -> list[Tile]:
    return [
        Tile("Owed to customers", _amounts(owed, "total"), _cards(owed), Target("liability")),
        Tile("Held for orders", _amounts(owed, "held"), "of what is owed", Target("holds")),
        Tile("In doubt", _amounts(owed, "in_doubt"),
             f"{calls:,} calls without an answer" if calls else "every call has its answer", Target("doubt"),
             "wait" if calls else "good"),
    ]  # fmt: skip


def _amounts(report: Report, name: str) -> list[Cell]:
    return [money(int(str(row[name])), str(row["currency"])) for row in report.rows] or ["nothing"]


def _cards(report: Report) -> str:
    count = sum(int(str(row["cards"])) for row in report.rows)
    return f"on {count:,} card{'' if count == 1 else 's'}"


def _verified(report: Report) -> Tile:
    if report.verified is None:
        return Tile(
            "Verified", ["never"], "`tallystick verify` replays the journal and compares everything", tone="wait"
        )
    return Tile("Verified", ["clean"], f"up to {readable(report.verified)}", tone="good")


def _activity(books: Books, now: datetime) -> list[Block]:
    start = (now - timedelta(days=RECENT)).date()
    found = reports.activity(books, start=str(start), by=("day",))
    blocks: list[Block] = []
    for currency in dict.fromkeys(str(row["currency"]) for row in found.rows):
        days = by_day([row for row in found.rows if row["currency"] == currency])
        drawn = [(name, count, f"{count:,} transactions") for name, count in days]
        blocks.append(
            Picture(charts.columns(drawn), f"Transactions a day in the last {RECENT} days, {currency} cards.")
        )
    if blocks:
        blocks.insert(0, Heading("Lately"))
        blocks.append(Text(Link("By day and type", target("activity"))))
    return blocks


def _accounts(owed: Report) -> list[Block]:
    """What is owed, by where it stands."""
    rows = []
    for row in owed.rows:
        for column in owed.columns:
            if column.kind == "money" and row[column.name] and column.name != "total":
                amount = money(int(str(row[column.name])), str(row["currency"]))
                rows.append((column.title, amount, column.says))
    totals = [("together", amount, None) for amount in _amounts(owed, "total")] if rows else []
    return [Heading("Where it stands"), Table("What is owed, by account", ["account", "amount", "what it is"], rows,
                                               totals, empty="There is nothing on any card.")]  # fmt: skip

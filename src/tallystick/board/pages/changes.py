"""What has happened in a period: how what is owed has changed, what was done each day, how advanced holds came back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import attrs

from tallystick import reports
from tallystick.board import charts
from tallystick.board.desk import PAYMENT, Ask, Desk
from tallystick.board.page import Block, Choice, Heading, Link, Page, Picture, Table, Text, Tile, Tiles, target
from tallystick.board.pages.blocks import LISTED, amount, chosen, day_asked, head, money, notes, tables, words
from tallystick.reports import Row

ENDS = {"opening": "What was owed before.", "closing": "What is owed after it."}
MOST_DAYS = 120  # columns of one chart


def rollforward(desk: Desk, ask: Ask) -> Page:
    """A statement for each currency: opening, what came and went, closing."""
    period, choice = chosen(desk, ask, "rollforward")
    by = ask.get("by", "")
    report = reports.rollforward(desk.books, **period, by=(by,) if by in ("kind", "card_set") else ())
    blocks: list[Block] = [*choice, head(report)]
    for row in report.totals:
        currency = str(row["currency"])
        figures = [each.name for each in report.columns if each.kind == "money" and each.name in row]
        filled = [name for name in figures if row[name] or name in ENDS]
        drawn = [(words(name), int(str(row[name])), amount(row, name)) for name in filled]
        lines = [
            (words(name), money(int(str(row[name])), currency), _says(desk, name), _movements(name, currency, period))
            for name in filled
        ]
        caption = f"What customers were owed, and how it has changed, in {currency}"
        blocks += [
            Heading(f"In {currency}"),
            Picture(charts.bars(drawn), f"From opening to closing, in {currency}."),
            Table(caption, ["figure", "amount", "what it is", "made of"], lines[:-1], lines[-1:]),
        ]
    links = [Link(text, target("rollforward", by=name or None, **period)) for name, text in
             (("", "together"), ("kind", "kind"), ("card_set", "card set"))]  # fmt: skip
    blocks.append(Heading("Told apart", "apart"))
    blocks.append(Choice("By", links, ["", "kind", "card_set"].index(by if by in ("kind", "card_set") else "")))
    if report.by:
        blocks += tables(desk, report)
    blocks += notes(report)
    lead = "How the liability came from one amount to the next: every cent that came or went, by why."
    return Page("What has changed", lead, blocks, "rollforward")


def _movements(figure: str, currency: str, period: Mapping[str, str]) -> Link | None:
    if figure in ENDS:
        return None
    to = target("rows", report="rollforward", by="figure", value=figure, currency=currency, **period)
    return Link("movements", to, f"of {words(figure)}")


def _says(desk: Desk, figure: str) -> str:
    """What counts in a figure, in the words of the pages."""
    if figure in ENDS:
        return ENDS[figure]
    says = dict.fromkeys(
        machine.outside[account] if figure == account or len({*figures.values()}) == 1 else _with(figures, figure)
        for machine in desk.engine.machines.values()
        for account, figures in machine.figures.items()
        if figure in figures.values()
    )
    return " ".join(says)


def _with(figures: Mapping[str, str], figure: str) -> str:
    commands = [words(command) for command, counts_in in figures.items() if counts_in == figure]
    return f"With {' or '.join(commands)}."


def activity(desk: Desk, ask: Ask) -> Page:
    period, choice = chosen(desk, ask, "activity", default=0)
    daily = reports.activity(desk.books, **period, by=("day",))
    typed = reports.activity(desk.books, **period, by=("type", "verb"))
    blocks: list[Block] = [*choice, head(daily)]
    for currency in dict.fromkeys(str(row["currency"]) for row in daily.rows):
        days = by_day([row for row in daily.rows if row["currency"] == currency])
        drawn = [(name, count, f"{count:,} transactions") for name, count in days]
        blocks.append(Picture(charts.columns(drawn), f"Transactions a day, {currency} cards."))
    blocks += tables(desk, typed, caption="By type")
    newest_first = attrs.evolve(daily, rows=tuple(sorted(daily.rows, key=lambda row: str(row["day"]), reverse=True)))
    blocks += tables(desk, newest_first, opened=_of_day, caption="By day, the newest first")
    blocks += notes(daily)
    lead = ("What was done with cards at the provider, as its accounting has it: balances, accounts, voids. For local "
            "books it is what would have been.")  # fmt: skip
    return Page("Activity by day", lead, blocks, "activity")


def by_day(rows: list[Row]) -> list[tuple[str, int]]:
    """How many each day, with the days on which there was nothing."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[str(row["day"])] = counts.get(str(row["day"]), 0) + int(str(row["transactions"]))
    first, last = date.fromisoformat(min(counts)), date.fromisoformat(max(counts))
    first = max(first, last - timedelta(days=MOST_DAYS - 1))
    days = [str(first + timedelta(days=at)) for at in range((last - first).days + 1)]
    return [(day, counts.get(day, 0)) for day in days]


def _of_day(row: Row) -> Link | None:
    if "day" not in row:
        return None
    return Link("rows", target("day", day=row["day"], currency=row["currency"]), f"of {row['day']}")


def day(desk: Desk, ask: Ask) -> Page:
    """The transactions of one day."""
    asked = day_asked(ask, "day")
    report = reports.activity(desk.books, start=asked, end=asked, by=("day",))
    path = [Link("Activity", target("activity"))]
    for row in report.rows:
        if row["currency"] == ask.get("currency"):
            found = report.rows_of(row, LISTED + 1)
            return Page(f"Activity of {asked}", "", [*tables(desk, found)], "activity", path=path)
    return Page(f"Activity of {asked}", "", [Text("Nothing was done.")], "activity", path=path)


def advanced_holds(desk: Desk, ask: Ask) -> Page:
    period, choice = chosen(desk, ask, "advanced-holds", default=5)
    start, end = period.get("start"), period.get("end")
    after = (ask.get("at", ""), desk.unhidden(PAYMENT, ask["rest"])) if ask.get("rest") else ()
    report = reports.ask(desk.books, "advanced_holds", None, start, end, (), reports.Page(LISTED, after))
    more = None
    if report.rest is not None:
        at, id = report.rest
        more = Link(f"The next {LISTED}", target("advanced-holds", at=at, rest=desk.asked(PAYMENT, id), **_all(period)))
    blocks: list[Block] = [*choice]
    for row in report.totals:
        currency = str(row["currency"])
        counts = {name: int(str(row[name])) for name in ("orders", "holds", "came_short")}
        blocks.append(Tiles([
            Tile("Orders that needed one", [counts["orders"]], f"{counts['holds']:,} advanced holds in all"),
            Tile("Asked for again", [money(int(str(row["wanted"])), currency)], "what was still to ship"),
            Tile("Came back short", [counts["came_short"]], f"of {counts['holds']:,}",
                 tone="bad" if counts["came_short"] else "good"),
            Tile("Short by", [money(int(str(row["short"])), currency)], "to be covered in another way",
                 tone="bad" if row["short"] else "good"),
        ]))  # fmt: skip
    only_short = reports.Page(LISTED, above="short")
    short = reports.ask(desk.books, "advanced_holds", None, start, end, (), only_short)
    if short.rows and not after:
        blocks += tables(desk, attrs.evolve(short, totals=()), caption="Those that came back short")
    blocks += tables(desk, report, caption="Every advanced hold", more=more)
    blocks += [head(report), *notes(report)]
    lead = ("A partial shipment uses up the hold. What is still to ship is held again: an advanced hold. If the card "
            "was used elsewhere meanwhile, it comes back short.")  # fmt: skip
    return Page("Advanced holds", lead, blocks, "advanced-holds")


def _all(period: Mapping[str, str]) -> Mapping[str, object]:
    """A period as it stands in an address: without a day it is the whole time."""
    return period or {"all": 1}

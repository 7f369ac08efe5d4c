"""A report as blocks of a page: its head, its charts, its table with totals, and the choice of a period."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime, timedelta

from tallystick.board import charts
from tallystick.board.desk import CARD, PAYMENT, ROWS, Ask, Desk, outcome
from tallystick.board.page import Block, Cell, Choice, Code, Field, Form, Link, Picture, Table, Text, target
from tallystick.errors import Invalid, MoneyError
from tallystick.money import Money, to_text
from tallystick.reports import Report, Row
from tallystick.reports.report import readable

LISTED = 4 * ROWS  # single things on one page
SPACES = str.maketrans("_", " ")
LINKS = {"payment": PAYMENT, "card": CARD}  # columns with an id, and of what
TOLD = {"machine", "currency", "kind", "card_set", "state"}  # left out where all rows have the same
CODES = {"call", "key", "reference", "request"}


def head(report: Report) -> Block:
    """When it is of, and whether the books were found clean."""
    since = f"From {_long(report.start)} until" if report.start is not None else "As of"
    verified = (
        f"Verified up to {readable(report.verified)}" if report.verified else "Never verified: `tallystick verify`"
    )
    return Text(f"{since} {_long(report.as_of)}, {report.as_of:%H:%M} UTC. {verified}.")


def _long(day: datetime) -> str:
    return f"{day.day} {day:%B %Y}"


def notes(report: Report) -> Iterator[Block]:
    for each in report.notes:
        yield Text(f"{each[:1].upper()}{each[1:]}.")


def bars(report: Report, measure: str, by: str) -> Iterator[Block]:
    """One chart for each currency: two are never compared."""
    for currency in dict.fromkeys(str(row["currency"]) for row in report.rows):
        found = [row for row in report.rows if row["currency"] == currency]
        if len(found) > 1 or by != "currency":
            drawn = [(words(row.get(by)), int(str(row[measure])), amount(row, measure)) for row in found[:30]]
            says = f"{report.title}, by {by.translate(SPACES)}, in {currency}."
            yield Picture(charts.bars(drawn), says)


def words(value: object) -> str:
    return "none" if value in (None, "") else str(value).translate(SPACES)


def amount(row: Row, column: str) -> str:
    text = to_text(int(str(row[column])), str(row["currency"]))
    whole, point, cents = text.partition(".")
    return f"{int(whole):,}{point}{cents} {row['currency']}" if whole != "-0" else f"{text} {row['currency']}"


def tables(
    desk: Desk, report: Report, *, opened: Callable[[Row], Link | None] = lambda row: None, caption: str = "",
    without: Collection[str] = (), more: Link | None = None,
) -> Iterator[Block]:  # fmt: skip
    """The rows of a report with its totals; columns in which nothing stands are left out, and those `without`."""
    every = [*report.rows, *report.totals]
    shown = [
        each
        for each in report.columns
        if each.name not in without
        and (report.late or each.name != "occurred_at")
        and any(row.get(each.name) not in (None, "", 0) for row in every)
    ]
    shown = [each for each in shown if each.name not in TOLD or each.name in report.by or _tells(report, each.name)]
    listed = report.rows[:LISTED]
    rows = [[*(_cell(desk, report, row, each.name, each.kind) for each in shown), opened(row)] for row in listed]
    totals = [
        [*(_cell(desk, report, row, each.name, each.kind) for each in shown), opened(row)] for row in report.totals
    ]
    for each in totals:
        each[0] = each[0] or "together"
    columns = [*(each.title for each in shown), "made of"]
    if all(row[-1] is None for row in (*rows, *totals)):
        columns, rows, totals = columns[:-1], [row[:-1] for row in rows], [row[:-1] for row in totals]
    first = f", the first {LISTED}" if len(report.rows) > LISTED or (report.rest and not more) else ""
    yield Table((caption or report.title) + first, columns, rows, totals, more=more)


def _tells(report: Report, column: str) -> bool:
    """Whether a column says something: not where it is the same everywhere, and beside amounts that have it."""
    found = {row.get(column) for row in report.rows}
    return column != "currency" and (len(found) > 1 or (column != "machine" and len(report.rows) == 1))


def _cell(desk: Desk, report: Report, row: Row, column: str, kind: str) -> Cell:
    value = row.get(column)
    if value is None:
        return None
    match kind:
        case "money":
            return money(int(str(value)), str(row["currency"]))
        case "count":
            return int(str(value))
        case "time":
            return datetime.fromisoformat(str(value))
    if column in LINKS:
        return desk.life(LINKS[column], str(value))
    if column == "entity":
        return desk.life(str(row.get("machine", CARD)), str(value))
    if column in CODES:
        return Code(desk.name(value))
    if column == "result":
        return outcome(str(value))
    if column in ("reason", "by", "says"):
        return desk.shown.text(value)
    if column == "order":
        return desk.name(value)
    return str(value).translate(SPACES)


def money(minor: int, currency: str) -> Money | str:
    """An amount; of a sum beyond what one amount may be, its text."""
    try:
        return Money(minor, currency)
    except MoneyError:
        return f"{to_text(minor, currency)} {currency}"


# Periods


def _periods(today: date) -> list[tuple[str, date | None, date | None]]:
    """Periods that people ask for: in words, first day, last day."""
    month = today.replace(day=1)
    last = (month - timedelta(days=1)).replace(day=1)
    before = (last - timedelta(days=1)).replace(day=1)
    return [
        ("since last month", last, None),
        ("this month", month, None),
        (f"{last:%B}", last, month - timedelta(days=1)),
        (f"{before:%B}", before, last - timedelta(days=1)),
        ("last 7 days", today - timedelta(days=6), None),
        ("from the beginning", None, None),
    ]


def chosen(desk: Desk, ask: Ask, name: str, default: int = 0) -> tuple[dict[str, str], list[Block]]:
    """The period that was asked for, and its choice."""
    periods = _periods(desk.now.date())
    links, at = [], None
    asked = (ask.get("start"), ask.get("end"))
    if asked == (None, None) and "all" not in ask:
        first, last = periods[default][1:]
        asked = (str(first) if first else None, str(last) if last else None)
    for number, (text, first, last) in enumerate(periods):
        given = (str(first) if first else None, str(last) if last else None)
        links.append(Link(text, target(name, start=given[0], end=given[1], all=1 if given == (None, None) else None)))
        if given == asked:
            at = number
    period = {key: _iso(value) for key, value in zip(("start", "end"), asked, strict=True) if value}
    fields = [
        Field("start", "From", period.get("start", ""), "date"),
        Field("end", "To", period.get("end", ""), "date"),
    ]
    return period, [Choice("Period", links, at), Form(name, fields, "Show")]


def day_asked(ask: Ask, name: str) -> str | None:
    return _iso(ask[name]) if ask.get(name) else None


def _iso(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Invalid("a day is written so: 2026-11-30") from None
    if not 1970 < day.year < 9000:
        raise Invalid("nobody had books then")
    return day.isoformat()


def as_of(name: str, ask: Ask, by: str | None) -> Block:
    hidden = {"by": by} if by is not None else {}
    return Form(name, [Field("as_of", "As it was at the end of", ask.get("as_of", ""), "date")], "Show", hidden)

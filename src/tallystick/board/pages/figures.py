"""The reports as pages: chosen by age, kind or period, with a chart, and every figure a link to what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from tallystick import reports
from tallystick.board.desk import CARD, Ask, Desk
from tallystick.board.page import Block, Choice, Link, Page, Text, target
from tallystick.board.pages.blocks import LISTED, SPACES, as_of, bars, day_asked, head, notes, tables
from tallystick.errors import Invalid
from tallystick.reports import Report, Row


@attrs.frozen
class Figures:
    """A report, as a page shows it."""

    title: str
    lead: str
    report: Callable[..., Report]
    by: Sequence[tuple[str, str]]  # how it can be told, and in words; the first is chosen
    measure: str  # the column that the chart shows
    leave_out: Sequence[str] = ()  # columns that are left out where it is added up


LIABILITY = Figures(
    "What is owed",
    "What customers still have on their cards: available, held for orders, or in doubt, which is counted once.",
    reports.liability,
    [("age", "age"), ("kind", "kind"), ("card_set", "card set"), ("state", "state"), ("currency", "currency")],
    "total",
)  # fmt: skip
HOLDS = Figures(
    "Old holds",
    "What orders keep on cards. A provider's hold never expires, so a forgotten order keeps a customer's money.",
    reports.holds, [("age", "age"), ("state", "state"), ("kind", "kind"), ("card_set", "card set")], "held",
)  # fmt: skip
BREAKAGE = Figures(
    "Breakage",
    "Cards with money on them that no customer has used for a year: candidates for breakage, by how long.",
    reports.dormant, [("age", "age"), ("kind", "kind"), ("card_set", "card set"), ("state", "state")], "total",
)  # fmt: skip


def grouped(desk: Desk, ask: Ask, name: str, of: Figures) -> tuple[Report, list[Block]]:
    """A report, added up as it was asked for: the choice, the chart, and the table with its totals."""
    by = ask.get("by", of.by[0][0])
    if by not in {each for each, _ in of.by}:
        raise Invalid("it cannot be told so")
    report = of.report(desk.books, by=(by,), as_of=day_asked(ask, "as_of"))
    links = [Link(text, target(name, by=each, as_of=ask.get("as_of"))) for each, text in of.by]
    blocks: list[Block] = [
        Choice("By", links, [each for each, _ in of.by].index(by)),
        as_of(name, ask, by),
        head(report),
        *bars(report, of.measure, by),
        *tables(desk, report, opened=lambda row: _rows_link(name, of, ask, by, row)),
        *notes(report),
    ]
    return report, blocks


def liability(desk: Desk, ask: Ask) -> Page:
    _, blocks = grouped(desk, ask, "liability", LIABILITY)
    return Page(LIABILITY.title, LIABILITY.lead, blocks, "liability")


def breakage(desk: Desk, ask: Ask) -> Page:
    report, blocks = grouped(desk, ask, "breakage", BREAKAGE)
    if not report.rows:
        blocks = [Text("No card with money on it has been unused for a year.", "good"), *blocks[:2]]
    return Page(BREAKAGE.title, BREAKAGE.lead, blocks, "breakage")


def escheat(desk: Desk, ask: Ask) -> Page:
    rest = ask.get("rest")
    after = (ask.get("last", ""), desk.unhidden(desk.machine(ask.get("of", CARD)).name, rest)) if rest else ()
    report = reports.ask(desk.books, "dormant", day_asked(ask, "as_of"), None, None, (), reports.Page(LISTED, after))
    more = None
    if report.rest is not None:
        last, id = report.rest
        machine = str(report.rows[-1]["machine"])
        more = Link(f"The next {LISTED}", target("escheat", as_of=ask.get("as_of"), last=last, of=machine,
                                                 rest=desk.asked(machine, id)))  # fmt: skip
    lead = ("The same cards one by one, those unused for longest first: what may have to be handed over as unclaimed "
            "property. Which law holds, and after how many years, is not decided here.")  # fmt: skip
    blocks: list[Block] = [as_of("escheat", ask, None), head(report), *tables(desk, report, more=more), *notes(report)]
    return Page("Escheat", lead, blocks, "escheat")


def rows(desk: Desk, ask: Ask) -> Page:
    """What one figure of a report is made of."""
    name, by = ask.get("report", ""), ask.get("by", "")
    of = OPENED.get(name)
    if of is None:
        raise Invalid("no such report")
    value = ask.get("value")
    period = {key: day for key in ("start", "end") if (day := day_asked(ask, key)) is not None}
    report = of(desk.books, by=(by,) if by else (), **period, as_of=None if period else day_asked(ask, "as_of"))
    for row in (*report.rows, *report.totals):
        if row["currency"] == ask.get("currency") and (not by or _asked(row.get(by)) == value):
            found = report.rows_of(row, LISTED + 1)
            above = Link(TITLES.get(name, name), target(name, by=by or None, **period))
            return Page(found.title.translate(SPACES), "", [*tables(desk, found)], name, path=[above])
    raise Invalid("there is no such row")


OPENED: Mapping[str, Callable[..., Report]] = {
    "liability": reports.liability, "breakage": reports.dormant, "holds": reports.holds,
    "rollforward": reports.rollforward, "activity": reports.activity, "advanced-holds": reports.advanced_holds,
}  # fmt: skip
TITLES = {"liability": "What is owed", "breakage": "Breakage", "holds": "Old holds", "rollforward": "What has changed",
          "activity": "Activity by day", "advanced-holds": "Advanced holds"}  # fmt: skip


def _rows_link(name: str, of: Figures, ask: Ask, by: str, row: Row) -> Link | None:
    value = _asked(row.get(by)) if by in row else None
    to = target("rows", report=name, by=by if by in row else None, value=value, currency=row["currency"],
                as_of=ask.get("as_of"))  # fmt: skip
    return Link("rows", to, f"of {value or 'all'}")


def _asked(value: object) -> str:
    return "" if value is None else str(value)

"""What our books and the provider's disagreed on, as far as the books have it. The provider is not asked here."""

from __future__ import annotations

from tallystick import reports
from tallystick.board.desk import Ask, Desk
from tallystick.board.page import Block, Page, Text, ToType
from tallystick.board.pages.blocks import LISTED, chosen, head, notes, tables
from tallystick.board.pages.waiting import WHO

ELSEWHERE = "elsewhere"  # the figure in which it counts
LEFT_OUT = ("seq", "figure", "key", "request", "call", "reference")  # columns that say the same, or stand in its life


def reconciliation(desk: Desk, ask: Ask) -> Page:
    period, choice = chosen(desk, ask, "reconciliation", default=0)
    report = reports.rollforward(desk.books, **period, by=("figure",))
    late = desk.books.stuck().late
    blocks: list[Block] = [*choice]
    if late:
        blocks.append(Text(f"{len(late):,} answers came late and say otherwise: see what is for a person.", "bad"))
    caption = "What moved through other channels, as the provider's balance has shown it"
    found = [row for row in report.rows if row["figure"] == ELSEWHERE]
    for row in found:
        blocks += tables(desk, report.rows_of(row, LISTED), caption=caption, without=LEFT_OUT)
    if not found:
        blocks.append(Text("Nothing in this period: wherever the provider told a balance, it was ours.", "good"))
    blocks.append(ToType([
        ("Compare every card with the provider's record", "tallystick reconcile --provider NAME"),
        ("Compare one card", "tallystick reconcile --provider NAME --card ID"),
        ("Believe the provider's balances", f"tallystick reconcile --provider NAME --apply {WHO}"),
    ]))  # fmt: skip
    blocks += [head(report), *notes(report)]
    lead = ("Cards are used in other channels too. Where the provider's balance differed from ours, the difference was "
            "posted to or from `elsewhere`. To compare now is a command, because this board asks nobody.")  # fmt: skip
    return Page("Reconciliation", lead, blocks, "reconciliation")

"""Figures that close, from the views of a store: what is owed and how it changed, holds, doubt, what cards did.

    from tallystick import reports
    print(reports.liability(books, by=("kind", "age")))
    reports.rollforward(books, start="2026-11-01", end="2026-11-30").csv()

Keeps: two currencies are never added up; money in doubt is counted once; every total opens into its rows; figures that
do not agree with what stands in the tables are an error and no report; where sums are kept, with what these have of
every entity. No card number is shown whole.

Read in this order: `report` (the value), `period` (of when), `catalogue` (which reports there are: a table), `summed`
(the sums that large books keep, as tables of a query), `orders` (how the ids of orders are shown), `asking` (one
report, asked for), `named` (each as a function), `pictures` (what a diagram shows of a store), `events` with `export`
(the journal for other tools), `datasette` (how that shows the views).

Knows the engine and the store's views. The command line and the board show what it says.
"""

from tallystick.reports.asking import ask
from tallystick.reports.export import export
from tallystick.reports.named import (
    NAMES,
    activity,
    advanced_holds,
    dormant,
    doubt,
    holds,
    liability,
    rollforward,
    trial_balance,
)
from tallystick.reports.pictures import life, overlay
from tallystick.reports.report import Column, Page, Report, Row

__all__ = [
    "NAMES",
    "Column",
    "Page",
    "Report",
    "Row",
    "activity",
    "advanced_holds",
    "ask",
    "dormant",
    "doubt",
    "export",
    "holds",
    "liability",
    "life",
    "overlay",
    "rollforward",
    "trial_balance",
]  # fmt: skip

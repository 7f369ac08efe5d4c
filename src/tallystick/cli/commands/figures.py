"""Commands for those who count: `report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallystick.cli.options import books_options
from tallystick.cli.printing import print_answer, write

if TYPE_CHECKING:
    from tallystick.cli.options import BooksOptions

REPORTS = (
    "liability", "rollforward", "holds", "doubt", "dormant", "activity", "advanced-holds", "trial-balance",
)  # fmt: skip


@click.command()
@click.argument("name", metavar="NAME", type=click.Choice(REPORTS))
@click.option("--as-of", metavar="WHEN", help="A day, up to its end; or a moment, such as 2026-11-30T17:00Z.")
@click.option("--from", "start", metavar="WHEN", help="The period begins with this day or moment.")
@click.option("--to", "end", metavar="WHEN", help="It ends with this day, or before this moment.")
@click.option("--by", metavar="WHAT,...", default="", help="Add up by kind, card_set, currency, age, …")
@click.option("--rows", is_flag=True, help="Also show the rows that each total is made of.")
@click.option("--csv", "csv_out", is_flag=True, help="Answer in CSV.")
@books_options
def report(
    name: str, as_of: str | None, start: str | None, end: str | None, by: str, rows: bool, csv_out: bool,
    books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Print a report: what is owed and how it changed, holds, doubt, what was done with cards.

    NAME is liability, rollforward, holds, doubt, dormant, activity, advanced-holds or trial-balance. Days are days of
    UTC. Two currencies are never added up.
    """
    if csv_out and (json_out or rows):
        raise click.UsageError("--csv goes with neither --json nor --rows: CSV has one table, with the rows alone")
    from rich.text import Text

    from tallystick.reports import ask

    wanted = [each.strip() for each in by.split(",") if each.strip()]
    with books.opened() as engine:
        found = ask(engine, name.replace("-", "_"), as_of, start, end, wanted)
        opened = [found.rows_of(each) for each in found.totals] if rows else []
    if csv_out:
        write(found.csv())
        return
    plain = {**found.plain(), **({"opened": [each.plain() for each in opened]} if rows else {})}
    below = Text("\n".join(found.below()))
    print_answer(json_out, plain, lambda: [*([found.grid()] if found.rows else []), below, *(e.grid() for e in opened)])

"""Commands for those who count: `report`, `export`, `datasette`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tallystick.cli.options import books_options
from tallystick.cli.printing import print_answer, stdout_as_utf8, write
from tallystick.errors import nearest
from tallystick.masks import quoted

if TYPE_CHECKING:
    from tallystick.cli.options import BooksOptions

REPORTS = (
    "liability", "rollforward", "holds", "doubt", "dormant", "activity", "advanced-holds", "trial-balance",
)  # fmt: skip


class ReportName(click.Choice):  # type: ignore[type-arg]
    """A report by its name. Who mistypes it is told the nearest one."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name = value.replace("_", "-")
        if name not in self.choices:
            self.fail(f"there is no report {quoted(value)}.{nearest(name, self.choices)}", param, ctx)
        return name


@click.command()
@click.argument("name", metavar="NAME", type=ReportName(REPORTS))
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


@click.command("export")
@click.option("--format", "format", type=click.Choice(["csv", "xes", "ocel2"]), default="csv", show_default=True,
              help="CSV, or XES or OCEL 2.0 (JSON) for process mining.")  # fmt: skip
@click.option("--case", type=click.Choice(["order", "card", "payment"]), default="order", show_default=True,
              help="What a trace of XES is about.")  # fmt: skip
@click.option("--output", "--out", "-o", "out", type=click.Path(dir_okay=False), help="A file; without it, to stdout.")
@books_options
def export_command(format: str, case: str, out: str | None, books: BooksOptions, json_out: bool) -> None:
    """Write every entry of the journal, in its order, for other tools.

    Cards are named by their ids; one that is a card number is masked. With --json the answer says how many entries
    there were, so it needs --out.
    """
    if json_out and out is None:
        raise click.UsageError("--json says how many entries were written; name a file for them with --out")
    from tallystick.reports import export

    with books.opened() as engine:
        if out is None:
            with stdout_as_utf8() as stdout:
                export(engine, format, stdout, case=case)
            return
        with open(out, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            count = export(engine, format, file, case=case)
    print_answer(json_out, {"file": out, "entries": count}, lambda: [f"{count} entries were written to {out}"])


@click.command()
@click.option("--output", "--out", "-o", "out", type=click.Path(dir_okay=False), help="A file; without it, to stdout.")
@books_options
def datasette(out: str | None, books: BooksOptions, json_out: bool) -> None:
    """Write metadata for Datasette: only the views are shown, with what their columns mean.

    Then: datasette books.db --metadata metadata.json
    """
    from tallystick.reports.datasette import datasette_metadata

    with books.opened() as engine:
        text = json.dumps(datasette_metadata(engine), ensure_ascii=False, indent=2) + "\n"
    if out is None:
        write(text)
        return
    with open(out, "w", encoding="utf-8") as file:
        file.write(text)
    print_answer(json_out, {"file": out}, lambda: [f"written to {out}"])

"""Commands about lists of cards: `import` lets those of an old system in, `sell` sells one for each line.

Both read a CSV file line by line, tell what became of each line that did not go, and go on where they stopped when they
are said again. No answer, error or report shows a number.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from tallystick.cli.options import Zone, books_options, pins_option, write_pins_to
from tallystick.cli.printing import print_json

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tallystick.books.books import Books
    from tallystick.books.bulk import BulkDone, BulkLine
    from tallystick.cli.options import BooksOptions

SHOWN = 20  # lines with a fault that are told on the terminal; the report has all


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """What both commands take."""
    for option in reversed((
        click.argument("file", type=click.Path(exists=True, dir_okay=False)),
        click.option("--name", help="Of the list, for keys and ids: the same name goes on. Else the file's."),
        click.option("--currency", help="Of lines that name none."),
        click.option("--zone", type=Zone(), help="Whose days the dates are, such as America/Sao_Paulo. A card that"
                     " expires on a day can be spent on that day."),
        click.option("--encoding", default="utf-8", show_default=True, help="Of the file, such as latin-1."),
        click.option("--report", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
                     help="Write the lines that did not go there, as CSV."),
        click.option("--by", help="Who gives the list; it stands in each entry."),
    )):  # fmt: skip
        function = option(function)
    return function


@click.command("import")
@_options
@click.option("--form", type=click.Choice(["physical", "electronic"]), default="physical", show_default=True,
              help="Of lines that name none.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@books_options
@click.pass_context
def import_command(
    ctx: click.Context, file: str, name: str | None, currency: str | None, zone: ZoneInfo | None, encoding: str,
    report: str | None,
    by: str | None, form: str, dry_run: bool, books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Let cards into the books that another system has sold.

    FILE is CSV. Its head names the columns: number and balance, and if wanted currency, kind, form, id and other facts
    of a card. The provider is not asked. Said again with the same list, nothing is done twice. The exit code is 1 if a
    line did not go.
    """
    from tallystick.books.bulk import import_cards, import_columns

    def done(opened: Books, read: _Read) -> Iterator[BulkDone]:
        lines = read(*import_columns(opened))
        return import_cards(
            opened, lines, name=_name(name, file), currency=currency, form=form, zone=zone, by=by, dry=dry_run
        )

    doing = "would be imported" if dry_run else "imported"
    ctx.exit(_run(file, encoding, books, done, doing, report, json_out, None))


@click.command()
@_options
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True,
              help="Ask a remote provider about so many cards at once.")  # fmt: skip
@pins_option
@books_options
@click.pass_context
def sell(
    ctx: click.Context, file: str, name: str | None, currency: str | None, zone: ZoneInfo | None, encoding: str,
    report: str | None,
    by: str | None, workers: int, pins: str | None, books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Sell a card for each line of a list: it is drawn, activated, and the amount is put on it.

    FILE is CSV. Its head names the columns: amount, and if wanted currency, order, kind, card_set, expires, id and
    limits. A line with a number is a physical card, which is activated under that. Said again with the same list, it
    goes on where it stopped. The exit code is 1 if a line did not go.
    """
    from tallystick.books.bulk import SELL_COLUMNS, sell_cards

    def done(opened: Books, read: _Read) -> Iterator[BulkDone]:
        lines = read(SELL_COLUMNS, ["amount"])
        return sell_cards(opened, lines, name=_name(name, file), currency=currency, zone=zone, by=by, workers=workers)

    ctx.exit(_run(file, encoding, books, done, "sold", report, json_out, write_pins_to(pins)))


_Read = Callable[[Iterable[str], Iterable[str]], "Iterator[BulkLine]"]


def _name(given: str | None, file: str) -> str:
    return given if given is not None else Path(file).stem


def _run(
    file: str, encoding: str, books: BooksOptions, done: Callable[[Books, _Read], Iterator[BulkDone]], doing: str,
    report: str | None, json_out: bool, on_pin: Callable[[str, str], None] | None,
) -> int:  # fmt: skip
    """Do all lines, tell the faults, and say at the end how it went. Gives the exit code."""
    from tallystick.books.books import Books
    from tallystick.cli import as_tables, csv_lines

    total, began = _Total(), time.monotonic()
    with open(file, "rb") as source, books.opened(make=True) as engine, as_tables.progress(source) as raw:
        engine.on_pin = on_pin
        opened = Books(engine)

        def read(known: Iterable[str], needed: Iterable[str]) -> Iterator[BulkLine]:
            return csv_lines.read(raw, [*known], [*needed], encoding)

        with _report_to(report) as tell:
            for each in done(opened, read):
                total.add(each)
                if each.result in ("wrong", "waiting"):
                    tell(each)
                    if total.faults <= SHOWN and not json_out:
                        click.echo(f"line {each.line}{f' ({each.shown})' if each.shown else ''}: {each.why}", err=True)
    seconds = max(time.monotonic() - began, 0.001)
    if json_out:
        print_json({**total.plain(), "seconds": round(seconds, 1), "report": report})
    else:
        click.echo(total.sentence(doing, seconds))
        if total.faults > SHOWN and report is None:
            click.echo(f"{total.faults - SHOWN:,} more lines did not go: --report FILE writes all of them", err=True)
    return 1 if total.faults else 0


@attrs.define
class _Total:
    """How the lines ended."""

    results: Counter[str] = attrs.field(factory=Counter)
    amounts: Counter[str] = attrs.field(factory=Counter)  # minor units, by currency, of those done now
    all: Counter[str] = attrs.field(factory=Counter)  # likewise, with those that were done before

    def add(self, done: BulkDone) -> None:
        self.results[done.result] += 1
        if done.amount is not None:
            self.all[done.amount.currency] += done.amount.minor
            self.amounts[done.amount.currency] += done.amount.minor if done.result == "done" else 0

    @property
    def faults(self) -> int:
        return self.results["wrong"] + self.results["waiting"]

    def plain(self) -> dict[str, Any]:
        from tallystick import money

        return {
            "lines": self.results.total(),
            **{name: self.results[name] for name in ("done", "again", "waiting", "wrong")},
            "amounts": {unit: money.to_text(minor, unit) for unit, minor in sorted(self.amounts.items())},
            "with_those_of_before": {unit: money.to_text(minor, unit) for unit, minor in sorted(self.all.items())},
        }  # fmt: skip

    def sentence(self, doing: str, seconds: float) -> str:
        from tallystick.money import Money

        sums = ", ".join(str(Money(minor, unit)) for unit, minor in sorted(self.amounts.items()) if minor)
        told = [f"{self.results['done']:,} {doing}{f' with {sums}' if sums else ''}"]
        told += [f"{self.results['again']:,} were there already"] if self.results["again"] else []
        told += [f"{self.results['waiting']:,} wait for the provider"] if self.results["waiting"] else []
        told += [f"{self.results['wrong']:,} did not go"] if self.results["wrong"] else []
        lines = self.results.total()
        return f"{'; '.join(told)} ({lines:,} line{'' if lines == 1 else 's'}, {lines / seconds:,.0f} a second)"


@contextmanager
def _report_to(path: str | None) -> Iterator[Callable[[BulkDone], object]]:
    """Takes the lines that did not go, and writes them as CSV: their numbers masked, and why."""
    from tallystick.masks import masked

    if path is None:
        yield lambda done: None
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["line", "result", "card", "number", "why"])
        yield lambda done: rows.writerow([done.line, done.result, masked(done.card), done.shown, done.why])

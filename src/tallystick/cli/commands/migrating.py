"""`tallystick migrate`: entities move to the newest version of their page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import click

from tallystick.cli.options import BooksOptions, books_options, require_store
from tallystick.cli.printing import print_answer, progress_bar
from tallystick.errors import Invalid

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tallystick.definition.machine import Machine, Machines
    from tallystick.engine.migrate import Forecast, Migrated, Obstacle


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only say what would move, and what is in the way.")
@click.option("--by", help="Who decides; it stands in each entry.")
@click.option("--reason", help="Why; likewise.")
@books_options
@click.pass_context
def migrate(
    ctx: click.Context, files: tuple[str, ...], dry_run: bool, by: str | None, reason: str | None,
    books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Move what lives to a new version of its page, by the words of that page.

    FILE is the page, which says `from version …` for each version that something stands on. Without FILE, all pages
    are meant. If anything is in the way of one entity, none is moved, and the exit code is 1. Stopped in the middle, it
    goes on when it is said again.
    """
    from tallystick.engine.migrate import InTheWay

    if dry_run:
        forecast = foretold(books, files)
        print_answer(json_out, as_json(forecast), lambda: tables(forecast))
        ctx.exit(1 if forecast.obstacles else 0)
    pages = meant(books, files)
    books = attrs.evolve(books, folders=(*books.folders, *files))
    with books.opened(asks=True) as engine, progress_bar("Moving") as progress:
        _check_newest(engine.machines, pages)
        names = [each.name for each in pages]
        try:
            done = engine.migration.migrate(names, by=by, reason=reason, progress=progress)
        except InTheWay as error:
            answer = error.forecast
            print_answer(json_out, {"moved": 0, **as_json(answer)}, lambda: tables(answer))
            ctx.exit(1)
    left = [_obstacle(each) for each in done.left]
    print_answer(json_out, {"moved": done.moved, "left": left}, lambda: [_told(done)])
    ctx.exit(1 if done.left else 0)


def foretold(books: BooksOptions, files: tuple[str, ...]) -> Forecast:
    """What migrating would do. The books are only read, and keep no page for it."""
    from tallystick.definition.machine import Machines
    from tallystick.engine.migrate import foretell
    from tallystick.store.open import open_store
    from tallystick.store.schema.kept import are_kept

    pages = meant(books, files)
    store = open_store(books.url, read_only=True)
    try:
        require_store(store)
        kept = store.machines(Machines([]))
        _check_newest(kept, pages)
        every = {(each.name, each.version): each for each in (*kept.all(), *pages)}
        with store.reading() as reading, progress_bar("Looking") as progress:
            are_kept(reading.pages(), Machines(pages))
            return foretell(Machines(list(every.values())), reading, [each.name for each in pages], progress)
    finally:
        store.close()


def meant(books: BooksOptions, files: tuple[str, ...]) -> list[Machine]:
    """The pages in these files; without any, all pages."""
    from pathlib import Path

    from tallystick.definition import reader

    paths = {Path(file).resolve() for file in files}
    every = reader.load(*books.folders, *files)
    return [each for each in every.values() if not files or Path(each.file).resolve() in paths]


def _check_newest(kept: Machines, pages: Sequence[Machine]) -> None:
    for page in pages:
        if page.name in kept and kept[page.name].version > page.version:
            why = f"these books have version {kept[page.name].version} of {page.name} already"
            raise Invalid(f"{page.file} is version {page.version}, and {why}")


def as_json(forecast: Forecast) -> dict[str, Any]:
    from tallystick import money

    return {
        "entities": forecast.entities,
        "groups": [
            {
                "machine": each.machine, "from": each.version, "to": each.to, "entities": each.entities,
                "states": [{"state": old, "becomes": new, "entities": count}
                           for (old, new), count in sorted(each.states.items())],
                "money": [{"account": old, "becomes": new, "currency": unit, "amount": money.to_text(minor, unit)}
                          for (old, new, unit), minor in sorted(each.money.items())],
                "open_calls": dict(sorted(each.calls.items())), "queued": dict(sorted(each.queued.items())),
            }
            for each in forecast.groups
        ],
        "in_the_way": [_obstacle(each) for each in forecast.obstacles],
    }  # fmt: skip


def _obstacle(each: Obstacle) -> dict[str, Any]:
    return {
        "machine": each.machine, "version": each.version, "why": each.why, "entities": each.count,
        "examples": list(each.examples),
    }  # fmt: skip


def tables(forecast: Forecast) -> list[RenderableType]:
    """What would move, and what is in the way, as lines."""
    from rich.text import Text

    from tallystick import money

    lines: list[RenderableType] = []
    for each in forecast.groups:
        lines.append(Text(f"{each.machine}, version {each.version} → {each.to}: {each.entities:,} entities", "bold"))
        for (old, new), count in sorted(each.states.items()):
            lines.append(Text(f"  {_arrow(old, new)}: {count:,}"))
        for (old, new, currency), minor in sorted(each.money.items()):
            lines.append(Text(f"  {_arrow(old, new)}: {money.to_text(minor, currency)} {currency}"))
        for verb, count in sorted(each.calls.items()):
            lines.append(Text(f"  open calls of {verb}: {count:,}"))
        for command, count in sorted(each.queued.items()):
            lines.append(Text(f"  {command} waits in the queue: {count:,}"))
    if not forecast.groups:
        lines.append(Text("everything stands on the newest version of its page", "green"))
    lines += [Text.assemble(("in the way: ", "bold red"), str(each)) for each in forecast.obstacles]
    if forecast.obstacles:
        lines.append(Text("nothing is moved as long as something is in the way"))
    return lines


def _arrow(old: str, new: str) -> str:
    return old if old == new else f"{old} → {new}"


def _told(done: Migrated) -> RenderableType:
    from rich.text import Text

    text = Text(f"{done.moved:,} moved", "green")
    for each in done.left:
        text.append(f"\nnot moved, as this has come in the way meanwhile: {each}", "bold yellow")
    if done.left:
        text.append("\nsay it again when that is over")
    return text

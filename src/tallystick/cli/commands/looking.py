"""Commands that look at the books and move nothing: `show`, `may`, `history`, `verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallystick.cli.options import books_options, by_and_reason
from tallystick.cli.printing import print_answer, progress_bar

if TYPE_CHECKING:
    from tallystick.cli.options import BooksOptions
    from tallystick.engine.engine import Engine


@click.command()
@click.argument("id")
@books_options
def show(id: str, books: BooksOptions, json_out: bool) -> None:
    """Show the whole life of a card, a payment, or anything else.

    ID is an id, machine/id, or a full card number.
    """
    from tallystick.cli import as_json, as_tables, parameters

    with books.opened() as engine, engine.store.reading() as reading:
        life = as_json.life(engine.machines, reading, parameters.entity_named(engine, reading, id))
    print_answer(json_out, life, lambda: [as_tables.life_table(life)])


@click.command()
@click.argument("id")
@click.argument("command", required=False)
@click.argument("arguments", metavar="[ARG=VALUE]...", nargs=-1)
@books_options
def may(id: str, command: str | None, arguments: tuple[str, ...], books: BooksOptions, json_out: bool) -> None:
    """Say whether ID would take COMMAND now; if not, why not.

    Nothing is done. Without COMMAND, the answer is what each command would need in this state. To try a creation,
    write: machine/id create ARG=VALUE...
    """
    with books.opened() as engine:
        if command is None:
            _print_commands(engine, id, json_out)
        else:
            _print_may(engine, id, command, arguments, json_out)


def _print_commands(engine: Engine, id: str, json_out: bool) -> None:
    from tallystick.cli import as_json, as_tables, parameters
    from tallystick.diagram.model import diagram_of

    with engine.store.reading() as reading:
        entity = parameters.entity_named(engine, reading, id)
    machine = engine.machines.at(entity.machine, entity.machine_version)
    commands = as_json.commands(machine, diagram_of(machine), entity)
    print_answer(json_out, commands, lambda: [as_tables.commands_table(commands)])


def _print_may(engine: Engine, id: str, command: str, arguments: tuple[str, ...], json_out: bool) -> None:
    from tallystick.cli import as_json, as_tables, parameters

    currency = None
    if command == "create":
        machine, id = parameters.new_entity(engine.machines, id)
    else:
        with engine.store.reading() as reading:
            entity = parameters.entity_named(engine, reading, id)
        machine, id, currency = engine.machines.at(entity.machine, entity.machine_version), entity.id, entity.currency
    may = engine.may(machine.name, id, command, parameters.arguments(machine, command, arguments))
    answer = as_json.answer(may, machine.name, id, command, currency)
    print_answer(json_out, answer, lambda: [as_tables.answer_table(answer)])


@click.command()
@click.argument("id", required=False)
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many entries.")
@books_options
def history(id: str | None, last: int, books: BooksOptions, json_out: bool) -> None:
    """Show the newest entries of the journal, or of ID alone."""
    from tallystick.cli import as_json, as_tables, parameters

    with books.opened() as engine, engine.store.reading() as reading:
        if id is None:
            rows = reading.chronicle(last)
        else:
            rows = list(reading.journal(*parameters.entity_named(engine, reading, id).ref))[-last:]
    entries = [as_json.entry(row) for row in rows]
    print_answer(json_out, entries, lambda: [as_tables.history_table(entries)])


@click.command()
@click.option("--since", metavar="CHECKPOINT", help="As an earlier verify printed it, kept where nobody writes books.")
@click.option("--new-checkpoint", is_flag=True, help="In place of one that the books do not fit, for a known reason.")
@click.option("--sums-again", is_flag=True, help="Add up anew what reports of large books are made of.")
@by_and_reason("new_checkpoint")
@books_options
@click.pass_context
def verify(
    ctx: click.Context, since: str | None, new_checkpoint: bool, sums_again: bool, by: str, reason: str,
    books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Replay the journal, and compare the books with it.

    Clean books keep a checkpoint, which shows the next time if entries were removed. It is printed too: whoever can
    remove entries can change what stands in the books, so keep it elsewhere and give it with --since. The exit code is
    1 if anything is wrong.

    If all that is wrong is that the books do not fit their checkpoint, and you know why, --new-checkpoint puts a new
    one there. Who did it and why stays in the books.
    """
    from tallystick.cli import as_json, as_tables
    from tallystick.engine.sums import bring, forget, keep_up
    from tallystick.engine.verify import keep, replace
    from tallystick.engine.verify import verify as verify_books
    from tallystick.store.rows import stamp

    with books.opened() as engine, progress_bar("Replaying") as progress:
        if sums_again:
            forget(engine.store)
            bring(engine.store, engine.machines)
        found = verify_books(engine.machines, engine.store, since=since, progress=progress)
        keep(engine.store, found)
        if new_checkpoint:
            replace(engine.store, found, by=by, reason=reason, at=stamp(engine.now()))
            found = verify_books(engine.machines, engine.store, since=since, progress=progress)
        if found.clean:
            keep_up(engine.store, engine.machines)
    report = as_json.verify_report(found)
    print_answer(json_out, report, lambda: [as_tables.verify_table(report), as_tables.removals_text(report)])
    ctx.exit(0 if report["clean"] else 1)

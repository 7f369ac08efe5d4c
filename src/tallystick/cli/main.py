"""The command line: `tallystick --help`.

Each command opens what it needs, asks the engine or the store, and prints plain values: as JSON, or as tables. What is
heavy is imported inside the commands, so that help is quick. Answers go to stdout, all else to stderr; whatever goes
wrong is one sentence there and exit code 1, a wrong use 2, and a stop by hand 130.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from tallystick.cli import check, machines, provider, testing
from tallystick.cli.options import (
    books_options,
    json_option,
    keeper,
    pins_option,
    tell,
    write,
)
from tallystick.errors import Invalid, TallystickError, quoted

if TYPE_CHECKING:
    from tallystick.cli.parameters import BooksOptions
    from tallystick.engine.engine import Engine
    from tallystick.engine.receipt import Receipt


class Sentences(click.Group):
    """A group whose commands end in a sentence, never in a traceback. TALLYSTICK_TRACEBACK=1 shows it."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(130)
        except Exception as error:
            if os.environ.get("TALLYSTICK_TRACEBACK"):
                raise
            raise click.ClickException(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    """What went wrong, in words."""
    import sqlite3

    match error:
        case TallystickError():
            return str(error)
        case sqlite3.Error():
            return f"the store cannot do it: {error}"
        case UnicodeDecodeError():
            return f"a machine's page is no UTF-8 text: {error.reason} at byte {error.start + 1}"
        case UnicodeEncodeError():
            return "what was given is no UTF-8 text"
        case OSError() if error.strerror:
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"this is a fault of tallystick itself: {type(error).__name__}: {error}"


@click.group(cls=Sentences, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tallystick", message="%(prog)s %(version)s")
def main() -> None:
    """Gift cards and their payments as declared state machines that know about money."""


@main.command()
@json_option
@click.pass_context
def demo(ctx: click.Context, json_out: bool) -> None:
    """Tell the story of a card, on a store gone afterwards."""
    import tempfile

    import tallystick
    from tallystick.cli import as_json, as_tables
    from tallystick.cli.demo import story, table
    from tallystick.definition.reader import packaged_folder

    pages = packaged_folder()  # the story is about these, whatever else is set
    with (
        tempfile.TemporaryDirectory() as folder,
        tallystick.open(f"sqlite:///{folder}/demo.db", machines=pages) as books,
    ):
        beats = list(story(books))
        report = as_json.report(books.verify())
    told = {"story": [beat.plain() for beat in beats], "verify": report}
    tell(json_out, told, lambda: [table(beats), as_tables.report_table(report)])
    ctx.exit(0 if report["clean"] else 1)


# Commands that change the books


@main.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--strict", is_flag=True, help="Stop at the first invalid line.")
@pins_option
@books_options
@click.pass_context
def run(ctx: click.Context, file: str, strict: bool, pins: str | None, books: BooksOptions, json_out: bool) -> None:
    """Execute JSON Lines: a command a line in, an answer a line out.

    FILE may be - for stdin. Run again, the same file replays. The exit code is 1 if a line was invalid; refusals are
    answers. The summary goes to stderr, with --json as JSON. With --provider scripted it is a rehearsal: lines may say
    what the provider replies, and the books are verified at the end.
    """
    from tallystick.cli import as_tables, run_lines

    summary = run_lines.Summary()
    with click.open_file(file, "rb") as given, books.opened(make=True) as engine, as_tables.progress(given) as lines:
        engine.on_pin = keeper(pins)
        for answer in run_lines.run_lines(engine, lines, summary, strict=strict):
            write(json.dumps(answer, ensure_ascii=False) + "\n")
        found = testing.judged(engine)
    if json_out:
        click.echo(json.dumps(summary.plain()), err=True)
    else:
        as_tables.console(stderr=True).print(as_tables.summary_table(summary.plain()))
    for sentence in found:
        click.echo(sentence, err=True)
    ctx.exit(1 if found or summary.lines[run_lines.INVALID] else 0)


@main.command()
@pins_option
@books_options
@click.pass_context
def due(ctx: click.Context, pins: str | None, books: BooksOptions, json_out: bool) -> None:
    """Run what is due: deferred commands, follow-ups, retries.

    The exit code is 1 if one of them waits for a person now; see stuck.
    """
    from tallystick.engine.by_hand import ENDED
    from tallystick.engine.engine import BATCH

    receipts: list[Receipt] = []
    with books.opened() as engine:
        engine.on_pin = keeper(pins)
        while ran := engine.run_due():
            receipts += ran
            if len(ran) < BATCH:
                break
        with engine.store.reading() as reading:
            left = [row for row in reading.queued({each.key for each in receipts}).values() if row.state in ENDED]
    _tell_receipts(json_out, receipts, "nothing is due")
    if left:
        click.echo(f"{len(left)} of them will not be tried again by themselves: see tallystick stuck", err=True)
        ctx.exit(1)


@main.command()
@click.option("--grace", type=click.IntRange(0), default=60, show_default=True,
              help="Seconds for which a call may still be on its way.")  # fmt: skip
@pins_option
@books_options
def recover(grace: int, pins: str | None, books: BooksOptions, json_out: bool) -> None:
    """End what is in doubt by the provider's own record."""
    from datetime import timedelta

    with books.opened() as engine:
        engine.on_pin = keeper(pins)
        with engine.store.reading() as reading:
            calls = reading.calls()
        if calls and engine.provider.local:  # it answers at once: it cannot have left a call open
            raise Invalid(
                f"{len(calls)} calls are open, and the local provider did not make them: name their provider with "
                f"--provider, or say what became of each, beginning with tallystick resolve {calls[0].id}"
            )
        receipts = engine.recover(timedelta(seconds=grace))
    _tell_receipts(json_out, receipts, "nothing is in doubt for that long")


@main.command()
@click.argument("call")
@click.argument("result", type=click.Choice(["confirmed", "declined", "unavailable"]))
@click.option("--reference", help="The provider's id of what it did: needed where value moved.")
@click.option("--number", help="The card that was drawn, of an allocation.")
@click.option("--amount", help="The confirmed amount, if less than was asked.")
@click.option("--by", required=True, help="Who decides.")
@click.option("--reason", required=True, help="On what evidence.")
@books_options
def resolve(
    call: str, result: str, reference: str | None, number: str | None, amount: str | None, by: str, reason: str,
    books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Say what became of CALL, when only a person can.

    Declined is the end of it; unavailable was surely not done, and may be sent again under its key.
    """
    from tallystick import money

    with books.opened() as engine:
        with engine.store.reading() as reading:
            row = reading.call(call)
        if row is None:
            raise Invalid(f"there is no call {quoted(call)}")
        minor = money.parse(amount, row.currency) if amount is not None else None
        receipt = engine.resolve(call, result, by=by, reason=reason, reference=reference, amount=minor, number=number)
    _tell_receipts(json_out, [receipt], "")


def _tell_receipts(json_out: bool, receipts: list[Receipt], nothing: str) -> None:
    from tallystick.cli import as_json, as_tables

    told = [as_json.receipt(each) for each in receipts]
    tell(json_out, told, lambda: [as_tables.receipts_table(told) if told else nothing])


# Commands that look


@main.command()
@click.argument("id")
@books_options
def show(id: str, books: BooksOptions, json_out: bool) -> None:
    """Show the life of a card or a payment.

    ID is its id, machine/id, or a full card number.
    """
    from tallystick.cli import as_json, as_tables, parameters

    with books.opened() as engine, engine.store.reading() as reading:
        told = as_json.life(engine.machines, reading, parameters.entity_named(engine, reading, id))
    tell(json_out, told, lambda: [as_tables.life_table(told)])


@main.command()
@click.argument("id")
@click.argument("command", required=False)
@click.argument("arguments", metavar="[ARG=VALUE]...", nargs=-1)
@books_options
def may(id: str, command: str | None, arguments: tuple[str, ...], books: BooksOptions, json_out: bool) -> None:
    """Say whether ID would take COMMAND now, and why not.

    Nothing is done. Without a command: what each command of its state would need. To try a creation: machine/id
    create ARG=VALUE...
    """
    with books.opened() as engine:
        if command is None:
            _tell_prospects(engine, id, json_out)
        else:
            _tell_answer(engine, id, command, arguments, json_out)


def _tell_prospects(engine: Engine, id: str, json_out: bool) -> None:
    from tallystick.cli import as_json, as_tables, parameters
    from tallystick.diagram.model import draw

    with engine.store.reading() as reading:
        entity = parameters.entity_named(engine, reading, id)
    machine = engine.machines.at(entity.machine, entity.machine_version)
    told = as_json.prospects(machine, draw(machine), entity)
    tell(json_out, told, lambda: [as_tables.prospects_table(told)])


def _tell_answer(engine: Engine, id: str, command: str, arguments: tuple[str, ...], json_out: bool) -> None:
    from tallystick.cli import as_json, as_tables, parameters

    currency = None
    if command == "create":
        machine, id = parameters.new_entity(engine.machines, id)
    else:
        with engine.store.reading() as reading:
            entity = parameters.entity_named(engine, reading, id)
        machine, id, currency = engine.machines.at(entity.machine, entity.machine_version), entity.id, entity.currency
    answer = engine.may(machine.name, id, command, parameters.arguments(machine, command, arguments))
    told = as_json.answer(answer, machine.name, id, command, currency)
    tell(json_out, told, lambda: [as_tables.answer_table(told)])


@main.command()
@click.argument("id", required=False)
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many entries.")
@books_options
def history(id: str | None, last: int, books: BooksOptions, json_out: bool) -> None:
    """Show the newest entries of the journal, or those of ID."""
    from tallystick.cli import as_json, as_tables, parameters

    with books.opened() as engine, engine.store.reading() as reading:
        if id is None:
            records = reading.chronicle(last)
        else:
            records = list(reading.journal(*parameters.entity_named(engine, reading, id).ref))[-last:]
    told = [as_json.entry(record) for record in records]
    tell(json_out, told, lambda: [as_tables.history_table(told)])


@main.command()
@books_options
@click.pass_context
def verify(ctx: click.Context, books: BooksOptions, json_out: bool) -> None:
    """Replay the journal and compare everything.

    The exit code is 1 if anything is wrong.
    """
    from tallystick.cli import as_json, as_tables
    from tallystick.engine.verify import verify as verified

    with books.opened() as engine:
        told = as_json.report(verified(engine.machines, engine.store))
    tell(json_out, told, lambda: [as_tables.report_table(told)])
    ctx.exit(0 if told["clean"] else 1)


# The key of sealed books


@main.command()
@json_option
def key(json_out: bool) -> None:
    """Print a new key for sealed books.

    Whoever has it in TALLYSTICK_SEAL_KEY seals the card numbers of new books. Keep it well, and away from the books:
    without it nobody reads those numbers again.
    """
    from tallystick.engine.sealing import new_key

    made = new_key()
    tell(json_out, {"key": made}, lambda: [made])


for each in (
    machines.machines,
    machines.diagram,
    machines.schema,
    check.check,
    check.diff,
    provider.sandbox,
    provider.balance,
    provider.reconcile,
    provider.holds,
    provider.stuck,
    testing.simulate,
    testing.fuzz,
):
    main.add_command(each)

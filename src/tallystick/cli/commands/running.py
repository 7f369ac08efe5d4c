"""Commands that execute: `run` a file, what is `due`, `recover` what is in doubt, and `resolve` a call by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tallystick.cli.options import books_options, pins_option, write_pins_to
from tallystick.cli.printing import print_answer, write
from tallystick.errors import Invalid

if TYPE_CHECKING:
    from tallystick.cli.options import BooksOptions
    from tallystick.engine.engine import Engine
    from tallystick.engine.receipt import Receipt


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--strict", is_flag=True, help="Stop at the first invalid line.")
@pins_option
@books_options
@click.pass_context
def run(ctx: click.Context, file: str, strict: bool, pins: str | None, books: BooksOptions, json_out: bool) -> None:
    """Execute a file of JSON Lines: one command a line in, one answer a line out.

    FILE may be - for stdin. If you run a file again, nothing is done twice. The exit code is 1 if a line was invalid;
    a refusal is a normal answer. The summary goes to stderr, with --json as JSON. With --provider scripted it is a
    rehearsal: lines may say what the provider replies, and the books are verified at the end.
    """
    from tallystick.cli import as_tables
    from tallystick.cli.commands import json_lines

    summary = json_lines.Summary()
    with click.open_file(file, "rb") as source, books.opened(make=True) as engine, as_tables.progress(source) as lines:
        engine.on_pin = write_pins_to(pins)
        for answer in json_lines.run_lines(engine, lines, summary, strict=strict):
            write(json.dumps(answer, ensure_ascii=False) + "\n")
        faults = _verified_rehearsal(engine)
    if json_out:
        click.echo(json.dumps(summary.plain()), err=True)
    else:
        as_tables.console(stderr=True).print(as_tables.summary_table(summary.plain()))
    for sentence in faults:
        click.echo(sentence, err=True)
    ctx.exit(1 if faults or summary.lines[json_lines.INVALID] else 0)


def _verified_rehearsal(engine: Engine) -> list[str]:
    """What is wrong with the books after a rehearsal, as sentences; nothing is said of real ones."""
    from tallystick.provider.scripted import ScriptedProvider

    if not isinstance(engine.provider, ScriptedProvider):
        return []
    from tallystick.engine.verify import verify
    from tallystick.testing.referee import judge
    from tallystick.testing.store_rows import rows_of

    found = [str(finding) for finding in verify(engine.machines, engine.store).findings]
    return found + judge(rows_of(engine.store), settled=False)


workers_option = click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True,
                              help="Ask a remote provider about so many cards at once.")  # fmt: skip


@click.command()
@workers_option
@pins_option
@books_options
@click.pass_context
def due(ctx: click.Context, workers: int, pins: str | None, books: BooksOptions, json_out: bool) -> None:
    """Execute what is due: deferred commands, follow-ups, retries. Commands of one card keep their order.

    The exit code is 1 if one of them now waits for a person: see `tallystick stuck`.
    """
    from tallystick.engine.engine import BATCH
    from tallystick.engine.queue.rows import ENDED

    receipts: list[Receipt] = []
    with books.opened() as engine:
        engine.on_pin = write_pins_to(pins)
        seen: set[str] = set()
        while ran := [each for each in engine.run_due(workers=workers) if each.key not in seen]:
            receipts += ran
            seen.update(each.key for each in ran)  # what is left alone comes again each time
            if len(ran) < BATCH:
                break
        with engine.store.reading() as reading:
            left = [row for row in reading.queued({each.key for each in receipts}).values() if row.state in ENDED]
    _print_receipts(json_out, receipts, "nothing is due")
    if left:
        click.echo(f"waiting for a person now: {len(left)}; see tallystick stuck", err=True)
        ctx.exit(1)


@click.command()
@click.option("--grace", type=click.IntRange(0), default=60, show_default=True,
              help="Seconds for which a call may still be on its way.")  # fmt: skip
@workers_option
@pins_option
@books_options
def recover(grace: int, workers: int, pins: str | None, books: BooksOptions, json_out: bool) -> None:
    """End what is in doubt: look it up in the provider's own record."""
    from datetime import timedelta

    with books.opened() as engine:
        engine.on_pin = write_pins_to(pins)
        with engine.store.reading() as reading:
            calls = reading.calls()
        if calls and engine.provider.local:  # it answers at once: it cannot have left a call open
            raise Invalid(
                f"{len(calls)} calls are open that the local provider did not make: name theirs with --provider, or "
                f"say what became of each, beginning with tallystick resolve {calls[0].id}"
            )
        receipts = engine.recover(timedelta(seconds=grace), workers)
    _print_receipts(json_out, receipts, f"nothing is in doubt that is older than {grace} seconds")


@click.command()
@click.argument("call")
@click.argument("result", type=click.Choice(["confirmed", "declined", "unavailable", "dismissed"]))
@click.option("--reference", help="The provider's id of what it did; needed if value moved.")
@click.option("--number", help="The number that was drawn for a new card.")
@click.option("--amount", help="What was confirmed, if less than was asked.")
@click.option("--by", required=True, help="Who decides.")
@click.option("--reason", required=True, help="On what evidence.")
@books_options
def resolve(
    call: str, result: str, reference: str | None, number: str | None, amount: str | None, by: str, reason: str,
    books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Say what became of CALL, if only a person can.

    CALL is its id, or its first characters if no other open call begins with them. Declined means that the provider
    said no, which is the end of it. Unavailable means that it was surely not done, and may be sent again under its key.
    Dismissed is for a closed call of which the provider said something else later, once you have dealt with that.
    """
    with books.opened() as engine:
        receipt = engine.resolve(call, result, by=by, reason=reason, reference=reference, amount=amount, number=number)
    _print_receipts(json_out, [receipt], "")


def _print_receipts(json_out: bool, receipts: list[Receipt], if_none: str) -> None:
    from tallystick.cli import as_json, as_tables

    plain = [as_json.receipt(each) for each in receipts]
    print_answer(json_out, plain, lambda: [as_tables.receipts_table(plain) if plain else if_none])

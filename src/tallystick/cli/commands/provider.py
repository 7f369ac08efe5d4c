"""Commands about the provider's half of the books: `balance`, `reconcile`, and `sandbox`, a provider to try."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import TYPE_CHECKING, Literal

import click

from tallystick.cli.options import books_options, by_and_reason, stdin_line
from tallystick.cli.printing import print_answer
from tallystick.errors import Invalid

if TYPE_CHECKING:
    from tallystick.cli.options import BooksOptions
    from tallystick.engine.engine import Engine


@click.command()
@click.argument("number")
@click.option("--currency", help="Of the balance, such as USD. A card of our books needs none.")
@click.option("--client", help="Who asks. Each may ask only so often.  [default: your user name]")
@click.option("--pin-stdin", is_flag=True, help="Read the PIN from the first line of stdin.")
@click.option("--recognize", type=click.Choice(["electronic", "physical"]), help="Let a card of another channel in.")
@books_options
@click.pass_context
def balance(
    ctx: click.Context, number: str, currency: str | None, client: str | None, pin_stdin: bool,
    recognize: Literal["electronic", "physical"] | None, books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Ask for the balance of the card with this NUMBER.

    NUMBER may be - for stdin. If the card has a PIN, you are asked for it; it is kept nowhere. A client that asks too
    often, or guesses, has to wait. With --recognize, a card that our books do not have enters them in this form, and
    can be paid with. The exit code is 1 if there is no balance in the answer.
    """
    from tallystick.books.balance import BalanceDesk, BalanceSettings, Said
    from tallystick.cli import as_json, as_tables

    number = stdin_line("number") if number == "-" else number
    pin = stdin_line("PIN") if pin_stdin else None
    asking = client or f"command line, {getpass.getuser()}"
    with books.opened(asks=True) as engine:
        settings = BalanceSettings(recognize=recognize)
        desk = BalanceDesk(engine, currency or _currency_of(engine, number), settings)
        answer = desk.check(number, pin, client=asking)
        if answer.said is Said.PIN_NEEDED and sys.stdin.isatty():
            answer = desk.check(number, click.prompt("PIN", hide_input=True, err=True), client=asking)
    plain = as_json.balance(answer)
    print_answer(json_out, plain, lambda: [as_tables.balance_text(plain)])
    ctx.exit(0 if answer.said is Said.FOUND else 1)


def _currency_of(engine: Engine, number: str) -> str:
    """The currency of the one card that our books have under this number. Raises UsageError."""
    number = engine.numbers.seal(number)  # as it stands in our books
    with engine.store.reading() as reading:
        cards = [reading.entity(*ref) for ref in reading.find(number) if ref[0] == "gift_card"]
    found = {each.currency for each in cards if each is not None and each.facts.get("number") == number}
    if len(found) != 1:
        raise click.UsageError("our books have no such card, or several: say --currency, such as --currency USD")
    return found.pop()


@click.command()
@click.option("--card", "card", metavar="ID", help="Only this card: its id, or its full number.")
@click.option("--apply", "apply", is_flag=True, help="Correct our balances: what differs is posted to `elsewhere`.")
@by_and_reason("apply")
@books_options
@click.pass_context
def reconcile(
    ctx: click.Context, card: str | None, apply: bool, by: str | None, reason: str | None, books: BooksOptions,
    json_out: bool,
) -> None:  # fmt: skip
    """Compare our books with the provider's, card by card.

    Balances, open holds and every line of history are compared. A finding is what only our books have, what only the
    provider has, or what differs. The exit code is 1 if there are findings that --apply did not post.
    """
    from tallystick.books.reconciling.reconcile import reconcile as compare
    from tallystick.cli import as_json, as_tables

    with books.opened(asks=True) as engine:
        id = _card_named(engine, card) if card is not None else None
        report = compare(engine, id, apply, by, reason)
    plain = as_json.reconciliation(report)
    print_answer(json_out, plain, lambda: [as_tables.reconciliation_table(plain)])
    ctx.exit(1 if report.remaining else 0)


def _card_named(engine: Engine, text: str) -> str:
    from tallystick.cli import parameters

    with engine.store.reading() as reading:
        found = parameters.entity_named(engine, reading, text)
    if found.machine != "gift_card":
        raise Invalid(f"{found.machine} {found.id!r} is not a card: give --card the id or the number of a gift_card")
    return found.id


@click.command()
@click.option("--by", required=True, help="Who decides.")
@click.option("--reason", required=True, help="Why the new provider knows these cards.")
@books_options
def adopt(by: str, reason: str, books: BooksOptions, json_out: bool) -> None:
    """Move the books to another provider: the one that --provider names.

    Books belong to one provider, and no other may go on with them. Move them only if the new one knows the same cards,
    for example if Clutch's host has another name now. Nothing may be open: `tallystick recover` comes first.
    """
    from tallystick.engine.engine import utc_now
    from tallystick.engine.owner import adopt as move

    with books.opened() as engine:
        now = move(engine.store, engine.provider, by=by, reason=reason, at=utc_now())
    before = now.adoptions[-1].before
    print_answer(json_out, {"provider": now.provider, "before": before},
                 lambda: [f"the books are those of {now.provider} now; before, of {before or 'nobody'}"])  # fmt: skip


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 means any free port.")
@click.option("--card-set", "sets", metavar="NAME:COUNT[:physical][:nopin]", multiple=True,
              help="A card set and its number of cards; may be repeated.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of numbers, PINs, credentials and faults.")
@click.option("--faults", metavar="SPEC", default="", help="Their chances, such as lost_after=0.02,slow=0.01:250ms.")
@click.option("--state", metavar="FILE", help="A file for its books, which then survive a restart.")
@click.option("--set", "settings", metavar="SETTING=VALUE", multiple=True,
              help="How it behaves where Clutch has not published it; see the docs.")  # fmt: skip
def sandbox(
    host: str, port: int, sets: tuple[str, ...], seed: int, faults: str, state: str | None, settings: tuple[str, ...]
) -> None:
    """Serve a Clutch-compatible provider with books of its own.

    It prints one JSON line with its url and credentials. Then it serves until it is stopped.
    """
    options = argparse.Namespace(
        host=host, port=port, card_set=list(sets), seed=seed, faults=faults, state=state, set=list(settings)
    )
    try:
        from tallystick.clutch.sandbox.__main__ import run

        run(options)
    except ModuleNotFoundError as error:
        raise Invalid(f"the sandbox needs {error.name}: pip install 'tallystick[sandbox]'") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error

"""Commands about the provider's half: `sandbox`, `balance`, `reconcile`, `holds`, `stuck`."""

from __future__ import annotations

import argparse
import functools
import getpass
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from tallystick.cli.options import books_options, keeper, pins_option, tell, write_json
from tallystick.errors import Invalid

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tallystick.books.balance import BalanceAnswer
    from tallystick.books.reconcile import Finding, Report
    from tallystick.books.waiting import OldHold, Stuck, Uncovered
    from tallystick.cli.parameters import BooksOptions
    from tallystick.engine.engine import Engine

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

# What the commands take


def _age(ctx: click.Context, param: click.Parameter, text: str) -> timedelta:
    """A length of time, such as 30d."""
    found = re.fullmatch(r"([0-9]{1,5})([mhdw])", text, re.ASCII)
    if found is None:
        raise click.BadParameter(f"{text[:40]!r} is no length of time: write 45m, 12h, 30d or 4w", ctx, param)
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _of_person(deed: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The flag that makes a command change something, and who answers for it."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @click.option("--by", help=f"Who has it done; needed with --{deed}.")
        @click.option("--reason", help=f"Why; needed with --{deed}.")
        @functools.wraps(function)
        def checked(*args: Any, by: str | None, reason: str | None, **options: Any) -> None:
            if options[deed] and not (by and reason):
                raise click.UsageError(f"--{deed} changes the books: say who (--by) and why (--reason)")
            function(*args, by=by, reason=reason, **options)

        return checked

    return decorate


# The commands


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free one.")
@click.option("--card-set", "sets", metavar="NAME:COUNT[:physical][:nopin]", multiple=True,
              help="Cards in stock; may be repeated.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of numbers, PINs, credentials and faults.")
@click.option("--faults", metavar="SPEC", default="", help="Chances, such as lost_after=0.02,slow=0.01:250ms.")
@click.option("--state", metavar="FILE", help="BooksOptions that survive a restart; without, they are in memory.")
@click.option("--set", "settings", metavar="SETTING=VALUE", multiple=True,
              help="What it does where Clutch's public record is silent.")  # fmt: skip
def sandbox(
    host: str,
    port: int,
    sets: tuple[str, ...],
    seed: int,
    faults: str,
    state: str | None,
    settings: tuple[str, ...],
) -> None:
    """Serve a Clutch-compatible provider with books of its own.

    Prints one JSON line with its url and credentials, then serves until it is stopped.
    """
    parsed = argparse.Namespace(
        host=host, port=port, card_set=list(sets), seed=seed, faults=faults, state=state, set=list(settings)
    )
    try:
        from tallystick.clutch.sandbox.__main__ import run

        run(parsed)
    except ModuleNotFoundError as error:
        raise Invalid(f"the sandbox serves with {error.name}: pip install 'tallystick[sandbox]'") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@click.command()
@click.argument("number")
@click.option("--currency", help="Of the balance, such as USD; not needed for a card of our books.")
@click.option("--client", help="Who asks: checks are counted for each.  [default: whoever runs this]")
@click.option("--pin-stdin", is_flag=True, help="Read the PIN from the first line of stdin.")
@books_options
@click.pass_context
def balance(
    ctx: click.Context,
    number: str,
    currency: str | None,
    client: str | None,
    pin_stdin: bool,
    books: BooksOptions,
    json_out: bool,
) -> None:
    """Ask what the card with this NUMBER carries; - reads the number from stdin.

    A PIN is asked for where the card has one, or read from stdin, and kept nowhere. Who asks too often, or guesses,
    has to wait. The exit code is 1 if the balance is not told.
    """
    from tallystick.books.balance import BalanceDesk, Said

    number = _line("number") if number == "-" else number
    pin = _line("PIN") if pin_stdin else None
    asking = client or f"command line, {getpass.getuser()}"
    with books.opened() as engine:
        desk = BalanceDesk(engine, currency or _currency_of(engine, number))
        answer = desk.check(number, pin, client=asking)
        if answer.said is Said.PIN_NEEDED and sys.stdin.isatty():
            answer = desk.check(number, click.prompt("PIN", hide_input=True, err=True), client=asking)
    tell(json_out, _plain_balance(answer), lambda: [_balance_text(answer)])
    ctx.exit(0 if answer.said is Said.FOUND else 1)


def _line(what: str) -> str:
    """The next line of stdin. Raises: UsageError."""
    text = sys.stdin.readline().strip()
    if not text:
        raise click.UsageError(f"stdin has no line with the {what}")
    return text


def _currency_of(engine: Engine, number: str) -> str:
    """The currency of the only card that our books have under this number. Raises: UsageError."""
    number = engine.numbers.seal(number)  # as it stands in our books
    with engine.store.reading() as reading:
        cards = [reading.entity(*ref) for ref in reading.find(number) if ref[0] == "gift_card"]
    found = {each.currency for each in cards if each is not None and each.facts.get("number") == number}
    if len(found) != 1:
        raise click.UsageError("say which balance is meant, such as --currency USD")
    return found.pop()


@click.command()
@click.option("--card", "card", metavar="ID", help="Only this card: its id, or its full number.")
@click.option("--apply", "apply", is_flag=True, help="Post differences of balance to elsewhere; holds stay.")
@_of_person("apply")
@books_options
@click.pass_context
def reconcile(
    ctx: click.Context,
    card: str | None,
    apply: bool,
    by: str | None,
    reason: str | None,
    books: BooksOptions,
    json_out: bool,
) -> None:
    """Compare our books with the provider's, card by card.

    Balances, open holds and every line of history: what only we know, what only they know, and what differs. The exit
    code is 1 if anything was found that --apply did not post.
    """
    from tallystick.books.reconcile import reconcile as reconciled

    with books.opened() as engine:
        id = _card_named(engine, card) if card is not None else None
        report = reconciled(engine, id, apply, by, reason)
    tell(json_out, _plain_report(report), lambda: [_report_table(report)])
    ctx.exit(1 if report.remaining else 0)


def _card_named(engine: Engine, text: str) -> str:
    from tallystick.cli import parameters

    with engine.store.reading() as reading:
        found = parameters.entity_named(engine, reading, text)
    if found.machine != "gift_card":
        raise Invalid(f"{found.machine} {found.id!r} is no card")
    return found.id


@click.command()
@click.option("--older-than", "age", metavar="AGE", callback=_age, required=True, help="45m, 12h, 30d or 4w.")
@click.option("--release", "release", is_flag=True, help="Give them back.")
@_of_person("release")
@books_options
@click.pass_context
def holds(
    ctx: click.Context,
    age: timedelta,
    release: bool,
    by: str | None,
    reason: str | None,
    books: BooksOptions,
    json_out: bool,
) -> None:
    """List holds of forgotten orders; a provider's holds never expire.

    With --release each payment is reversed: what is held goes back to its card. The exit code is 1 if one was not.
    """
    from tallystick.books import waiting
    from tallystick.cli import as_json, as_tables

    with books.opened() as engine:
        old = waiting.holds_older_than(engine, age)
        receipts = waiting.release(engine, old, by=by or "", reason=reason or "") if release else []
    told = [as_json.receipt(each) for each in receipts]
    if json_out:
        write_json({"holds": [_plain_hold(each) for each in old], "released": told})
    else:
        tell(False, None, lambda: [_holds_table(old), *([as_tables.receipts_table(told)] if told else [])])
    ctx.exit(0 if all(each.applied for each in receipts) else 1)


@click.command()
@click.option("--dismiss", metavar="KEY", multiple=True, help="Seen: this queued command is not tried any more.")
@click.option("--again", metavar="KEY", multiple=True, help="Try this queued command again, now.")
@click.option("--by", help="Who decides; needed with --dismiss and --again.")
@click.option("--reason", help="Why; needed with --dismiss and --again.")
@pins_option
@books_options
def stuck(
    dismiss: tuple[str, ...], again: tuple[str, ...], by: str | None, reason: str | None, pins: str | None,
    books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """List everything that waits for a person.

    Calls whose answer nobody knows, with what was found of them; commands refused, declined, or parked after too many
    tries; payments of which a part is not covered any more. Calls are ended by resolve, commands by --dismiss or
    --again.
    """
    from tallystick.books.waiting import stuck as found
    from tallystick.cli import as_json, as_tables

    if (dismiss or again) and not (by and reason):
        raise click.UsageError("--dismiss and --again are decisions: say who (--by) and why (--reason)")
    with books.opened() as engine:
        engine.on_pin = keeper(pins)
        for key in dismiss:
            engine.dismiss(key, by=by or "", reason=reason or "")
        tried = [as_json.receipt(engine.again(key, by=by or "", reason=reason or "")) for key in again]
        waiting = found(engine)
    if json_out:
        write_json({**_plain_stuck(waiting), **({"tried": tried} if again else {})})
    else:
        told = [as_tables.receipts_table(tried)] if tried else []
        tell(False, None, lambda: [*told, *_stuck_tables(waiting)])


# What they tell, as plain values


def _plain_balance(answer: BalanceAnswer) -> dict[str, Any]:
    told = {"said": answer.said.value, "text": answer.text}
    if answer.available is None or answer.held is None:
        return told
    currency = answer.available.currency
    held = _amount(answer.held.minor, currency)
    return {**told, "available": _amount(answer.available.minor, currency), "held": held, "currency": currency,
            "card": answer.card}  # fmt: skip


def _plain_report(report: Report) -> dict[str, Any]:
    from tallystick.cli import as_json

    return {
        "clean": report.clean,
        "cards": report.cards,
        "findings": [_plain_finding(each) for each in report.findings],
        "remaining": len(report.remaining),
        "posted": [as_json.receipt(each) for each in report.posted],
    }


def _plain_finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code.value,
        "card": finding.card,
        "number": finding.number,
        "currency": finding.currency,
        "ours": _amount(finding.ours, finding.currency),
        "theirs": _amount(finding.theirs, finding.currency),
        "reference": finding.reference,
        "what": finding.what,
        "posted": finding.posted,
    }


def _amount(minor: int | None, currency: str) -> str | None:
    from tallystick import money

    return None if minor is None else money.to_text(minor, currency)


def _plain_hold(hold: OldHold) -> dict[str, Any]:
    return {**_plain_payment(hold), "hold": hold.hold, "since": f"{hold.since:%Y-%m-%dT%H:%M:%SZ}"}


def _plain_payment(of: OldHold | Uncovered) -> dict[str, Any]:
    return {
        "payment": of.payment,
        "order": of.order,
        "card": of.card,
        "number": of.number,
        "state": of.state,
        "currency": of.amount.currency,
        "amount": _amount(of.amount.minor, of.amount.currency),
    }


def _plain_stuck(waiting: Stuck) -> dict[str, Any]:
    from tallystick.cli import as_json

    return {
        "calls": [as_json.call(row) for row in waiting.calls],
        "queue": [as_json.queued(row) for row in waiting.queue],
        "uncovered": [_plain_payment(each) for each in waiting.uncovered],
    }


# The same as tables


def _balance_text(answer: BalanceAnswer) -> str:
    held = f" {answer.held} are held." if answer.held else ""
    return f"{answer.text}{held}"


def _report_table(report: Report) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from tallystick.cli.as_tables import grid

    looked = f"{report.cards} {'card' if report.cards == 1 else 'cards'} compared"
    if report.clean:
        return Text.assemble(("clean", "green"), f": {looked}")
    posted = f", {len(report.posted)} posted, {len(report.remaining)} remain" if report.posted else ""
    head = Text.assemble((f"{len(report.findings)} found", "bold red"), f": {looked}{posted}")
    rows = [
        [each.what, _amount(each.ours, each.currency) or "", _amount(each.theirs, each.currency) or "",
         "posted" if each.posted else "", each.code.value]
        for each in report.findings
    ]  # fmt: skip
    return Group(head, grid("what", "ours", "theirs", "done", "code", rows=rows, right=("ours", "theirs")))


def _holds_table(old: list[OldHold]) -> RenderableType:
    from tallystick.cli.as_tables import grid

    rows = [
        [f"{each.since:%F %T}", each.payment, each.order, f"{each.card} {each.number}", each.state, str(each.amount),
         each.hold or ""]
        for each in old
    ]  # fmt: skip
    columns = ("since", "payment", "order", "card", "state", "held", "hold")
    return grid(*columns, rows=rows, right=("held",)) if rows else "no hold is that old"


def _stuck_tables(waiting: Stuck) -> list[RenderableType]:
    from tallystick.cli import as_json
    from tallystick.cli.as_tables import grid

    shown: list[RenderableType] = []
    if waiting.calls:
        calls = [as_json.call(row) for row in waiting.calls]
        rows = [
            [each["call"], each["verb"], f"{each['amount']} {each['currency']}" if each["amount"] else "",
             f"{each['machine']} {each['id']}", each["asked"], str(each["attempts"]), each["note"] or "not looked up"]
            for each in calls
        ]  # fmt: skip
        columns = ("call in doubt", "verb", "amount", "of", "last asked", "times", "evidence")
        shown.append(grid(*columns, rows=rows, right=("amount", "times")))
    if waiting.queue:
        rows = [
            [each.key, each.state, f"{each.machine} {each.entity}", each.command, each.why or "", each.note or ""]
            for each in waiting.queue
        ]
        shown.append(grid("queued", "state", "of", "command", "why", "tried again by", rows=rows))
    if waiting.uncovered:
        rows = [
            [each.payment, each.order, f"{each.card} {each.number}", each.state, str(each.amount)]
            for each in waiting.uncovered
        ]
        shown.append(grid("payment", "order", "card", "state", "uncovered", rows=rows, right=("uncovered",)))
    return shown or ["nothing waits for a person"]


# Printing

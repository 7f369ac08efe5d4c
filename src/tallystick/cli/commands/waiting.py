"""What waits: for a person (`stuck`), by itself (`waiting`), `holds` of forgotten orders, cards that are `expiring`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from tallystick.cli.options import books_options, by_and_reason, pins_option, write_pins_to
from tallystick.cli.printing import print_answer
from tallystick.money import to_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tallystick.cli.options import BooksOptions

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.command()
@click.option("--dismiss", metavar="KEY", multiple=True, help="Do not try this queued command any more.")
@click.option("--again", metavar="KEY", multiple=True, help="Try this queued command again, now.")
@click.option("--by", help="Who decides; needed with --dismiss and --again.")
@click.option("--reason", help="Why; needed with --dismiss and --again.")
@pins_option
@books_options
@click.pass_context
def stuck(
    ctx: click.Context, dismiss: tuple[str, ...], again: tuple[str, ...], by: str | None, reason: str | None,
    pins: str | None, books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """List what waits for a person, and nothing else.

    These are calls that the provider's record does not decide, with the evidence; queued commands that were refused or
    declined, or failed too often; payments of which nobody covers a part; and answers that came after the end of a call
    and say otherwise. End a call, or lay its late answer aside, with `tallystick resolve`, and a command with --dismiss
    or --again. The exit code is 1 if anything is left in the list. What goes on by itself is in `tallystick waiting`.
    """
    from tallystick.books.waiting import stuck as waiting_for_a_person
    from tallystick.cli import as_json, as_tables

    if (dismiss or again) and not (by and reason):
        raise click.UsageError("--dismiss and --again change the books: say who (--by) and why (--reason)")
    with books.opened() as engine:
        engine.on_pin = write_pins_to(pins)
        for key in dismiss:
            engine.queue.dismiss(key, by=by or "", reason=reason or "")
        tried = [as_json.receipt(engine.queue.retry(key, by=by or "", reason=reason or "")) for key in again]
        answer = as_json.stuck(waiting_for_a_person(engine))
    if again:
        answer["tried"] = tried
    print_answer(json_out, answer, lambda: as_tables.stuck_tables(answer))
    ctx.exit(1 if answer["totals"]["count"] else 0)


@click.command()
@click.argument("key", required=False)
@click.option("--of", metavar="MACHINE.COMMAND", help="List these one by one, such as gift_card.expire.")
@click.option("--on", metavar="DAY", help="List one by one what is due on this day, or in this month or year.")
@click.option("--after", metavar="KEY", help="List what comes after KEY: the next page.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="List so many at most.")
@click.option("--withdraw", "withdraw", is_flag=True, help="Call the queued command KEY off.")
@click.option("--reschedule", metavar="WHEN", help="Give KEY another time, such as 2026-05-31T12:00:00Z.")
@click.option("--by", help="Who decides; needed with --withdraw and --reschedule.")
@click.option("--reason", help="Why; needed with --withdraw and --reschedule.")
@books_options
def waiting(
    key: str | None, of: str | None, on: str | None, after: str | None, limit: int, withdraw: bool,
    reschedule: str | None, by: str | None, reason: str | None, books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """List what goes on by itself, and when it is due.

    These are queued commands that wait for their time, for what they follow, or for their next try; and calls in doubt
    that `tallystick recover` can still end. What waits for a date of its page, such as cards that expire, is counted by
    day; --of and --on list it. With KEY, only what this command waits for. What waits for a person is in
    `tallystick stuck`.
    """
    from tallystick.books import waiting as going_on
    from tallystick.cli import as_json, as_tables, parameters

    changes = withdraw or reschedule is not None
    if changes and (key is None or (withdraw and reschedule is not None)):
        raise click.UsageError("name the KEY, and either --withdraw it or --reschedule it")
    if changes and not (by and reason):
        raise click.UsageError("--withdraw and --reschedule change the books: say who (--by) and why (--reason)")
    one_by_one = [each for each in (of, on, after) if each is not None]
    if key is not None and one_by_one:
        raise click.UsageError("name the KEY, or say which are to be listed")
    due = parameters.moment("WHEN", reschedule) if reschedule is not None else None
    with books.opened() as engine:
        if one_by_one:
            listed = as_json.listed(going_on.listed(engine, of=of, on=on, after=after, limit=limit), limit)
            print_answer(json_out, listed, lambda: as_tables.listed_tables(listed))
            return
        changed = None
        if key is not None and due is not None:
            changed = engine.queue.reschedule(key, due, by=by or "", reason=reason or "")
        elif key is not None and withdraw:
            changed = engine.queue.withdraw(key, by=by or "", reason=reason or "")
        found = going_on.waiting(engine, limit=limit) if key is None else going_on.about(engine, key)
    answer = as_json.waiting(found)
    if changed is not None:
        answer["changed"] = [as_json.queued(changed)]
    print_answer(json_out, answer, lambda: as_tables.waiting_tables(answer))


def _age(ctx: click.Context, param: click.Parameter, text: str) -> timedelta:
    """A length of time, such as 30d."""
    found = re.fullmatch(r"([0-9]{1,5})([mhdw])", text, re.ASCII)
    if found is None:
        raise click.BadParameter(f"{text[:40]!r} is not a length of time: write 45m, 12h, 30d or 4w", ctx, param)
    return timedelta(**{UNITS[found[2]]: int(found[1])})


@click.command()
@click.option("--older-than", "age", metavar="AGE", callback=_age, required=True, help="Such as 45m, 12h, 30d or 4w.")
@click.option("--release", "release", is_flag=True, help="Give the held amounts back to their cards.")
@by_and_reason("release")
@books_options
@click.pass_context
def holds(
    ctx: click.Context, age: timedelta, release: bool, by: str | None, reason: str | None, books: BooksOptions,
    json_out: bool,
) -> None:  # fmt: skip
    """List old holds, such as of forgotten orders. Holds never expire by themselves.

    With --release each payment is cancelled: what it holds goes back to the card. The exit code is 1 if one of them
    could not be cancelled.
    """
    from tallystick.books import waiting
    from tallystick.cli import as_json, as_tables

    with books.opened() as engine:
        old = waiting.holds_older_than(engine, age)
        receipts = waiting.release(engine, old, by=by or "", reason=reason or "") if release else []
    answer = {"holds": [as_json.hold(each) for each in old], "released": [as_json.receipt(each) for each in receipts]}
    print_answer(json_out, answer, lambda: as_tables.holds_tables(answer))
    ctx.exit(0 if all(each.applied for each in receipts) else 1)


@click.command()
@click.option("--within", metavar="TIME", callback=_age, required=True, help="Such as 45m, 12h, 30d or 4w.")
@books_options
def expiring(within: timedelta, books: BooksOptions, json_out: bool) -> None:
    """List cards with something on them that expire soon, those first that expire first.

    Those are among them that have expired already, if nobody has run `tallystick due` since. `extend` moves a date:
    see `tallystick run`.
    """
    from tallystick.books.books import Books

    with books.opened() as engine:
        found = Books(engine).expiring(engine.now() + within)
    cards = [
        {"card": each.card, "number": each.number, "expires": f"{each.expires:%Y-%m-%dT%H:%M:%SZ}",
         "available": to_text(each.available.minor, each.available.currency),
         "held": to_text(each.held.minor, each.held.currency), "currency": each.available.currency}
        for each in found
    ]  # fmt: skip
    print_answer(json_out, {"cards": cards}, lambda: _expiring_tables(cards))


def _expiring_tables(cards: list[dict[str, str]]) -> list[RenderableType]:
    from tallystick.cli.as_tables import grid, time_text

    rows = [
        [time_text(each["expires"]), f"{each['card']} {each['number']}",
         *(f"{each[name]} {each['currency']}" for name in ("available", "held"))]
        for each in cards
    ]  # fmt: skip
    columns = ("expires", "card", "available", "held")
    return [grid(*columns, rows=rows, right=("available", "held")) if rows else "no card expires so soon"]

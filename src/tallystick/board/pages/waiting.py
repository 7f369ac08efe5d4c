"""What is not done: for a person, in doubt, in the queue, held for too long; and what to type about each."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from tallystick import reports
from tallystick.board.desk import PAYMENT, ROWS, Ask, Desk
from tallystick.board.page import Block, Cell, Choice, Code, Heading, Link, Page, State, Table, Text, ToType, target
from tallystick.board.pages.blocks import bars, money, tables
from tallystick.books.waiting import (
    Dated,
    LateAnswer,
    OldHold,
    OpenCall,
    Queued,
    Stuck,
    Total,
    Uncovered,
    holds_older_than,
    listed,
    open_calls,
    waiting,
)
from tallystick.engine.queue.rows import GIVEN_UP
from tallystick.money import Money, to_text
from tallystick.store.rows import is_changed

WHO = '--by YOUR_NAME --reason "WHY"'
AGES = ((0, "all"), (7, "older than a week"), (30, "older than 30 days"), (90, "older than 90 days"))


def stuck(desk: Desk, ask: Ask) -> Page:
    found = desk.books.stuck()
    blocks: list[Block] = []
    if not found:
        blocks.append(Text("Nothing waits for a person.", "good"))
    else:
        blocks.append(Text(_sum(found), "bad"))
        blocks.append(Text("The lines are typed in a terminal where TALLYSTICK_STORE names these books. Nothing here "
                           "does it for you: every change of the books has a name and a reason."))  # fmt: skip
    blocks += [*_calls(desk, found.calls), *_queue(desk, found.queue), *_uncovered(desk, found.uncovered),
               *_late(desk, found.late)]  # fmt: skip
    lead = (
        "Calls that no record decides, commands that were given up, parts that nobody covers, answers that came late."
    )
    return Page("For a person", lead, blocks, "stuck")


def doubt(desk: Desk, ask: Ask) -> Page:
    """Open calls, whoever they wait for."""
    every = list(open_calls(desk.reading, desk.now))
    of_person = [each for each in every if each.due is None]
    by_itself = [each for each in every if each.due is not None]
    blocks: list[Block] = []
    if not of_person and not by_itself:
        blocks.append(Text("Nothing is in doubt: every call to the provider has its answer.", "good"))
    if by_itself:
        rows = [(desk.life(each.row.machine, each.row.entity), each.row.verb.replace("_", " "), each.amount,
                 _moment(each.row.asked), each.due, desk.shown.text(each.why)) for each in by_itself]  # fmt: skip
        blocks.append(Heading("Goes on by itself"))
        blocks.append(Table("Calls that recover looks up in the provider's record",
                            ["card", "asked", "amount", "sent", "looked up from", "why"], rows[:ROWS]))  # fmt: skip
        blocks.append(ToType([("Look all of them up now", "tallystick recover")]))
    blocks += _calls(desk, of_person)
    lead = ("A request was sent and no answer is known. Its amount is set aside until the provider's record, or a "
            "person, says what happened. It is counted once, and nobody can spend it meanwhile.")  # fmt: skip
    return Page("In doubt", lead, blocks, "doubt")


def queue(desk: Desk, ask: Ask) -> Page:
    """What waits; or what waits of one kind in one period, one by one."""
    of, on, skip = ask.get("of"), ask.get("on"), ask.get("skip", "0")
    if of is not None and on is not None:
        return _listed(desk, of, on, int(skip) if skip.isascii() and skip.isdigit() and len(skip) < 9 else 0)
    waits = waiting(desk.engine, now=desk.now, limit=ROWS * 2)
    found, count = waits.queue, waits.totals["queue"].count
    more = f": the first {len(found)} of {count:,}" if waits.more else ""
    table = _commands(desk, f"Commands that wait for their time or their next try{more}", found)
    dated = [block for each in waits.dated for block in _dated(each)]
    lines = [
        ("Do all that is due", "tallystick due"),
        ("Call one off", f"tallystick waiting KEY --withdraw {WHO}"),
        ("Give one another time", f"tallystick waiting KEY --reschedule 2026-05-31T12:00:00Z {WHO}"),
    ]
    blocks: list[Block] = [*([table] if found or not dated else []), *([ToType(lines)] if found else []), *dated]
    given_up = desk.books.stuck().queue
    if given_up:
        blocks.insert(0, Text((f"{len(given_up):,} more were given up:", Link("what to type", target("stuck"))), "bad"))
    lead = "Deferred settlements, follow-ups, retries, and what waits for a date: all of it goes on by itself."
    return Page("Queue", lead, blocks, "queue")


def _commands(desk: Desk, caption: str, queued: Sequence[Queued], more: Link | None = None) -> Table:
    rows = [
        ((each.due, State("due", "wait")) if each.due is not None and each.due <= desk.now else each.due,
         _spaced(each.row.command), desk.life(each.row.machine, each.row.entity), each.amount,
         each.row.attempts or None, desk.shown.text(each.why), Code(desk.name(each.row.key)))
        for each in queued
    ]  # fmt: skip
    columns = ["due, UTC", "command", "of", "amount", "tries", "why", "key"]
    return Table(caption, columns, rows, more=more, empty="Nothing waits.")


def _dated(of: Dated) -> Iterator[Block]:
    """How many wait for a date of their page, and when."""
    kind = f"{of.machine}.{of.command}"
    rows = [(Link(when, target("queue", of=kind, on=when.split()[-1])), count) for when, count in of.periods]
    totals = [("together", of.count)] if len(rows) > 1 else []
    yield Table(f"{_spaced(of.command)} of {_spaced(of.machine)}: waits for its date", ["due, UTC", "how many"],
                rows, totals)  # fmt: skip


def _listed(desk: Desk, of: str, on: str, skip: int) -> Page:
    found = listed(desk.engine, of=of, on=on, skip=skip, limit=ROWS + 1)
    more = Link(f"The next {ROWS}", target("queue", of=of, on=on, skip=skip + ROWS)) if len(found) > ROWS else None
    machine, _, command = of.partition(".")
    title = f"{_spaced(command)} of {_spaced(machine)}, due in {on}"
    lines = [("List them in a terminal", f"tallystick waiting --of {of} --on {on}")]
    table = _commands(desk, f"Commands that wait{', continued' if skip else ''}", found[:ROWS], more)
    return Page(title, "", [table, ToType(lines)], "queue", path=[Link("Queue", target("queue"))])


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def holds(desk: Desk, ask: Ask) -> Page:
    days = int(ask["days"]) if ask.get("days", "") in {str(days) for days, _ in AGES} else 7
    old = holds_older_than(desk.engine, timedelta(days=days), now=desk.now)
    links = [Link(text, target("holds", days=number)) for number, text in AGES]
    rows = [_hold(desk, each) for each in old[: ROWS * 4]]
    more = f": the oldest {ROWS * 4} of {len(old):,}" if len(old) > ROWS * 4 else ""
    totals = [("together", f"{len(old):,} holds", None, None, tuple(_sums(old)), None, None)] if old else []
    table = Table(
        f"Holds in force, the oldest first{more}",
        ["since, UTC", "age in days", "payment", "order", "held", "card", "provider's hold"], rows, totals,
        empty="No hold is that old.", id="listed",
    )  # fmt: skip
    chosen = Choice("Age", links, [number for number, _ in AGES].index(days))
    blocks: list[Block] = [*_by_age(desk), chosen, table]
    if old:
        blocks.append(ToType([
            ("List them in a terminal", f"tallystick holds --older-than {days}d"),
            ("Give all of them back to their cards", f"tallystick holds --older-than {days}d --release {WHO}"),
            ("Give one back: a line for `tallystick run -`", _line(desk.name(old[0].payment), "cancel")),
        ]))  # fmt: skip
    lead = "What orders keep on cards. A provider's hold never expires, so a forgotten order keeps a customer's money."
    return Page("Old holds", lead, blocks, "holds")


def _by_age(desk: Desk) -> Iterator[Block]:
    report = reports.holds(desk.books, by=("age",))
    if report.rows:
        yield from bars(report, "held", "age")
        yield from tables(desk, report, caption="Holds by age")


def _hold(desk: Desk, each: OldHold) -> Sequence[Cell]:
    age = (desk.now - each.since) // timedelta(days=1)
    hold = Code(desk.name(each.hold)) if each.hold else None
    card = (desk.life("gift_card", each.card), each.number)
    return (each.since, age, desk.life(PAYMENT, each.payment), desk.name(each.order), each.amount, card, hold)


def _sums(holds: Sequence[OldHold]) -> Iterator[str | Money]:
    sums: dict[str, int] = {}
    for each in holds:
        sums[each.amount.currency] = sums.get(each.amount.currency, 0) + each.amount.minor
    for currency, minor in sorted(sums.items()):
        yield money(minor, currency)


# What waits for a person


def _sum(found: Stuck) -> str:
    names = {"calls": "in doubt", "queue": "given up", "uncovered": "not covered", "late": "answered late"}
    parts = [f"{total.count:,} {names[kind]}{_in_money(total)}" for kind, total in found.totals.items() if total.count]
    return f"{sum(total.count for total in found.totals.values()):,} for a person: {'; '.join(parts)}."


def _in_money(total: Total) -> str:
    sums = ", ".join(f"{to_text(minor, code)} {code}" for code, minor in total.amounts.items())
    return f" ({sums})" if sums else ""


def _calls(desk: Desk, calls: Sequence[OpenCall]) -> Iterator[Block]:
    for each in calls[:ROWS]:
        row = each.row
        yield Heading(f"{row.verb.replace('_', ' ')} of {desk.name(row.entity, row.machine)}: no answer is known")
        amount = (each.amount,) if each.amount is not None else ()
        yield Text((desk.life(row.machine, row.entity), "was asked for", row.verb.replace("_", " "), *amount, "at",
                    _moment(row.asked), "UTC. The evidence:", desk.shown.text(each.why)), "bad")  # fmt: skip
        reference = " --reference THEIR_ID" if row.amount is not None else ""
        call = shlex.quote(row.id)
        yield ToType([
            ("The provider's portal shows it as done", f"tallystick resolve {call} confirmed{reference} {WHO}"),
            ("The portal shows that it was refused", f"tallystick resolve {call} declined {WHO}"),
            ("It never arrived; the same command may come again", f"tallystick resolve {call} unavailable {WHO}"),
        ])  # fmt: skip
    yield from _rest(calls, "calls")


def _queue(desk: Desk, queue: Sequence[Queued]) -> Iterator[Block]:
    for each in queue[:ROWS]:
        row = each.row
        changed = is_changed(row)
        state = "changed in the database" if changed else row.state
        yield Heading(f"{row.command.replace('_', ' ')} of {desk.name(row.entity, row.machine)} was {state}")
        amount = (each.amount,) if each.amount is not None else ()
        tries = f"It was tried {row.attempts} times." if row.attempts > 1 else ""
        yield Text((desk.life(row.machine, row.entity), *amount, desk.shown.text(each.why), tries), "bad")
        key = shlex.quote(desk.name(row.key))
        again = ("Try it again, once its reason is gone", f"tallystick stuck --again {key} {WHO}")
        why = (
            "Its key is used up: give it again under a new key, or see who else pays it; then lay it aside"
            if row.state == "declined" and not changed
            else "Lay it aside: it shall not be done"
        )
        aside = (why, f"tallystick stuck --dismiss {key} {WHO}")
        yield ToType([again, aside] if row.state in GIVEN_UP and not changed else [aside])
    yield from _rest(queue, "commands")


def _uncovered(desk: Desk, uncovered: Sequence[Uncovered]) -> Iterator[Block]:
    for each in uncovered[:ROWS]:
        name = desk.name(each.payment)
        yield Heading(f"{name}: a part is not covered")
        yield Text((desk.life(PAYMENT, each.payment), "of order", desk.name(each.order), "is not covered for",
                    each.amount, "on card", desk.life("gift_card", each.card), each.number), "bad")  # fmt: skip
        amount = f"{each.amount:n}"
        yield ToType([
            ("Try the card again: a line for `tallystick run -`", _line(name, "hold_again", amount)),
            ("The customer pays it in another way", _line(name, "cover_elsewhere", amount)),
            ("Nobody will pay it: end the payment", _line(name, "cancel")),
        ])  # fmt: skip
    yield from _rest(uncovered, "payments")


def _late(desk: Desk, late: Sequence[LateAnswer]) -> Iterator[Block]:
    for each in late[:ROWS]:
        row = each.row
        yield Heading(f"{row.verb.replace('_', ' ')} of {desk.name(row.entity, row.machine)}: answered late")
        amount = (each.amount,) if each.amount is not None else ()
        said = f"was closed as {row.state}; later the provider said {each.said.value}"
        yield Text((desk.life(row.machine, row.entity), said, *amount, desk.shown.text(each.why)), "bad")
        card = shlex.quote(desk.name(row.entity, row.machine))
        yield ToType([
            ("Compare the card with the provider", f"tallystick reconcile --card {card}"),
            ("Once it is set right", f"tallystick resolve {shlex.quote(row.id)} dismissed {WHO}"),
        ])  # fmt: skip
    yield from _rest(late, "late answers")


def _rest(found: Sequence[object], what: str) -> Iterator[Block]:
    if len(found) > ROWS:
        yield Text(f"These are the first {ROWS} of {len(found):,} {what}; `tallystick stuck` lists all.")


def _line(payment: str, command: str, amount: str | None = None) -> str:
    """A command as a line of JSON, for `tallystick run -`."""
    import json

    args = {"amount": amount} if amount is not None else {}
    return json.dumps({"key": f"{payment}/by-hand-1", "machine": PAYMENT, "id": payment, "command": command,
                       "args": args, "by": "YOUR_NAME", "reason": "WHY"}, ensure_ascii=False)  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)

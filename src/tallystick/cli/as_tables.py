"""What people see instead of JSON: tables and sentences, made of the plain values of `as_json`."""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tallystick.cli.as_json import Plain
from tallystick.diagram.model import Diagram, Line

WIDE = 140  # columns, if no terminal says how wide it is
LINKED = 12  # so many entities that link to one are named; the rest is counted
STATE = "bold cyan"
COLOURS = {"applied": "green", "replayed": "green", "deferred": "cyan"}


def console(*, stderr: bool = False) -> Console:
    """A console as wide as its terminal; without a terminal it is wide enough for a table."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a terminal that knows no arrows shows question marks
    width = None if stream.isatty() or os.environ.get("COLUMNS") else WIDE
    return Console(file=stream, width=width, highlight=False, emoji=False)


def grid(
    *columns: str, rows: Iterable[Sequence[str | Text]], right: Sequence[str] = (), whole: Sequence[str] = ()
) -> Table:
    """A table of texts as they are: nothing in them is markup. A column without any text is left out.

    The texts of columns that stay `whole` are never broken, so that they can be copied.
    """
    texts = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    filled = [index for index in range(len(columns)) if any(row[index].plain for row in texts)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index in filled:
        name = columns[index]
        justify: Literal["right", "left"] = "right" if name in right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in whole)
    for row in texts:
        table.add_row(*[row[index] for index in filled])
    return table


def postings_text(plain: Iterable[Plain]) -> str:
    return "\n".join(f"{each['source']} → {each['target']} {each['amount']}" for each in plain)


def accounts_text(accounts: Mapping[str, str]) -> str:
    """The accounts, but `in_doubt` only if something is in doubt."""
    return "\n".join(
        f"{name} {amount}" for name, amount in accounts.items() if name != "in_doubt" or amount.strip("0.")
    )


def coloured(result: str) -> Text:
    return Text(result, style=COLOURS.get(result, "yellow"))


def life_table(plain: Plain) -> RenderableType:
    """The life of a card or a payment."""
    head = Text.assemble(
        (f"{plain['machine']} {plain['id']}", "bold"), " is ", (plain["state"], STATE), f": {plain['says']}"
    )
    accounts = ", ".join(f"{name} {amount}" for name, amount in plain["accounts"].items())
    facts = [f"{name} {fact_text(fact)}" for name, fact in plain["facts"].items() if fact is not None]
    linked = [f"{each['machine']} {each['id']} is {each['state']}" for each in plain["linked"][:LINKED]]
    linked += [f"and {more} more"] if (more := len(plain["linked"]) - LINKED) > 0 else []
    about = [Text(f"{accounts} {plain['currency']}")] if accounts else []
    about += [Text("; ".join(part)) for part in (facts, linked) if part]
    if plain.get("replaced_by"):
        about.append(Text(f"replaced by {plain['replaced_by']}", STATE))
    if plain.get("replaces"):
        about.append(Text(f"replaces {', '.join(plain['replaces'])}"))
    waits = [Text(f"in doubt: {each['verb']}, call {each['call']}, {each['note'] or 'not answered'}", "yellow")
             for each in plain["calls"]]  # fmt: skip
    waits += [Text(_queued_text(each), "yellow") for each in plain["queue"]]
    again = [Text(f"{each['verb']} was sent {each['attempts']} times, call {each['call']}: {each['note']}")
             for each in plain["sent_again"]]  # fmt: skip
    return Group(head, *about, *waits, *again, _entries_table(plain["life"], of=False))


def _queued_text(plain: Plain) -> str:
    """A command that is not done yet: what it waits for; or why it was given up, which is for a person."""
    if plain["state"] != "waiting":
        return f"given up: {plain['command']} was {plain['state']}, key {plain['key']}: {plain['why']}"
    why = f": {plain['why']}" if plain["why"] else ""
    follows = f", it follows {plain['cause']}" if plain["cause"] else ""
    return f"waiting: {plain['command']} until {plain['due']}, key {plain['key']}{follows}{why}"


def history_table(plain: Sequence[Plain]) -> RenderableType:
    return _entries_table(plain, of=True)


def _entries_table(plain: Sequence[Plain], *, of: bool) -> Table:
    columns = ("when", *(("of",) if of else ()), "transition", "from → to", "moved", "after", "by", "reason", "key")
    rows = []
    for each in plain:
        phase = "" if each["phase"] == "done" else f" ({each['phase']})"
        way = f"{each['from'] or '·'} → {each['to']}" if each["from"] != each["to"] else each["to"]
        entity = [f"{each['machine']} {each['id']}"] if of else []
        accounts, key = accounts_text(each["accounts"]), each["key"] or f"with {each['cause']}"
        when, at = time_text(each["occurred_at"]), time_text(each["at"])
        when = when if when == at else f"{when}, written {at}"
        rows.append([when, *entity, each["transition"] + phase, way, postings_text(each["postings"]), accounts,
                      each["by"] or "", each["reason"] or "", key])  # fmt: skip
    return grid(*columns, rows=rows)


def time_text(at: str) -> str:
    """A time of the journal, to the second."""
    return f"{at[:10]} {at[11:19]}"


def fact_text(fact: object) -> str:
    return {True: "yes", False: "no"}.get(fact, "") if isinstance(fact, bool) else str(fact)


def receipts_table(plain: Sequence[Plain]) -> RenderableType:
    rows = [
        [f"{each['machine']} {each['id']}", each["command"], coloured(each["result"]), each["state"] or "",
         postings_text(each["postings"]), each["key"], each["why"] or ""]
        for each in plain
    ]  # fmt: skip
    return grid("of", "command", "result", "state", "moved", "key", "why", rows=rows)


def answer_table(plain: Plain) -> RenderableType:
    """Yes, and what would move; or no, and why."""
    if plain["allowed"]:
        head = Text.assemble(
            ("yes", "green"), f": {plain['command']} would fire {plain['transition']}, to {plain['state']}"
        )
        return Group(head, *[Text(f"  {line}") for line in postings_text(plain["postings"]).splitlines()])
    why = [Text.assemble(("no", "yellow"), f": {plain['why']}")]
    cause = plain["refusal"]
    while cause["cause"]:
        cause = cause["cause"]
    rows = [[each["transition"], each["prose"], each["failed"]] for each in cause["candidates"]]
    return Group(*why, grid("transition", "is taken if", "what fails", rows=rows)) if rows else why[0]


def commands_table(plain: Plain) -> RenderableType:
    head = Text.assemble((f"{plain['machine']} {plain['id']}", "bold"), " is ", (plain["state"], STATE),
                         *[f", {name} {amount}" for name, amount in plain["accounts"].items()])  # fmt: skip
    rows = [
        [each["command"], ", ".join(f"{name}: {kind}" for name, kind in each["arguments"].items()),
         "\n".join(each["needs"]), each["to"], "\n".join(each["money"])]
        for each in plain["commands"]
    ]  # fmt: skip
    says: dict[str, list[str]] = {}
    for command, why in plain["refused"].items():
        says.setdefault(why, []).append(command)
    refused = [Text(f"refuses {', '.join(commands)}: {why}", style="dim") for why, commands in says.items()]
    driven = [Text(f"driven by other machines: {', '.join(plain['driven'])}", style="dim")] if plain["driven"] else []
    table = grid("command", "arguments", "is taken if", "to", "money", rows=rows)
    return Group(head, table if rows else Text("It takes no command any more."), *driven, *refused)


def verify_table(plain: Plain) -> RenderableType:
    """Clean, or each finding."""
    inside = [
        f"{name} {amount} {code}"
        for name, sums in plain["money"].items()
        for code, amount in sums.items()
        if amount.strip("0.")
    ]
    counts = f"{plain['entries']} entries of {plain['entities']} entities, {plain['calls']} open calls"
    counts += f"; inside: {', '.join(inside)}" if inside else ""
    counts += "; card numbers are sealed" if plain["sealed"] else ""
    if plain["clean"]:
        return Text.assemble(("clean", "green"), f": {counts}")
    rows = [[each["where"], each["what"], each["code"]] for each in plain["findings"]]
    return Group(
        Text.assemble((f"{len(rows)} wrong", "bold red"), f": {counts}"), grid("where", "what", "code", rows=rows)
    )


def removals_text(plain: Plain) -> RenderableType:
    """What is known of removed entries, and the checkpoint of clean books in one line, to be copied."""
    text = f"Removed entries: {plain['removals']}."
    if plain["clean"] and plain["checkpoint"] is not None:
        return Group(Text(text), Text(f"Checkpoint: {plain['checkpoint']}", no_wrap=True, overflow="ignore"))
    return Text(text)


# What waits, and the provider's half


def stuck_tables(plain: Plain) -> list[RenderableType]:
    """Everything that waits for a person; and what was just tried again, if anything was."""
    tables: list[RenderableType] = [receipts_table(plain["tried"])] if plain.get("tried") else []
    if not plain["totals"]["count"]:
        return [*tables, "nothing waits for a person"]
    tables += [_calls_table(plain["calls"], "call in doubt"), _queue_table(plain["queue"], "given up")]
    rows = [[each["payment"], each["order"], _card(each), each["state"], _money(each)] for each in plain["uncovered"]]
    tables.append(grid("payment", "order", "card", "state", "uncovered", rows=rows, right=("uncovered",)))
    tables.append(_calls_table(plain["late"], "late answer"))
    return [*_filled(tables), _totals_text(plain["totals"], "for a person", "given up")]


def waiting_tables(plain: Plain) -> list[RenderableType]:
    """Everything that goes on by itself; and the command that was just changed, if one was."""
    head = [Text(f"{each['key']}: {each['note']}") for each in plain.get("changed", ())]
    if not plain["totals"]["count"]:
        return [*head, "nothing waits"]
    tables: list[RenderableType] = [_calls_table(plain["calls"], "call in doubt"),
                                    _queue_table(plain["queue"], "queued")]  # fmt: skip
    if plain["more"]:
        tables.append(Text(f"and {plain['more']:,} more that are not listed; --limit lists more", "yellow"))
    return [*head, *_filled([*tables, *map(_dated_table, plain["dated"])]),
            _totals_text(plain["totals"], "for time or a machine", "queued")]  # fmt: skip


def _dated_table(plain: Plain) -> Table:
    """How many wait for a date of their page, and when."""
    kind = f"{plain['machine']}.{plain['command']}"
    rows = [[when, f"{count:,}"] for when, count in plain["periods"].items()]
    return grid(kind, "how many", rows=rows, right=("how many",), whole=(kind,))


def listed_tables(plain: Plain) -> list[RenderableType]:
    """A page of what waits."""
    if not plain["queue"]:
        return ["nothing waits"]
    more = [f"the next page: --after {shlex.quote(plain['after'])}"] if plain["after"] is not None else []
    return [_queue_table(plain["queue"], "queued"), *more]


def _filled(tables: Sequence[RenderableType]) -> list[RenderableType]:
    return [each for each in tables if not isinstance(each, Table) or each.row_count]


def _calls_table(plain: Sequence[Plain], name: str) -> Table:
    rows = []
    for each in plain:
        asked = f"last asked {time_text(each['asked'])}, {each['attempts']} times" if each["attempts"] else "not sent"
        amount = f" {_money(each)}" if each["amount"] else ""
        about = f"{each['verb']}{amount} of {each['machine']} {each['id']}, {asked}: {each['why']}"
        rows.append([each["call"], _due_text(each["due"]), about])
    return grid(name, "due", "what, and why", rows=rows, whole=(name,))


def _queue_table(plain: Sequence[Plain], name: str) -> Table:
    rows = []
    for each in plain:
        amount = f" {_money(each)}" if each["amount"] else ""
        tried = f", tried {each['attempts']} times" if each["attempts"] else ""
        note = f" ({each['note']})" if each["note"] else ""
        state = "" if each["due"] and each["state"] == "waiting" else f" was {each['state']}"
        about = f"{each['command']}{amount} of {each['machine']} {each['id']}{state}{tried}: {each['why'] or ''}{note}"
        rows.append([each["key"], _due_text(each["due"]) if not state else "", about])
    return grid(name, "due", "what, and why", rows=rows, whole=(name,))


def _due_text(at: str | None) -> str:
    return time_text(at) if at else ""


def _totals_text(plain: Plain, whom: str, queue: str) -> Text:
    """How many wait, and how much: of each kind by itself."""
    names = {"calls": "in doubt", "queue": queue, "uncovered": "uncovered", "late": "answered late",
             "dated": "for a date of their page"}  # fmt: skip
    kinds = []
    for kind, each in plain.items():
        if kind != "count" and each["count"]:
            sums = ", ".join(f"{amount} {currency}" for currency, amount in each["amounts"].items())
            kinds.append(f"{each['count']:,} {names[kind]}{f' ({sums})' if sums else ''}")
    return Text(f"{plain['count']:,} wait{'' if plain['count'] > 1 else 's'} {whom}: {'; '.join(kinds)}")


def holds_tables(plain: Plain) -> list[RenderableType]:
    """Old holds; and the receipts of those that were released."""
    rows = [
        [time_text(each["since"]), each["payment"], each["order"], _card(each), each["state"], _money(each),
         each["hold"] or ""]
        for each in plain["holds"]
    ]  # fmt: skip
    columns = ("since", "payment", "order", "card", "state", "held", "hold")
    holds = grid(*columns, rows=rows, right=("held",)) if rows else "no hold is that old"
    return [holds, *([receipts_table(plain["released"])] if plain["released"] else [])]


def _card(plain: Plain) -> str:
    return f"{plain['card']} {plain['number']}"


def _money(plain: Plain) -> str:
    return f"{plain['amount']} {plain['currency']}"


def balance_text(plain: Plain) -> str:
    held = plain.get("held", "").strip("0.")
    return f"{plain['text']} {plain['held']} {plain['currency']} are held." if held else plain["text"]


def reconciliation_table(plain: Plain) -> RenderableType:
    """Clean, or each difference."""
    compared = f"{plain['cards']} {'card' if plain['cards'] == 1 else 'cards'} compared"
    if plain["clean"]:
        return Text.assemble(("clean", "green"), f": {compared}")
    posted = f", {len(plain['posted'])} posted, {plain['remaining']} remain" if plain["posted"] else ""
    head = Text.assemble((f"{len(plain['findings'])} found", "bold red"), f": {compared}{posted}")
    rows = [
        [each["what"], each["ours"] or "", each["theirs"] or "", "posted" if each["posted"] else "", each["code"]]
        for each in plain["findings"]
    ]
    return Group(head, grid("what", "ours", "theirs", "done", "code", rows=rows, right=("ours", "theirs")))


# Machines


def machines_table(plain: Sequence[Plain]) -> RenderableType:
    rows = [
        [each["machine"], str(each["version"]), str(len(each["states"])), str(len(each["transitions"])),
         each["summary"], each["file"]]
        for each in plain
    ]  # fmt: skip
    return grid("machine", "version", "states", "transitions", "summary", "file", rows=rows,
                right=("version", "states", "transitions"))  # fmt: skip


def machine_table(diagram: Diagram) -> RenderableType:
    """The states and transitions of a machine."""
    head = Text.assemble((diagram.name, "bold"), f" version {diagram.version}: {diagram.summary}")
    states = [
        [node.name, "start" if node.start else "final" if node.final else "", node.says] for node in diagram.nodes
    ]
    rows: list[list[str | Text]] = [
        [_command_text(line), _states_text(line), "\n".join(line.step.conditions), _effects_text(line)]
        for line in diagram.lines
    ]
    transitions = grid("command, transition", "from → to", "is taken if", "what happens", rows=rows)
    return Group(head, grid("state", "", "says", rows=states), transitions)


def _command_text(line: Line) -> Text:
    name = "" if line.step.name in line.step.commands else f"\n{line.step.name}"
    return Text.assemble((" or ".join(line.step.commands), "bold"), name)


def _states_text(line: Line) -> Text:
    target = f"→ {line.target}" if line.target else "stays"
    otherwise = f"\nif declined → {line.otherwise}" if line.otherwise else ""
    return Text.assemble("\n".join(line.sources), "\n", (target, STATE), (otherwise, "yellow"))


def _effects_text(line: Line) -> Text:
    calls = [f"{call.does} {call.what}{', perhaps for less' if call.partial else ''}" for call in line.step.calls]
    rest = [*calls, *[f"then {each}" for each in line.step.follow_ups]]
    return Text("\n").join([*[Text(each, "green") for each in line.step.money], *[Text(each) for each in rest]])


def summary_table(plain: Plain) -> RenderableType:
    counts = {name: count for name, count in plain.items() if isinstance(count, int) and count and name != "lines"}
    followed = [f"{count} follow-ups {ended}" for ended, count in plain["follow_ups"].items()]
    table = grid(
        "lines", "result", rows=[[str(count), coloured(name)] for name, count in counts.items()], right=("lines",)
    )
    return Group(table, *[Text(each, style="dim") for each in followed])


@contextmanager
def progress(file: IO[bytes]) -> Iterator[Iterable[bytes]]:
    """The lines of a file, with a bar on stderr; but only on a terminal that does not show the answers too."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield file
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    size = os.fstat(file.fileno()).st_size if file.seekable() else None
    columns = (BarColumn(), TextColumn("{task.fields[lines]} lines"), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=size, lines=0)

        def read() -> Iterator[bytes]:
            for number, line in enumerate(file, 1):
                yield line
                progress.update(task, advance=len(line), lines=number)

        yield read()

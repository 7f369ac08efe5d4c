"""Commands as JSON Lines: one command a line in, one answer a line out, each its own durable commit.

    in    {"key", "machine", "id", "command", "args"}, and if wanted "by", "reason", "due" (ISO time, with zone)
    out   {"key", "machine", "id", "state", "accounts", "result", "why"}, and "line" where the line is invalid

With the scripted provider the lines are a rehearsal: they may say what the provider replies, and nothing runs by
itself (see `rehearsal`).

A line is read strictly, because a file of commands is money: a field too few or too many, a key that stands twice,
a number where an amount belongs make it invalid, which is its answer and stops nothing else. `parse` knows no store
and `answer` no text, so lines can be read ahead. Run again, a file replays; what a stopped run left due is done first.

Card numbers and PINs go in and never come out: they are masked in whatever is said of a line.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import attrs

from tallystick import money
from tallystick.core.entity import CREATE
from tallystick.core.refusal import mask
from tallystick.definition.machine import Machines
from tallystick.engine import rehearsal
from tallystick.engine.engine import BATCH, Engine
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.errors import Invalid, nearest
from tallystick.provider.scripted import Crash, Reply, ScriptedProvider

FIELDS = ("key", "machine", "id", "command", "args")
OPTIONAL = ("by", "reason", "due", "provider")
INVALID, REPLAYED, PERFORMED = "invalid", "replayed", "performed"
RESULTS = ("applied", REPLAYED, "deferred", "refused", "declined", "unavailable", "in_doubt", INVALID)
BARE = {"pin": "secret", "number": "number"}  # what is hidden even where no machine declares it


@attrs.frozen
class Line:
    """A line that says something: a command, or what is wrong with it."""

    number: int  # from 1, blank lines counted
    said: Mapping[str, str]  # key, machine and id as far as they can be read
    command: Command | None = attrs.field(default=None, repr=False)
    fault: str = ""
    hidden: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # what must not come out → what does instead
    deed: rehearsal.Deed | None = None
    replies: tuple[Reply, ...] | None = None  # of the provider, in a rehearsal


@attrs.define
class Summary:
    """How the lines ended, and the follow-ups that ran between them."""

    lines: Counter[str] = attrs.field(factory=Counter)
    follow_ups: Counter[str] = attrs.field(factory=Counter)

    def plain(self) -> dict[str, Any]:
        follow_ups = {ended.value: self.follow_ups[ended.value] for ended in Ended if self.follow_ups[ended.value]}
        counts = {result: self.lines[result] for result in RESULTS}
        counts |= {PERFORMED: self.lines[PERFORMED]} if self.lines[PERFORMED] else {}
        return {"lines": self.lines.total(), **counts, "follow_ups": follow_ups}


def run_lines(
    engine: Engine, lines: Iterable[bytes], summary: Summary, *, strict: bool = False
) -> Iterator[dict[str, Any]]:
    """Execute lines one after the other and give their answers. `strict`: the first invalid one is the last."""
    rehearsed = isinstance(engine.provider, ScriptedProvider)
    if not rehearsed:
        _run_due(engine, summary)
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        answered, queued = answer(engine, parse(raw, number, engine.machines))
        summary.lines[answered["result"]] += 1
        yield answered
        if strict and answered["result"] == INVALID:
            return
        if queued and not rehearsed:
            _run_due(engine, summary)


def _run_due(engine: Engine, summary: Summary) -> None:
    while receipts := engine.run_due():
        summary.follow_ups.update(receipt.result.value for receipt in receipts)
        if len(receipts) < BATCH:
            return


# One line is read


def parse(raw: bytes, number: int, machines: Machines) -> Line:
    """What a line says, or what is wrong with it."""
    said: dict[str, str] = {}
    hidden: dict[str, str] = {}
    try:
        given = _object(raw)
        if "do" in given:
            return Line(number, said, deed=rehearsal.read_deed(given), replies=_replies(given))
        said |= {name: value for name in ("key", "machine", "id") if isinstance(value := given.get(name), str)}
        kinds = _kinds(machines, given)
        hidden |= _hidden(given.get("args"), kinds)
        _complete(given)
        _no_numbers(given["args"], kinds)
        return Line(number, said, _command(given), hidden=hidden, replies=_replies(given))
    except Invalid as error:
        return Line(number, said, fault=str(error), hidden=hidden)


class _Decimal(str):
    """A number with a point, as written: kept to say where it stands, used for nothing."""

    __slots__ = ()


def _object(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_once, parse_float=_Decimal, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Invalid(f"it is no UTF-8 text: see byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"it is no JSON: {error.msg.lower()} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):  # thousands of digits, thousands of brackets
        raise Invalid("it is no JSON of a sensible size") from None
    if not isinstance(value, dict):
        raise Invalid('it is JSON, but no object; a command is {"key": …, "machine": …, …}')
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise Invalid(f"{twice[:40]!r} stands in it twice")
    return found


def _no_constant(name: str) -> None:
    raise Invalid(f"{name} is no JSON, and no amount")


def _complete(given: Mapping[str, Any]) -> None:
    """Every field is there, no other is, and each is of its kind."""
    missing = [name for name in FIELDS if name not in given]
    if missing:
        raise Invalid(f"it lacks {' and '.join(repr(name) for name in missing)}")
    for name, value in given.items():
        if name not in (*FIELDS, *OPTIONAL):
            raise Invalid(f"it has a field too many, {name[:40]!r}.{nearest(name[:40], [*FIELDS, *OPTIONAL])}")
        if name == "provider":
            continue
        wanted = dict if name == "args" else str
        if value is None and name in OPTIONAL:
            continue
        if not isinstance(value, wanted) or isinstance(value, _Decimal):
            what = 'an object, {"amount": "50.00"} or {}' if wanted is dict else "a text"
            raise Invalid(f"{name!r} has to be {what}, not {_a(value)}")


def _kinds(machines: Machines, given: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each argument that the command has in any version of its machine."""
    name, command = given.get("machine"), given.get("command")
    kinds: dict[str, str] = {}
    for machine in machines.all():
        if machine.name == name and command == CREATE:
            kinds |= {fact.name: fact.type.kind for fact in machine.facts.values()}
        elif machine.name == name and isinstance(command, str) and command in machine.commands:
            kinds |= {each: type_.kind for each, type_ in machine.commands[command].arguments.items()}
    return kinds


def _no_numbers(args: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    for name, value in args.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, _Decimal) or (whole and kinds.get(name) == "money"):
            raise Invalid(
                f'args: {name[:40]!r} is a number; amounts are decimal strings such as "50.00", and never numbers'
            )


def _command(given: Mapping[str, Any]) -> Command:
    due = given.get("due")
    return Command(
        given["machine"], given["id"], given["command"], given["args"], given["key"],
        by=given.get("by"), reason=given.get("reason"), due=_moment(due) if due is not None else None,
    )  # fmt: skip


def _replies(given: Mapping[str, Any]) -> tuple[Reply, ...] | None:
    return rehearsal.read_replies(given["provider"]) if given.get("provider") is not None else None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise Invalid(f"'due' has no time zone: {text[:40]!r}; end it with Z or an offset such as -03:00")
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise Invalid(f"'due' is no ISO time: {text[:40]!r}; write it like 2026-05-31T12:00:00Z") from None


def _a(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        bool: "true or false",
        int: "a number",
        _Decimal: "a number",
        str: "a text",
    }
    return names.get(type(value), "null")


# One line is answered


def answer(engine: Engine, line: Line) -> tuple[dict[str, Any], bool]:
    """The answer to a line, and whether anything was queued by it."""
    if line.fault:
        return _invalid(line, line.fault), False
    try:
        if isinstance(engine.provider, ScriptedProvider) or line.deed or line.replies:
            _prompted(engine, line)
        if line.command is None:
            return _performed(engine, line), False
        receipt = engine.try_execute(line.command)
    except Crash as crash:
        return _crashed(line, crash), False
    except Invalid as error:
        return _invalid(line, str(error)), False
    return _answered(engine, line, receipt), bool(receipt.follow_ups) or receipt.result is Ended.DEFERRED


def _prompted(engine: Engine, line: Line) -> None:
    """The provider knows its replies to this line, and a second has passed."""
    provider = rehearsal.scripted(engine, "what the provider replies" if line.deed is None else "'do'")
    provider.wait(1)
    provider.reply_with(line.replies or ())


def _performed(engine: Engine, line: Line) -> dict[str, Any]:
    assert line.deed is not None
    receipts = rehearsal.perform(engine, line.deed)
    told = [
        {"key": each.key, "state": each.state, "result": each.result.value, "why": each.why or None}
        for each in receipts
    ]
    return {**line.deed.plain(), "result": PERFORMED, "ended": told}


def _crashed(line: Line, crash: Crash) -> dict[str, Any]:
    why = f"whoever asked died before the answer came (call {crash})"
    said = {name: line.said.get(name) for name in ("key", "machine", "id")}
    return {**said, "state": None, "accounts": {}, "result": Ended.IN_DOUBT.value, "why": why}


def _answered(engine: Engine, line: Line, receipt: Receipt) -> dict[str, Any]:
    result = REPLAYED if receipt.replayed and receipt.applied else receipt.result.value
    accounts, currency = receipt.after, receipt.currency
    if currency is None:  # a refusal: nothing was written, so what stands now is what stood before
        with engine.store.reading() as reading:
            entity = reading.entity(receipt.machine, receipt.id)
        accounts, currency = (entity.accounts, entity.currency) if entity else ({}, "points")
    return {
        "key": receipt.key,
        "machine": receipt.machine,
        "id": receipt.id,
        "state": receipt.state,
        "accounts": {name: money.to_text(minor, currency) for name, minor in accounts.items()},
        "result": result,
        "why": cleared(receipt.why, line.hidden) or None,
    }


def _invalid(line: Line, fault: str) -> dict[str, Any]:
    said = {name: line.said.get(name) for name in ("key", "machine", "id")}
    why = f"line {line.number}: {cleared(fault, line.hidden)}"
    return {**said, "state": None, "accounts": {}, "result": INVALID, "why": why, "line": line.number}


# What must not come out


def _hidden(args: Any, kinds: Mapping[str, str]) -> dict[str, str]:
    """Texts of the arguments that are secrets or card numbers, and what is said in their place."""
    hidden = {}
    for name, value in args.items() if isinstance(args, dict) else ():
        kind = kinds.get(name, BARE.get(name))
        astray = kind == "link" and re.fullmatch(r"\d{12,19}", str(value))  # a number where an id belongs
        if (kind in ("secret", "number") or astray) and isinstance(value, str | int) and str(value):
            hidden[str(value)] = "•••" if kind == "secret" else mask(str(value))
    return hidden


def cleared(text: str, hidden: Mapping[str, str]) -> str:
    """The text without what is hidden: not inside a longer number or word, which would be another one."""
    if not hidden:
        return text
    longest_first = sorted(hidden, key=len, reverse=True)
    pattern = rf"(?<!\w)(?:{'|'.join(re.escape(each) for each in longest_first)})(?!\w)"
    return re.sub(pattern, lambda found: hidden[found[0]], text)

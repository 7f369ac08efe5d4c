"""Commands as JSON Lines: one command a line in, one answer a line out, each its own durable commit.

    in    {"key", "machine", "id", "command", "args"}, and if wanted "by", "reason", "due" or
          "occurred_at" (when it will happen, or did: ISO time, with zone); without "args" if the command needs none
    out   {"key", "machine", "id", "state", "accounts", "result", "why"}, and "line" where the line is invalid

With the scripted provider the lines are a rehearsal: they may say what the provider replies, and nothing runs by
itself (see `engine/rehearsal`).

A file of commands is money, so a line is read strictly. It is invalid if a field is missing, unknown or there twice, or
if an amount is a number. Then its answer says so, and the other lines go on. `parse` needs no store and `answer` no
text, so lines can be read ahead. If a file is run again, it replays. What a stopped run has left due is done first.

Card numbers and PINs go in and never come out: they are masked in every answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs

from tallystick import money
from tallystick.cli.parameters import moment
from tallystick.core.entity import CREATE
from tallystick.definition.machine import Machines
from tallystick.engine import rehearsal
from tallystick.engine.engine import BATCH, Engine
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.errors import Invalid, nearest
from tallystick.masks import like_a_number, mask, with_masks
from tallystick.provider.scripted import Crash, Reply, ScriptedProvider

FIELDS = ("key", "machine", "id", "command", "args")
OPTIONAL = ("by", "reason", "due", "occurred_at", "provider")
INVALID, REPLAYED, PERFORMED = "invalid", "replayed", "performed"
RESULTS = ("applied", REPLAYED, "deferred", "refused", "declined", "unavailable", "in_doubt", INVALID)
UNDECLARED = {"pin": "secret", "number": "number"}  # arguments that are hidden even if no machine declares them


@attrs.frozen
class Line:
    """A line that was read: a command or a deed, or what is wrong with it."""

    number: int  # from 1, blank lines counted
    about: Mapping[str, str]  # key, machine and id, as far as they can be read
    command: Command | None = attrs.field(default=None, repr=False)
    fault: str = ""  # what is wrong with it
    hidden: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # secret or number → what stands in its place
    deed: rehearsal.Deed | None = None  # in a rehearsal
    replies: tuple[Reply, ...] | None = None  # of the provider, in a rehearsal


@attrs.define
class Summary:
    """How the lines ended, and the follow-ups that ran between them."""

    lines: Counter[str] = attrs.field(factory=Counter)  # by result
    follow_ups: Counter[str] = attrs.field(factory=Counter)  # by result

    def plain(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        follow_ups = {ended.value: self.follow_ups[ended.value] for ended in Ended if self.follow_ups[ended.value]}
        counts = {result: self.lines[result] for result in RESULTS}
        counts |= {PERFORMED: self.lines[PERFORMED]} if self.lines[PERFORMED] else {}
        return {"lines": self.lines.total(), **counts, "follow_ups": follow_ups}


def run_lines(
    engine: Engine, lines: Iterable[bytes], summary: Summary, *, strict: bool = False
) -> Iterator[dict[str, Any]]:
    """Execute lines one after the other and give their answers. `strict`: stop at the first invalid line."""
    rehearsed = isinstance(engine.provider, ScriptedProvider)
    if not rehearsed:
        _run_due(engine, summary)
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        result, queued = answer(engine, parse(raw, number, engine.machines))
        summary.lines[result["result"]] += 1
        yield result
        if strict and result["result"] == INVALID:
            return
        if queued and not rehearsed:
            _run_due(engine, summary)


def _run_due(engine: Engine, summary: Summary) -> None:
    seen: set[str] = set()
    while receipts := [each for each in engine.run_due() if each.key not in seen]:
        seen.update(each.key for each in receipts)  # what is left alone comes again each time
        summary.follow_ups.update(receipt.result.value for receipt in receipts)
        if len(receipts) < BATCH:
            return


# One line is read


def parse(raw: bytes, number: int, machines: Machines) -> Line:
    """What a line says, or what is wrong with it."""
    about: dict[str, str] = {}
    hidden: dict[str, str] = {}
    try:
        fields = _object(raw)
        if "do" in fields:
            return Line(number, about, deed=rehearsal.read_deed(fields), replies=_replies(fields))
        about |= {name: value for name in ("key", "machine", "id") if isinstance(value := fields.get(name), str)}
        kinds = _kinds(machines, fields)
        hidden |= _hidden(fields.get("args"), kinds)
        _check_fields(fields, ["args"] if _needs_none(machines, fields) else [])
        _check_amounts(fields.get("args", {}), kinds)
        return Line(number, about, _command(fields), hidden=hidden, replies=_replies(fields))
    except Invalid as error:
        return Line(number, about, fault=str(error), hidden=hidden)


class _Decimal(str):
    """A number with a point, as written. It is never used; a fault only says where it stands."""

    __slots__ = ()


def _object(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_float=_Decimal, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Invalid(f"this is not UTF-8 text: see byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        why = error.msg.lower().removesuffix(" at")
        raise Invalid(f"this is not JSON: {why} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):  # thousands of digits, thousands of brackets
        raise Invalid("this is not JSON of a sensible size") from None
    if not isinstance(value, dict):
        raise Invalid('this is JSON, but not an object: a command is {"key": …, "machine": …, …}')
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise Invalid(f"{twice[:40]!r} is in it twice")
    return found


def _no_constant(name: str) -> None:
    raise Invalid(f"{name} is not JSON, and not an amount")


def _check_fields(fields: Mapping[str, Any], left_out: Collection[str]) -> None:
    """Every field is there (but for those that may be `left_out`), no other is, each is of its kind. Raises Invalid."""
    missing = [name for name in FIELDS if name not in fields and name not in left_out]
    if missing:
        raise Invalid(f"it lacks {' and '.join(repr(name) for name in missing)}")
    for name, value in fields.items():
        if name not in (*FIELDS, *OPTIONAL):
            raise Invalid(f"it has an unknown field, {name[:40]!r}.{nearest(name[:40], [*FIELDS, *OPTIONAL])}")
        if name == "provider":
            continue
        wanted = dict if name == "args" else str
        if value is None and name in OPTIONAL:
            continue
        if not isinstance(value, wanted) or isinstance(value, _Decimal):
            what = 'an object, {"amount": "50.00"} or {}' if wanted is dict else "a text"
            raise Invalid(f"{name!r} has to be {what}, not {_kind_of(value)}")


def _kinds(machines: Machines, fields: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each argument that the command has in any version of its machine."""
    name, command = fields.get("machine"), fields.get("command")
    kinds: dict[str, str] = {}
    for machine in machines.all():
        if machine.name == name and command == CREATE:
            kinds |= {fact.name: fact.type.kind for fact in machine.facts.values()}
        elif machine.name == name and isinstance(command, str) and command in machine.commands:
            kinds |= {each: type_.kind for each, type_ in machine.commands[command].arguments.items()}
    return kinds


def _needs_none(machines: Machines, fields: Mapping[str, Any]) -> bool:
    """Whether the command is known, and in no version has an argument that must be given."""
    name, command = fields.get("machine"), str(fields.get("command"))
    declared = [each.commands[command] for each in machines.all() if each.name == name and command in each.commands]
    types = [type_ for each in declared for type_ in each.arguments.values()]
    return bool(declared) and all(type_.optional or type_.kind == "flag" for type_ in types)


def _check_amounts(args: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    """No amount is a number, because a number may be rounded or mistaken for minor units. Raises Invalid."""
    for name, value in args.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, _Decimal) or (whole and kinds.get(name) == "money"):
            raise Invalid(f'args: {name[:40]!r} is a number; write an amount as a text, such as "50.00"')


def _command(fields: Mapping[str, Any]) -> Command:
    due, occurred_at = (
        moment(f"{name!r}", fields[name]) if fields.get(name) is not None else None for name in ("due", "occurred_at")
    )
    return Command(
        fields["machine"], fields["id"], fields["command"], fields.get("args", {}), fields["key"],
        by=fields.get("by"), reason=fields.get("reason"), due=due, occurred_at=occurred_at,
    )  # fmt: skip


def _replies(fields: Mapping[str, Any]) -> tuple[Reply, ...] | None:
    return rehearsal.read_replies(fields["provider"]) if fields.get("provider") is not None else None


def _kind_of(value: object) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", int: "a number", _Decimal: "a number"}
    return "a text" if type(value) is str else names.get(type(value), "null")


# One line is answered


def answer(engine: Engine, line: Line) -> tuple[dict[str, Any], bool]:
    """The answer to a line, and whether anything was queued by it."""
    if line.fault:
        return _invalid(line, line.fault), False
    try:
        if isinstance(engine.provider, ScriptedProvider) or line.deed or line.replies:
            _set_replies(engine, line)
        if line.command is None:
            return _deed_answer(engine, line), False
        receipt = engine.try_execute(line.command)
    except Crash as crash:
        return _crash_answer(line, crash), False
    except Invalid as error:
        return _invalid(line, str(error)), False
    return _answer(engine, line, receipt), bool(receipt.follow_ups) or receipt.result is Ended.DEFERRED


def _set_replies(engine: Engine, line: Line) -> None:
    """Give the provider its replies to this line, and let a second pass."""
    provider = rehearsal.scripted(engine, "what the provider replies" if line.deed is None else "'do'")
    provider.wait(1)
    provider.reply_with(line.replies or ())


def _deed_answer(engine: Engine, line: Line) -> dict[str, Any]:
    assert line.deed is not None
    receipts = rehearsal.perform(engine, line.deed)
    ended = [
        {"key": each.key, "state": each.state, "result": each.result.value, "why": each.why or None}
        for each in receipts
    ]
    return {**line.deed.plain(), "result": PERFORMED, "ended": ended}


def _crash_answer(line: Line, crash: Crash) -> dict[str, Any]:
    why = f"the caller died before the answer came (call {crash})"
    return {**_about(line), "state": None, "accounts": {}, "result": Ended.IN_DOUBT.value, "why": why}


def _answer(engine: Engine, line: Line, receipt: Receipt) -> dict[str, Any]:
    result = REPLAYED if receipt.replayed and receipt.applied else receipt.result.value
    accounts, currency = receipt.after_minor, receipt.currency
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
        "why": with_masks(receipt.why, line.hidden) or None,
    }


def _invalid(line: Line, fault: str) -> dict[str, Any]:
    why = f"line {line.number}: {with_masks(fault, line.hidden)}"
    return {**_about(line), "state": None, "accounts": {}, "result": INVALID, "why": why, "line": line.number}


def _about(line: Line) -> dict[str, str | None]:
    return {name: line.about.get(name) for name in ("key", "machine", "id")}


# What must not come out


def _hidden(args: Any, kinds: Mapping[str, str]) -> dict[str, str]:
    """The arguments that are secrets or card numbers, and what stands in their place."""
    hidden = {}
    for name, value in args.items() if isinstance(args, dict) else ():
        kind = kinds.get(name, UNDECLARED.get(name))
        misplaced = kind == "link" and like_a_number(str(value))  # a card number instead of an id
        if (kind in ("secret", "number") or misplaced) and isinstance(value, str | int) and str(value):
            hidden[str(value)] = "•••" if kind == "secret" else mask(str(value))
    return hidden

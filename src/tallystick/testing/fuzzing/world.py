"""A world to try things out in: an engine on a store, a provider that replies as it is told, and a record of it all.

Whatever is done here is kept as a line of a rehearsal (`lines`), with the provider's replies. So any world can be gone
through again, by `tallystick run FILE --provider scripted` too. A crash throws the engine away and makes another one on
the same store, as a new process would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

from tallystick.core.entity import CREATE, Entity, Ref
from tallystick.definition.machine import Machine, Machines
from tallystick.engine import rehearsal
from tallystick.engine.engine import BATCH, Engine
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.engine.rehearsal import Deed
from tallystick.errors import Invalid
from tallystick.moment import stamp
from tallystick.money import to_text
from tallystick.provider.scripted import Crash, ScriptedProvider
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.store.rows import CallRow, EntryRow, QueueRow, is_later
from tallystick.testing.fuzzing.invariants import EntityView, everything_in
from tallystick.testing.referee import Acknowledged

CURRENCY = "BRL"
Line = dict[str, Any]


class FuzzFailure(AssertionError):
    """Something is wrong. `code` names the check that found it; `lines` are the story that led there."""

    def __init__(self, code: str, why: str, lines: Iterable[Line] = ()) -> None:
        self.code, self.why, self.lines = code, why, tuple(lines)
        super().__init__(f"{code}: {why}")


class World(EntityView):
    """What was done is in `lines`, what callers were told in `acknowledged`."""

    def __init__(self, machines: Machines, make_store: Callable[[], Store] = MemoryStore) -> None:
        self.store = make_store()
        self.provider = ScriptedProvider()
        self.machines = self.store.machines(machines)
        self.engine = self._engine()
        self.lines: list[Line] = []
        self.acknowledged: list[Acknowledged] = []
        self._calls = 0
        self._keys = 0

    def _engine(self) -> Engine:
        return Engine(self.machines, self.store, self.provider, clock=self.provider.clock, ids=self._id,
                      random=Random(0))  # noqa: S311  # fmt: skip

    def _id(self) -> str:
        self._calls += 1
        return f"call-{self._calls}"

    # Looking

    def everything(self) -> dict[Ref, Entity]:
        return everything_in(self.store, self.machines)

    def journal(self) -> list[EntryRow]:
        """All entries, in the order in which they were written."""
        with self.store.reading() as look:
            return look.chronicle(1 << 60)

    def open_calls(self) -> list[CallRow]:
        with self.store.reading() as look:
            return look.calls()

    def waiting(self) -> list[QueueRow]:
        """Queued commands that somebody still has to execute."""
        with self.store.reading() as look:
            return look.queue(state="waiting")

    # Doing

    def create(self, machine: str, facts: Mapping[str, object], currency: str = CURRENCY) -> Receipt | None:
        id = f"{machine}-{len(self.entities(machine)) + 1}"
        return self.command(machine, id, CREATE, {**facts, "currency": currency})

    def command(self, machine: str, id: str, command: str, args: Mapping[str, object], key: str = "") -> Receipt | None:
        """Give a command; its receipt, or None if whoever gave it died or if it was no command."""
        self._keys += 1
        return self.give(line_of(self.machines[machine], id, command, args, key or f"k{self._keys}"))

    def give(self, line: Line) -> Receipt | None:
        """Give a command that is a line; its replies are not those of the line."""
        line = {name: value for name, value in line.items() if name != "provider"}
        ended: list[Receipt] = []
        with suppress(Invalid):
            self._recorded(line, lambda: ended.append(self.engine.try_execute(command_of(line))))
        for each in ended:
            self._tell(each)
        return ended[0] if ended else None

    def perform(self, deed: Deed) -> list[Receipt]:
        """What is done between commands."""
        ended: list[Receipt] = []
        self._recorded(deed.plain(), lambda: ended.extend(rehearsal.perform(self.engine, deed)))
        if len(ended) >= BATCH:
            raise FuzzFailure(
                "endless", f"{len(ended):,} commands follow each other, and there is no end of them", self.lines
            )
        for each in ended:
            self._tell(each)
        return ended

    def wait(self, *, whole: bool) -> None:
        """An hour passes; with `whole`, as long as until everything is due that a page puts off to a later time."""
        now = self.provider.clock()
        later = (
            [datetime.fromisoformat(row.due) for row in self.waiting() if is_later(row, stamp(now))] if whole else []
        )
        last = max([now + timedelta(hours=1), *later])
        self.perform(Deed("wait", seconds=math.ceil((last - now).total_seconds())))

    def resolution_of(self, row: CallRow) -> Deed:
        """What a person would say of a call who sees both books."""
        return Deed("resolve", row.key, "confirmed" if row.id in self.provider.done else "declined")

    def replayed(self, line: Line) -> list[Receipt]:
        """Do what a line of a file says, with the replies that it names; the receipts."""
        given = line.get("provider")
        self.provider.reply_with(() if given is None else rehearsal.read_replies(given))
        if "do" not in line:
            receipt = self.give(line)
            return [receipt] if receipt else []
        with suppress(Invalid):
            return self.perform(rehearsal.read_deed(line))
        return []

    def _recorded(self, line: Line, deed: Callable[[], object]) -> None:
        """Do it a second later, and keep the line, with the provider's replies if they were not the usual ones."""
        self.lines.append(line)
        self.provider.wait(1)
        before = len(self.provider.contacts)
        try:
            deed()
        except Crash:
            self.engine = self._engine()
        except (Invalid, FuzzFailure):
            raise
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise FuzzFailure(f"error:{type(error).__name__}", why, self.lines) from error
        finally:
            said = [reply.plain(call.card.currency) for call, reply in self.provider.contacts[before:]]
            while said and said[-1] in ("confirmed", "found"):
                said.pop()
            if said:
                line["provider"] = said[0] if len(said) == 1 else said

    def _tell(self, receipt: Receipt) -> None:
        """Keep what a caller now knows for good."""
        if receipt.result in (Ended.APPLIED, Ended.DECLINED) and not receipt.replayed:
            self.acknowledged.append(
                Acknowledged(receipt.key, receipt.machine, receipt.id, receipt.command, receipt.result.value)
            )

    def resolve_everything(self) -> None:
        """Everything in doubt ends and everything queued is executed, as far as the world lets it."""
        self.provider.reply_with(())
        for _ in range(40):
            calls = self.open_calls()
            if calls:
                self.perform(Deed("recover"))
                for row in self.open_calls():
                    self.perform(self.resolution_of(row))
            if self.waiting():
                self.wait(whole=True)
                self.perform(Deed("due"))
            elif not self.open_calls():
                return


def line_of(machine: Machine, id: str, command: str, args: Mapping[str, object], key: str) -> Line:
    """A command as a line of a rehearsal: amounts as people write them, and somebody signs what has to be signed."""
    declared = machine.commands.get(command)
    types = declared.arguments if declared else {name: fact.type for name, fact in machine.facts.items()}
    told = {
        name: _told(types[name].kind if name in types else "text", value)
        for name, value in args.items()
        if value is not None and value is not False
    }
    signed = {"by": "ann", "reason": "she has seen it"} if declared and declared.signed else {}
    return {"key": key, "machine": machine.name, "id": id, "command": command, "args": told, **signed}


def _told(kind: str, value: Any) -> object:
    if kind == "shares":
        return [[part, to_text(amount, CURRENCY)] for part, amount in value]
    return to_text(value, CURRENCY) if kind == "money" and isinstance(value, int) else value


def command_of(line: Line) -> Command:
    """What a line has the engine do."""
    signed = {name: line[name] for name in ("by", "reason") if name in line}
    return Command(line["machine"], line["id"], line["command"], line["args"], line["key"], **signed)


def sentences(lines: Iterable[Line]) -> list[str]:
    """One sentence a line, for people."""
    return [_sentence(line) for line in lines]


def _sentence(line: Line) -> str:
    replies = line.get("provider")
    said = "" if replies is None else f"   (the provider: {_replies(replies)})"
    if "do" in line:
        more = " ".join(str(value) for name, value in line.items() if name not in ("do", "provider"))
        return f"{line['do']} {more}".strip() + said
    return sentence(command_of(line)) + said


def sentence(command: Command) -> str:
    """A command, for people."""
    args = ", ".join(f"{name} {value}" for name, value in command.args.items())
    return f"{command.id}: {command.command}{f' {args}' if args else ''}"


def _replies(given: object) -> str:
    listed = given if isinstance(given, list) else [given]
    return ", ".join(" ".join(next(iter(each.items()))) if isinstance(each, dict) else str(each) for each in listed)

"""The life of one entity, replayed from its journal; and what its entries say of calls and follow-ups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from tallystick.core.entity import CREATE, Entity, Posting
from tallystick.core.follow_up import follow_ups
from tallystick.core.migration import move
from tallystick.core.resolve import kept, post
from tallystick.definition.declared import IN_DOUBT, MIGRATE
from tallystick.definition.expression import NOW
from tallystick.definition.machine import Machine, Machines, Row
from tallystick.engine.verify.report import UNREADABLE, Wrong, before, shown_in
from tallystick.engine.verify.scratch import Scratch
from tallystick.provider.protocol import Outcome, Result
from tallystick.store.protocol import DeclaredStep
from tallystick.store.rows import EntryRow, chained

FIRED = ("done", "confirmed")
CALLS, FOLLOW_UPS = "call", "follow-up"  # kinds of notes


@attrs.frozen
class CallEntry:
    """An entry of a call. If it asks the provider: the verb, and the arguments without secrets."""

    row: EntryRow
    asks: tuple[str, Mapping[str, object]] | None
    order: object

    def plain(self) -> list[object]:
        """As plain values, to be noted; without what no comparison with a call needs."""
        row = self.row._replace(facts="", after="", hash="", fingerprint=None, by=None, reason=None, call=None)
        return [list(row), self.asks, self.order]

    @classmethod
    def of(cls, plain: list[Any]) -> CallEntry:
        row, asks, order = plain
        return cls(EntryRow._make(row), tuple(asks) if asks is not None else None, order)


@attrs.frozen
class FollowUp:
    """A command that an entry has queued."""

    machine: str
    entity: str
    command: str
    args: Mapping[str, object] | None  # None: they come from the provider's answer, which is not kept


@attrs.define
class Replayed:
    """An entity as its journal makes it, and what came in from each outside account."""

    state: str | None = None
    revision: int = 0
    version: int = 0  # of the page that it runs on
    currency: str = ""
    hash: str = ""
    at: str = ""
    facts: dict[str, object] = attrs.field(factory=dict)
    accounts: dict[str, int] = attrs.field(factory=dict)
    outside: dict[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Replay:
    """Takes entities through their entries, and tells what is wrong with each."""

    machines: Machines
    declared: set[DeclaredStep]
    scratch: Scratch  # gets the entries of each call, and what each command has queued

    def entry(self, entry: EntryRow, so_far: Replayed) -> Wrong:
        """What is wrong with one entry. Also takes the replay past it."""
        yield from self._follows(entry, so_far)
        step = (entry.machine, entry.machine_version, entry.transition, entry.command, entry.phase)
        declared = (*step, entry.from_state or "", entry.to_state) in self.declared
        if not declared:
            yield (
                "undeclared",
                f"{entry.transition} ({entry.phase}) {entry.from_state} → {entry.to_state} is not declared",
            )
        machine = self.machines.at(entry.machine, entry.machine_version)
        row = machine.rows.get(entry.transition) if declared else None
        args = _arguments(machine, entry) if row is not None else {}
        if entry.call is not None:
            self._hear_of_call(entry, row, args, so_far)
        if args.get(NOW) is not None and entry.phase in ("done", "asked") and args[NOW] != entry.at:
            yield "time", f"it was decided as if it were {args[NOW]}, and written at {entry.at}"
        if row is not None and so_far.revision + 1 == entry.revision:
            yield from _amounts(row, entry, args, so_far)
        if entry.transition == CREATE:
            so_far.facts = dict.fromkeys(machine.facts)
        elif entry.transition == MIGRATE and declared:
            yield from _migrated(self.machines, entry, so_far)
            so_far.facts = {**dict.fromkeys(machine.facts), **so_far.facts}
        elif entry.machine_version != so_far.version:
            yield "version", f"it is of version {entry.machine_version}, the entity runs on version {so_far.version}"
        yield from _advance(entry, so_far, [Posting(*posting) for posting in json.loads(entry.postings)])
        if row is not None and entry.phase in FIRED:
            self._hear_of_follow_ups(machine, row, entry, args, so_far)

    def _follows(self, entry: EntryRow, so_far: Replayed) -> Wrong:
        if entry.revision != so_far.revision + 1:
            missing = entry.revision - so_far.revision - 1
            yield "gap", f"it follows revision {so_far.revision}: {missing} entries are missing"
        elif entry.from_state != so_far.state:
            yield "from_state", f"it begins in {entry.from_state}, but the entry before it ended in {so_far.state}"
        if chained(so_far.hash, entry.content) != entry.hash:
            yield "hash", "its hash is not that of the entry before it and its own content: one of them was changed"
        if entry.happened > entry.at:
            yield "time", f"it says that it happened at {entry.occurred_at}, and was written before that, at {entry.at}"
        if so_far.at and before(so_far.at, entry.at):
            yield "time", f"it was written at {entry.at}, long before the entry that it follows, at {so_far.at}"

    def _hear_of_call(self, entry: EntryRow, row: Row | None, args: Mapping[str, object], so_far: Replayed) -> None:
        asks = None
        if row is not None and row.ask is not None and entry.phase == "asked":
            verb, given = row.ask
            values = (so_far.accounts, so_far.facts, args, entry.from_state, None)
            try:
                asks = verb, {name: value(*values) for name, value in given}
            except UNREADABLE:  # `_amounts` says so
                asks = None
        found = CallEntry(entry, asks, args.get("order") or so_far.facts.get("order"))
        self.scratch.note(CALLS, str(entry.call), entry.seq, found.plain())

    def _hear_of_follow_ups(
        self, machine: Machine, row: Row, entry: EntryRow, args: Mapping[str, object], so_far: Replayed
    ) -> None:
        values = so_far.accounts, so_far.facts, args, entry.to_state, Outcome(Result.CONFIRMED)
        for then, request in follow_ups(entry.machine, entry.entity, row, *values):
            told = any(name.startswith("outcome.") for each in then.arguments.values() for name in each.names)
            about = machine if then.each is None else self._taking(then.each, then.command)
            found = None if told else kept(about, request.command, request.args)
            follow_up = FollowUp(request.machine, request.id, request.command, found)
            self.scratch.note(FOLLOW_UPS, str(entry.key or entry.cause), entry.seq, attrs.astuple(follow_up))

    def _taking(self, machine: str, command: str) -> Machine:
        """The newest version of a machine that has the command: the part may run on an older one than today's."""
        return next(each for each in reversed(self.machines.versions(machine)) if command in each.commands)


def _amounts(row: Row, entry: EntryRow, args: Mapping[str, object], so_far: Replayed) -> Wrong:
    """Compute a transition's amounts again. Its guard must be true, and its postings must have these amounts."""
    if entry.phase not in ("done", "asked"):
        return
    values = (so_far.accounts, so_far.facts, args, entry.from_state)
    try:
        fires, amounts = row.fires(*values), row.amounts(*values)
    except (KeyError, TypeError) as error:
        yield "arguments", f"{entry.transition} cannot be computed from what is kept: {error!r}"
        return
    if not fires and row.transition.guard:
        yield "guard", f"{entry.transition} fired, but '{row.transition.guard.source}' was not true"
    asked = entry.phase == "asked"
    lines = zip(row.lines, amounts, strict=True)
    wanted = [[source, IN_DOUBT if asked else target, amount] for (source, target), amount in lines if amount]
    if json.loads(entry.postings) != wanted:
        yield (
            "amounts",
            f"it posts {entry.postings}, but {entry.transition} of these amounts posts {json.dumps(wanted)}",
        )


def _migrated(machines: Machines, entry: EntryRow, so_far: Replayed) -> Wrong:
    """Move the entity again, by the words of the page that it came to."""
    new = machines.at(entry.machine, entry.machine_version)
    if so_far.version not in new.migrations:
        yield "migration", f"it moves from version {so_far.version}, and its page does not say how"
        return
    before = Entity(
        entry.machine, entry.entity, so_far.state or "", so_far.revision, so_far.version, so_far.currency,
        so_far.facts, so_far.accounts,
    )  # fmt: skip
    (wanted,) = move(machines.at(entry.machine, so_far.version), new, before).entries
    said = [tuple(posting) for posting in json.loads(entry.postings)], json.loads(entry.facts), entry.to_state
    if said != ([tuple(posting) for posting in wanted.postings], wanted.facts, wanted.to_state):
        yield "migration", f"it moves from version {so_far.version} otherwise than its page says"


def _advance(entry: EntryRow, so_far: Replayed, postings: list[Posting]) -> Wrong:
    """Do what the entry says, and report what cannot be."""
    after = json.loads(entry.after)
    if entry.transition == CREATE:
        so_far.accounts, so_far.currency = dict.fromkeys(after, 0), entry.currency
    if entry.transition == MIGRATE:
        so_far.accounts = {**dict.fromkeys(after, 0), **so_far.accounts}
    if entry.currency != so_far.currency:
        yield "currency", f"it is in {entry.currency}, the entity in {so_far.currency}"
    so_far.accounts = post(so_far.accounts, postings)
    for source, target, amount in postings:
        if amount <= 0:
            yield "amounts", f"{source} → {target} moves {amount}, which is nothing or less"
        for name, change in ((source, -amount), (target, amount)):
            if name not in so_far.accounts:
                so_far.outside[name] = so_far.outside.get(name, 0) + change
    shown = shown_in(so_far.currency)
    for name, value in so_far.accounts.items():
        if value < 0:
            yield "negative", f"{name} falls to {shown(value)}"
        if value != after.get(name, 0 if entry.transition == MIGRATE else None):
            yield (
                "after",
                f"it says {name} is {shown(after.get(name, 0))} afterwards; the postings make it {shown(value)}",
            )
    if entry.transition == MIGRATE:  # what the newer version has not is empty: it was told above, if it is not
        so_far.accounts = {name: so_far.accounts[name] for name in after}
    so_far.state, so_far.revision, so_far.hash = entry.to_state, entry.revision, entry.hash
    so_far.at, so_far.version = entry.at, entry.machine_version
    so_far.facts |= json.loads(entry.facts)


def differences(so_far: Replayed, entity: Entity) -> Wrong:
    """Where the row is not what the journal makes of the entity."""
    shown = shown_in(entity.currency)
    for name in ("state", "revision", "currency", "hash"):
        if getattr(entity, name) != getattr(so_far, name):
            yield name, f"its row says {name} {getattr(entity, name)}, its journal {getattr(so_far, name)}"
    if entity.machine_version != so_far.version:
        yield "version", f"its row says version {entity.machine_version}, its journal {so_far.version}"
    for name, value in entity.accounts.items():
        if value != so_far.accounts.get(name, 0):
            yield "balance", f"its row says {name} {shown(value)}, its journal {shown(so_far.accounts.get(name, 0))}"
    for name, fact in entity.facts.items():
        if fact != so_far.facts.get(name):
            yield "fact", f"the fact {name!r} in its row is not the one in its journal"


def _arguments(machine: Machine, entry: EntryRow) -> dict[str, object]:
    """The arguments as the transition saw them. Secrets are gone, and no guard may ask for one."""
    said = json.loads(entry.args)
    arguments = machine.commands[entry.command].arguments
    found = {name: said.get(name, False if type_.kind == "flag" else None) for name, type_ in arguments.items()}
    return found | {name: said.get(name) for name in machine.commands[entry.command].reads}

"""What is kept, row by row: entries, calls, queued commands; and how a row is encoded and chained to the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple, TypeVar

import attrs

from tallystick.core.entity import Entity, Entry, InFlight, Posting, Ref
from tallystick.definition.machine import Machines
from tallystick.moment import stamp as stamp
from tallystick.provider.protocol import Outcome, Reason, Result


class EntryRow(NamedTuple):
    """An entry as it is kept: one row of the journal."""

    machine: str
    entity: str
    revision: int
    machine_version: int
    transition: str
    command: str
    phase: str
    from_state: str | None
    to_state: str
    args: str
    postings: str
    facts: str
    after: str
    currency: str
    call: str | None
    key: str | None
    cause: str | None
    fingerprint: str | None
    by: str | None
    reason: str | None
    at: str
    hash: str
    occurred_at: str | None = None  # when it happened, where somebody has said so; None: `at`
    seq: int = 0  # given by the store

    @property
    def happened(self) -> str:
        """When it happened, as far as anybody has said."""
        return self.occurred_at or self.at

    @property
    def content(self) -> tuple[object, ...]:
        """What its hash is made of, beside the hash before it."""
        return self[:_HASH] if self.occurred_at is None else (*self[:_HASH], self.occurred_at)

    def __repr__(self) -> str:
        """Without arguments and facts: a card number may be among them."""
        did = f"{self.transition} {self.phase}, {self.from_state} → {self.to_state}"
        return f"<EntryRow {self.revision} of {self.machine} {self.entity!r}: {did}>"


_HASH = EntryRow._fields.index("hash")
_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_make = json.encoder.c_make_encoder  # type: ignore[attr-defined]  # None where Python has no C accelerator
_in_c = _make and _make(None, _encoder.default, json.encoder.encode_basestring, None, ":", ",", False, False, True)


def encode(value: object) -> str:
    """As JSON, in one line. `JSONEncoder.encode` makes its C encoder anew for each value: two thirds of its time."""
    return "".join(_in_c(value, 0)) if _in_c else _encoder.encode(value)


def chained(before: str, fields: tuple[object, ...]) -> str:
    """SHA-256 over the entity's previous hash and this row. Fields have no line breaks: see `arguments`."""
    text = "\n".join(["" if field is None else str(field) for field in fields])
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


class Stamp(NamedTuple):
    """What a command adds to each of its entries."""

    key: str
    fingerprint: str
    at: str
    by: str | None = None
    reason: str | None = None
    occurred_at: str | None = None


def entry_row(entry: Entry, entity: Entity, stamp: Stamp, *, first: bool) -> EntryRow:
    """The entry as it is kept; moves the entity's hash on. `first`: it carries the command's key."""
    fields = (
        entry.machine, entry.entity, entry.revision, entry.machine_version, entry.transition, entry.command,
        entry.phase, entry.from_state, entry.to_state, encode(entry.args) if entry.args else "{}",
        _postings(entry.postings), encode(entry.facts) if entry.facts else "{}", _amounts(entry.after),
        entity.currency, entry.call, stamp.key if first else None, None if first else stamp.key,
        stamp.fingerprint if first else None, stamp.by, stamp.reason, stamp.at,
    )  # fmt: skip
    if stamp.occurred_at is not None:
        entity.hash = chained(entity.hash, (*fields, stamp.occurred_at))
        return EntryRow(*fields, entity.hash, stamp.occurred_at)
    entity.hash = chained(entity.hash, fields)
    return EntryRow(*fields, entity.hash)


def _postings(postings: tuple[Posting, ...]) -> str:
    """As JSON. Names of accounts need no quoting. Made by hand, this takes a third of the time."""
    return "[" + ",".join([f'["{source}","{target}",{amount}]' for source, target, amount in postings]) + "]"


def _amounts(accounts: Mapping[str, int]) -> str:
    return "{" + ",".join([f'"{name}":{amount}' for name, amount in accounts.items()]) + "}"


@attrs.frozen
class CallRow:
    """A call as it is kept. `steps` and `args` are JSON, without secrets."""

    id: str
    key: str
    verb: str
    machine: str
    entity: str
    currency: str
    args: str = attrs.field(repr=False)  # a card number may be among them
    steps: str = attrs.field(repr=False)
    secret: bool = attrs.field(converter=bool)  # SQLite keeps 0 or 1
    state: str  # open, confirmed, declined, unavailable
    attempts: int
    opened: str
    asked: str
    closed: str | None = None
    outcome: str | None = None
    note: str | None = None
    takes: str | None = attrs.field(default=None, repr=False)  # nobody else may have it meanwhile
    unclear: bool = attrs.field(default=False, converter=bool)  # the provider's record leaves it to a person
    claims: str | None = None  # the provider's transaction that it did; no other call did it
    late: str | None = None  # an answer that came after its end and says otherwise; `unclear`: for a person to see
    hash: str | None = attrs.field(default=None, eq=False)  # `row_hash` of the rest; none until it is written

    @property
    def in_flight(self) -> list[InFlight]:
        """The steps that wait for the answer."""
        return [
            InFlight(machine, id, transition, command, args, tuple(amounts), partial)
            for machine, id, transition, command, args, amounts, partial in json.loads(self.steps)
        ]

    @property
    def refs(self) -> list[Ref]:
        """The entities that it is about: its card, and all that take part."""
        try:
            steps = [(step[0], step[1]) for step in json.loads(self.steps)]
        except (LookupError, TypeError, ValueError):  # somebody has changed it in the database
            steps = []
        return [(self.machine, self.entity), *steps]

    @property
    def amount(self) -> int | None:
        """What the provider was asked for, in minor units, if the verb has an amount."""
        amount = json.loads(self.args).get("amount")
        return amount if isinstance(amount, int) else None

    @property
    def ended(self) -> Outcome | None:
        """How it ended, once it is closed."""
        return None if self.outcome is None else _decoded(self.outcome)

    @property
    def late_answer(self) -> Outcome | None:
        """What the provider said after it was closed, if that was something else."""
        return None if self.late is None else _decoded(self.late)

    @property
    def ids(self) -> list[str]:
        """The provider's names for what it did: the transaction's and the request's."""
        ended = self.ended
        return [id for id in (ended.reference, ended.request) if id] if ended else []


def _decoded(text: str) -> Outcome:
    fields = json.loads(text)
    reason = Reason(fields.pop("reason")) if "reason" in fields else None
    return Outcome(Result(fields.pop("result")), reason=reason, **fields)


def encode_outcome(outcome: Outcome) -> str:
    """An outcome as it may be kept: no PIN, and the number only where the machine put it."""
    fields = attrs.asdict(
        outcome, filter=lambda field, value: value is not None and field.name not in ("pin", "number")
    )
    return encode(fields)


@attrs.frozen
class QueueRow:
    """A command waiting for its time."""

    key: str
    machine: str
    entity: str
    command: str
    args: str = attrs.field(repr=False)  # a card number may be among them
    due: str
    attempts: int = 0
    state: str = "waiting"  # waiting, done, refused, declined, parked, dismissed, withdrawn
    why: str | None = None
    by: str | None = None
    reason: str | None = None
    cause: str | None = None
    note: str | None = None  # who withdrew, moved, dismissed or retried it, and why
    occurred_at: str | None = None  # of what follows a command at once: when that happened, if somebody has said so
    hash: str | None = attrs.field(default=None, eq=False)  # `row_hash` of the rest; none until it is written


OfRow = TypeVar("OfRow", CallRow, QueueRow)
CHANGED = "changed"  # in place of the hash of a row that was changed in the database: no row has this hash


def row_hash(row: CallRow | QueueRow) -> str:
    """SHA-256 of a row: it shows that a row was changed by hand where the journal cannot say so."""
    content = _CONTENT[type(row)](row)
    if content[-1] is None and type(row) is QueueRow:  # without `occurred_at`, as all were once
        content = content[:-1]
    return hashlib.sha256(encode(content).encode()).hexdigest()


def is_changed(row: CallRow | QueueRow) -> bool:
    """Whether somebody has changed a row in the database. Nothing is done then with what it says."""
    return row.hash is not None and row_hash(row) != row.hash


def is_later(row: QueueRow, now: str) -> bool:
    """Whether it follows a command, at a time that its page gives and that has not come: nobody waits for it."""
    return row.cause is not None and row.due > now and not row.attempts


def moved_on(row: OfRow, **changes: object) -> OfRow:
    """What a row is next, to be written in its place. One that somebody has changed stays so, for ever."""
    return attrs.evolve(row, **changes, hash=CHANGED if is_changed(row) else None)  # type: ignore[arg-type]


_CONTENT: Mapping[type, Callable[[object], tuple[object, ...]]] = {
    kind: attrgetter(*(field.name for field in attrs.fields(kind) if field.name != "hash"))
    for kind in (CallRow, QueueRow)
}
# What stays as it is from a row's first writing on. What a call asks for changes only if it is opened anew.
CALL_STAYS = ("id", "key", "verb", "machine", "entity", "currency", "opened")
CALL_ASKS = ("args", "steps", "secret", "takes")
CALL_ENDED = ("state", "attempts", "asked", "closed", "outcome", "claims")
QUEUE_STAYS = ("key", "machine", "entity", "command", "args", "cause", "occurred_at")


@attrs.define
class Changes:
    """What one transaction writes. Entities, calls and queue rows replace what is there under their key.

    Of calls and queue rows that are there already, only what may change does: see `CALL_STAYS` and `QUEUE_STAYS`.
    """

    entries: list[EntryRow] = attrs.field(factory=list)
    entities: dict[Ref, Entity] = attrs.field(factory=dict)
    calls: dict[str, CallRow] = attrs.field(factory=dict)
    queue: dict[str, QueueRow] = attrs.field(factory=dict)

    def made_at(self, at: str) -> Callable[[Ref], str]:
        """When an entity that is new was made: when its first entry happened."""
        said = {(row.machine, row.entity): row.occurred_at for row in self.entries
                if row.occurred_at is not None and row.revision == 1}  # fmt: skip
        return lambda ref: said.get(ref) or at

    def add_hashes(self) -> None:
        """Give calls and queue rows that have none the hash of what they are now."""
        for call in self.calls.values():
            if call.hash is None:
                self.calls[call.id] = attrs.evolve(call, hash=row_hash(call))
        for queued in self.queue.values():
            if queued.hash is None:
                self.queue[queued.key] = attrs.evolve(queued, hash=row_hash(queued))


def facts_of(machines: Machines, entity: Entity) -> Mapping[str, object]:
    """All facts of the machine's version. A fact that was never set is none."""
    return {name: entity.facts.get(name) for name in machines.at(entity.machine, entity.machine_version).facts}


def with_linked(
    machines: Machines, load: Callable[[list[Ref]], dict[Ref, Entity]], refs: Iterable[Ref]
) -> dict[Ref, Entity]:
    """These entities and all that they link to, with one load for each step along the links."""
    found: dict[Ref, Entity] = {}
    wanted = list(dict.fromkeys(refs))
    seen = set(wanted)
    while wanted:
        loaded = load(wanted)
        found |= loaded
        wanted = []
        for entity in loaded.values():
            for fact, target in machines.at(entity.machine, entity.machine_version).links.items():
                id = entity.facts.get(fact)
                if id is not None and (ref := (target, str(id))) not in seen:
                    seen.add(ref)
                    wanted.append(ref)
    return found

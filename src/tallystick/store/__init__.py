"""Where everything is kept: one protocol, a memory store and SQLite, one contract test over both.

A store knows nothing of money or machines' meaning. Inside a `Transaction` it hands out entities and records,
and takes a `Changes` whole; outside it reads. Two databases are written out side by side, each in plain SQL:
two plain files and one contract are shorter than one clever layer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import attrs

from tallystick.entity import Entity, Entry, Posting, Ref
from tallystick.errors import Invalid, StoreError
from tallystick.machine import Machines


class Record(NamedTuple):
    """An entry as it is kept: one row of the journal."""

    machine: str
    entity: str
    version: int
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
    seq: int = 0  # given by the store

    def __repr__(self) -> str:
        """Without what was said and set: a card number may be among it."""
        did = f"{self.transition} {self.phase}, {self.from_state} → {self.to_state}"
        return f"<Record {self.version} of {self.machine} {self.entity!r}: {did}>"


encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def chained(before: str, fields: tuple[object, ...]) -> str:
    """SHA-256 over the entity's previous hash and this row. Fields hold no line breaks: see `arguments`."""
    text = "\n".join(["" if field is None else str(field) for field in fields])
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


@attrs.frozen
class Stamp:
    """What a command adds to each of its entries."""

    key: str
    fingerprint: str
    at: str
    by: str | None = None
    reason: str | None = None


def record(entry: Entry, entity: Entity, stamp: Stamp, *, first: bool) -> Record:
    """The entry as it is kept; moves the entity's hash on. `first`: it carries the command's key."""
    fields = (
        entry.machine, entry.entity, entry.version, entry.machine_version, entry.transition, entry.command, entry.phase,
        entry.from_state, entry.to_state, encode(entry.args) if entry.args else "{}", _postings(entry.postings),
        encode(entry.facts) if entry.facts else "{}", _amounts(entry.after), entity.currency, entry.call,
        stamp.key if first else None, None if first else stamp.key, stamp.fingerprint if first else None,
        stamp.by, stamp.reason, stamp.at,
    )  # fmt: skip
    entity.hash = chained(entity.hash, fields)
    return Record(*fields, entity.hash)


def _postings(postings: tuple[Posting, ...]) -> str:
    """As JSON. Accounts have names that need no quoting; made by hand this takes a third of the time."""
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
    state: str = "waiting"  # waiting, done, refused, declined, parked, dismissed
    why: str | None = None
    by: str | None = None
    reason: str | None = None
    cause: str | None = None
    note: str | None = None  # who dismissed it or had it tried again, and why


@attrs.define
class Changes:
    """What one transaction writes. Entities, calls and queue rows replace what is there under their key."""

    records: list[Record] = attrs.field(factory=list)
    entities: dict[Ref, Entity] = attrs.field(factory=dict)
    calls: dict[str, CallRow] = attrs.field(factory=dict)
    queue: dict[str, QueueRow] = attrs.field(factory=dict)


class Transaction(Protocol):
    """What the engine may do between begin and commit. Nobody else writes meanwhile."""

    def entities(self, refs: Iterable[Ref]) -> dict[Ref, Entity]: ...
    def keyed(self, keys: Iterable[str]) -> dict[str, Record]: ...
    def caused(self, key: str) -> list[Record]: ...
    def call(self, id: str) -> CallRow | None: ...
    def queued(self, keys: Iterable[str]) -> dict[str, QueueRow]: ...
    def following(self, cause: str) -> list[QueueRow]: ...
    def waiting(self, machine: str, id: str) -> list[QueueRow]: ...
    def linked(self, machine: str, fact: str, id: str) -> list[Entity]: ...
    def taking(self, value: str) -> CallRow | None: ...
    def calls_on(self, machine: str, id: str) -> list[CallRow]: ...
    def write(self, changes: Changes, at: str) -> None: ...


class Store(Protocol):
    """Where everything is kept. All methods may be called from any thread."""

    url: str

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin now as the only writer; commit at the end, or roll back if an exception passes."""

    def joined(self, connection: Any) -> AbstractContextManager[Transaction]:
        """Take part in the caller's own transaction; the caller commits."""

    def reading(self) -> AbstractContextManager[Reading]:
        """One consistent look at everything."""

    def machines(self, machines: Machines) -> Machines:
        """Keep the definitions, make their tables; give them back with all earlier versions kept here."""

    def load(self, name: str) -> str | None:
        """A text that processes share, by name. This, `swap` and `forget` stand outside all transactions."""

    def swap(self, name: str, old: str | None, new: str, until: float | None = None) -> bool:
        """Put `new` in place of `old` (None: nothing); False if it is not `old` any more.

        `until` is when it will say nothing any more, in seconds since 1970.
        """

    def forget(self, now: float) -> None:
        """Drop the shared texts whose time is over."""

    def close(self) -> None: ...


class Reading(Protocol):
    """One consistent look."""

    def entity(self, machine: str, id: str) -> Entity | None: ...
    def entities(self, refs: Iterable[Ref]) -> dict[Ref, Entity]: ...
    def all(self, machine: str) -> Iterator[Entity]: ...
    def keyed(self, keys: Iterable[str]) -> dict[str, Record]: ...
    def caused(self, key: str) -> list[Record]: ...
    def call(self, id: str) -> CallRow | None: ...
    def queued(self, keys: Iterable[str]) -> dict[str, QueueRow]: ...

    def journal(self, machine: str | None = None, id: str | None = None) -> Iterator[Record]:
        """Entries by machine, entity and version; of one machine or one entity if named."""

    def chronicle(self, last: int) -> list[Record]:
        """The newest `last` entries, oldest first."""

    def linked(self, machine: str, fact: str, id: str) -> list[Entity]:
        """Entities of `machine` whose `fact` names `id`; or, of a unique fact, has this value. Found by an index."""

    def taking(self, value: str) -> CallRow | None:
        """The open call that takes this; there is one at most."""

    def calls(self, *, asked_before: str | None = None) -> list[CallRow]:
        """Open calls, oldest first."""

    def calls_on(self, machine: str, id: str) -> list[CallRow]:
        """All calls about one card, oldest first."""

    def all_calls(self) -> Iterator[CallRow]: ...

    def due(self, now: str, limit: int) -> list[QueueRow]:
        """Waiting commands whose time has come, the longest waiting first."""

    def following(self, cause: str) -> list[QueueRow]:
        """Commands that the command with this key has queued."""

    def waiting(self, machine: str, id: str) -> list[QueueRow]:
        """Commands that wait for an entity, the longest waiting first."""

    def queue(self, *, state: str | None = None) -> list[QueueRow]: ...

    def find(self, text: str) -> list[Ref]:
        """Entities with this id, in any machine; or cards with this number."""


State = TypeVar("State", bound=attrs.AttrsInstance)


class StoreCell(Generic[State]):
    """A flat attrs value under one name in the store: a `limits.Cell` that all processes share.

    While the store cannot be reached, this process goes on with what it knows: what only goes easy on a provider is
    no reason to lose the provider's answer.
    """

    def __init__(self, store: Store, name: str, initial: State) -> None:
        self._store, self._name, self._initial = store, name, initial
        self._known = initial

    def load(self) -> State:
        with suppress(StoreError):
            text = self._store.load(self._name)
            self._known = self._initial if text is None else type(self._initial)(**json.loads(text))
        return self._known

    def swap(self, old: State, new: State) -> bool:
        before, after = encode(attrs.asdict(old)), encode(attrs.asdict(new))
        try:
            first = old == self._initial and self._store.swap(self._name, None, after)
            return first or self._store.swap(self._name, before, after)
        except StoreError:
            self._known = new
            return True


def open_store(url: str) -> Store:
    """A store by URL: `memory:`, `sqlite:///books.db` (a relative path), `sqlite:////var/books.db`, or a path.

    Raises:
        Invalid: a URL of another kind.
    """
    if url == "memory:":
        from tallystick.store.memory import MemoryStore

        return MemoryStore()
    scheme, colon, rest = url.partition(":")
    if colon and scheme != "sqlite" and len(scheme) > 1:
        raise Invalid(f"{scheme}: is no store this version knows; use sqlite:///path/to/books.db or memory:")
    path = rest if colon and scheme == "sqlite" else url
    if path.startswith("//") and not path.startswith("///"):
        raise Invalid(
            f"{url!r} has two slashes; write sqlite:///books.db for a relative path, four for an absolute one"
        )
    path = path.removeprefix("///") if path.startswith("///") else path
    if not path or path == ":memory:":
        raise Invalid(f"{url!r} names no file; for a store that is forgotten, use memory:")
    from tallystick.store.sqlite import SqliteStore

    return SqliteStore(path)


def facts_of(machines: Machines, entity: Entity) -> Mapping[str, object]:
    """All facts of the machine's version, those never set as none."""
    return {name: entity.facts.get(name) for name in machines.at(entity.machine, entity.machine_version).facts}

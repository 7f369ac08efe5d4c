"""What a store promises. The contract tests in `tallystick.testing` say the same; anybody's store can run them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.store.rows import CallRow, Changes, QueueRow, Record


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
        """Entries by machine, entity and revision; of one machine or one entity if named."""

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

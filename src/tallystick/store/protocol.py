"""What a store promises.

A store has transactions and looks. `run` does a job between begin and commit. The job first *locks* its entities, then
reads, decides, and writes once, at its end:

    lock        these entities and those they link to; gives their rows, and the entries and queued commands of the keys
    read        calls, what waits, who has a card number: all that belongs to an entity is read under its lock
    write       all changes at once, or none

An entity's lock guards its row, its entries, its calls and the commands that wait for it. What was read before the lock
may have changed meanwhile. Unique indexes guard keys, unique facts, and the values that open calls take.

The contract tests in `tallystick.testing` say the same. Anybody's store can run them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.errors import Conflict, StoreError
from tallystick.store.rows import CallRow, Changes, EntryRow, QueueRow
from tallystick.store.waits import Scheduled, Waits

Done = TypeVar("Done")
BUSY_TIMEOUT = 30.0  # seconds to wait for another process's transaction before StoreBusy
ATTEMPTS = 10  # of a job that meets a Conflict; locks have one order, so a second attempt is rare


UNFINISHED = ("waiting", "refused", "declined", "parked")  # states in the queue that somebody has to do with

# Machine, version, transition, command, phase, from ("": it begins) and to: a step that a page declares
DeclaredStep = tuple[str, int, str, str, str, str, str]


class KeptPage(NamedTuple):
    """A version of a machine, as the store keeps it."""

    name: str
    version: int
    digest: str  # of its behaviour, when it was first seen
    text: str
    seen: str  # when


class Depth(NamedTuple):
    """How much of the queue is not done: what waits for its time, and what waits for a person."""

    by_state: dict[str, int]  # of `UNFINISHED`
    due: int  # of those that wait: their time has come
    oldest: str | None  # the time of the one that waits longest
    dated: int  # of those that wait: their page gave them a time that is still to come


class Found(NamedTuple):
    """What a lock or a look has read."""

    entities: dict[Ref, Entity]  # those asked for and all they link to, as far as they exist
    keyed: dict[str, EntryRow]  # the entry that carries each key
    queued: dict[str, QueueRow]  # the command that waits, or has waited, under each key


def retried(run: Callable[[Callable[[Any], Done]], Done], job: Callable[[Any], Done]) -> Done:
    """The result of a job. It is done again while it meets a Conflict."""
    for _ in range(ATTEMPTS - 1):
        try:
            return run(job)
        except Conflict:  # `suppress` takes a microsecond of each command
            continue
    return run(job)


def read_only_error(url: str) -> StoreError:
    """Of a store that was opened to be read only, and is asked to write."""
    return StoreError(f"the books at {url} were opened to be read only; nothing was written")


UP_TO_DATE = "`tallystick init` brings them up to date, with a role that may make tables"


def older_error(url: str) -> StoreError:
    """Of a store that lacks tables of this version, and may not make them."""
    why = "were made by another version of tallystick, and they are only read here"
    return StoreError(f"the books at {url} {why}; {UP_TO_DATE}")


class Store(Protocol):
    """Where everything is kept. All methods may be called from any thread."""

    url: str
    gapless: bool  # entries are numbered without a gap, so a number that is left out was an entry

    def run(self, job: Callable[[Transaction], Done], *, connection: Any = None) -> Done:
        """Begin, do the job, commit, and give its result. If the job raises, nothing is written.

        After a Conflict with another writer the job is done again from its beginning. So it may change nothing except
        through its transaction. With `connection` it takes part in the caller's own transaction, and the caller
        commits.

        Raises:
            Conflict: another writer was in the way each time.   StoreBusy: another writer did not end in time.
            CommitUnknown: it may be written or not; the same key tells.
            NotInTransaction: `connection` is not one of this store, or has no open transaction.
            StoreError: the database refuses it.
        """

    def reading(self) -> AbstractContextManager[Reading]:
        """One consistent look at everything."""

    def exists(self) -> bool:
        """Whether there are books here, of any version. To ask makes none. Raises StoreError: it cannot be opened."""

    def machines(self, machines: Machines) -> Machines:
        """Keep the definitions and make their tables. Gives them back with all earlier versions that are kept here."""

    def load(self, name: str) -> str | None:
        """A text that processes share, by its name. This, `swap` and `forget` are outside all transactions."""

    def swap(self, name: str, old: str | None, new: str, until: float | None = None) -> bool:
        """Put `new` in place of `old` (None: nothing). False if the text is not `old` any more.

        `until` is the time after which it may be forgotten, in seconds since 1970.
        """

    def forget(self, now: float) -> None:
        """Drop the shared texts whose time is over."""

    def close(self) -> None:
        """Close all connections. If the store is used again, it opens new ones."""


class Swap(NamedTuple):
    """A shared text is to be put in place of another: see `Store.swap`."""

    name: str
    old: str | None
    new: str
    until: float | None


class Lookup(Protocol):
    """What can be read, in a transaction or in a look. In a transaction: of locked entities only."""

    def call(self, id: str) -> CallRow | None: ...

    def calls(self, *, asked_before: str | None = None) -> list[CallRow]:
        """Open calls, oldest first."""

    def late_answers(self) -> list[CallRow]:
        """Closed calls of which the provider said something else later, until a person has dealt with that."""

    def all_calls(self) -> Iterator[CallRow]:
        """Every call, by id."""

    def calls_on(self, machine: str, id: str) -> list[CallRow]:
        """All calls about one card, oldest first."""

    def keyed(self, keys: Iterable[str]) -> dict[str, EntryRow]:
        """The entries that carry these keys."""

    def caused(self, key: str) -> list[EntryRow]:
        """Every other entry that the command with this key has made, in order."""

    def following(self, cause: str) -> list[QueueRow]:
        """Commands that the command with this key has queued."""

    def linked(self, machine: str, fact: str, id: str) -> list[Entity]:
        """Entities of `machine` whose `fact` links to `id`, or is unique or indexed and has this value, by an index."""

    def taking(self, value: str) -> CallRow | None:
        """The open call that takes this value. There is one at most."""

    def claiming(self, transaction: str) -> CallRow | None:
        """The call that claims a transaction of the provider. There is one at most."""

    def shared(self, name: str) -> str | None:
        """A text that processes share, by name. It stays as it is until the transaction ends."""

    def texts(self, names: Sequence[str]) -> dict[str, str]:
        """Those of many shared texts that are there, as they are now. Others may swap them meanwhile."""

    def journal(self, machine: str | None = None, id: str | None = None) -> Iterator[EntryRow]:
        """Entries by machine, entity and revision; of one machine or one entity if named."""

    def chronicle(self, last: int) -> list[EntryRow]:
        """The newest `last` entries, oldest first."""

    def waiting(self, machine: str, id: str) -> list[QueueRow]:
        """Commands that wait for an entity, the longest waiting first."""


class Transaction(Lookup, Protocol):
    """What a job may do between begin and commit."""

    def peek_call(self, id: str) -> CallRow | None:
        """A call as it is now, without a lock. It says whom to lock, and is read again after that."""

    def wait_at_most(self, seconds: float) -> None:
        """How long to wait for each lock from now on. Nothing, where the whole database is locked already."""

    def lock(self, refs: Iterable[Ref], keys: Iterable[str] = ()) -> Found:
        """Keep all others away from these entities and from all they link to, until commit; then read.

        Locks are taken machine by machine, in the order of the links, and by id within a machine. So two jobs that want
        the same locks do not wait for each other. A second lock in one job may end in a Conflict.
        """

    def swap(self, name: str, old: str | None, new: str, until: float | None = None) -> bool:
        """As `Store.swap`, inside this transaction."""

    def swap_all(self, swaps: Sequence[Swap]) -> set[str]:
        """Many swaps at once; the names of those that were done. Not of texts that are read with `shared`."""

    def write(self, changes: Changes, at: str) -> None:
        """Write everything, once, at the end. Raises StoreError or Conflict."""


class Reading(Lookup, Protocol):
    """One consistent look."""

    def look(self, refs: Iterable[Ref], keys: Iterable[str] = ()) -> Found:
        """As `Transaction.lock`, but without locks."""

    def entity(self, machine: str, id: str) -> Entity | None: ...
    def entities(self, refs: Iterable[Ref]) -> dict[Ref, Entity]: ...
    def queued(self, keys: Iterable[str]) -> dict[str, QueueRow]: ...
    def all(self, machine: str) -> Iterator[Entity]: ...

    def standing(self, machine: str, account: str, *, created_before: str | None = None) -> Iterator[Entity]:
        """Entities on whose `account` value stands, the oldest first; by an index, if its page says `indexed`."""

    def page(self, machine: str, *, state: str | None = None, after: str = "", limit: int) -> list[Entity]:
        """Up to `limit` entities whose id comes after this one, by id; of one state, if it is named."""

    def ending(self, end: str, limit: int) -> list[Ref]:
        """Up to `limit` cards whose number ends with this, by id. Also of sealed numbers, whose end is readable."""

    def tail(self, after: str | None, limit: int, *, settled: bool = True) -> tuple[list[EntryRow], str]:
        """Up to `limit` entries after a cursor, and the cursor after them. None: from the first entry on.

        A cursor is a text of the store's own. An entry that is committed later always comes after every cursor that was
        given before. So who reads on from the last cursor misses nothing and gets nothing twice. Without `settled`,
        entries come too that can be seen already, but before which others may still come; their cursor says nothing.

        Raises:
            Invalid: `after` is no cursor of this store.
        """

    def due(self, now: str, limit: int) -> list[QueueRow]:
        """Waiting commands whose time has come, the longest waiting first."""

    def waits(self, which: Waits) -> list[QueueRow]:
        """Some of the commands that wait, by time and key; by an index."""

    def scheduled(self, now: str) -> list[Scheduled]:
        """How many commands wait for a later time of their page, by machine, command and day; by an index."""

    def queue(self, *, state: str | None = None) -> list[QueueRow]:
        """Queued commands, by time; those of one state by an index, unless they were done or laid aside."""

    def all_queued(self) -> Iterator[QueueRow]:
        """Every queued command, by key."""

    def depth(self, now: str) -> Depth:
        """How much of the queue is not done yet, by indexes."""

    def find(self, text: str) -> list[Ref]:
        """Entities with this id, in any machine; or cards with this number."""

    def select(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query in SQL over the tables and views; a `?` for each value. Nothing may be written."""

    def pages(self) -> list[KeptPage]:
        """Every version of every machine that is kept, in the order in which they were seen."""

    def steps(self) -> set[DeclaredStep]:
        """The steps of which one may be an entry."""

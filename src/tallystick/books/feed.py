"""The feed: all entries of the books in the order of their commits, for systems that want to hear of everything.

An order system learns from a receipt what its own commands did. What `recover`, `run_due` or a person did, it hears
here. `tail` gives what comes after a cursor, and a new cursor. Nothing is missed, and nothing comes twice, whoever
writes meanwhile.

A subscriber is a name under which the books keep a cursor. It reads, does its own work, and acknowledges. If it is
killed in between, it is given the same entries again. So its work has to bear that: machine, id and revision
name an entry for ever.
"""

from __future__ import annotations

import attrs

from tallystick.books.history import Entry, typed
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import LONGEST_NAME
from tallystick.errors import Conflict, Invalid
from tallystick.masks import quoted

AT_ONCE = 1000  # entries in one look; with more, a reader keeps too much in memory


@attrs.frozen
class Tail:
    """Entries in the order of their commits, and where they stand."""

    entries: list[Entry]  # oldest first; empty: nothing new has come
    after: str | None  # the cursor that they come after; None: they are the first ones
    cursor: str  # the cursor after them: give it to the next `tail`


def tail(engine: Engine, after: str | None, limit: int) -> Tail:
    """What comes after a cursor. Raises Invalid."""
    if type(limit) is not int or not 1 <= limit <= AT_ONCE:
        raise Invalid(f"limit is a whole number from 1 to {AT_ONCE:,}, not {limit!r:.60}")
    with engine.store.reading() as reading:
        rows, cursor = reading.tail(after, limit)
        return Tail(typed(engine, reading, rows), after, cursor)


@attrs.frozen
class Subscriber:
    """Reads the feed from where this name has acknowledged it, in whatever process."""

    name: str  # under which the books keep its cursor
    _engine: Engine
    _begin: str | None  # where a name begins that has acknowledged nothing yet

    def read(self, limit: int = AT_ONCE) -> Tail:
        """What comes after the last acknowledged entry. Said again, it is given again."""
        acknowledged = self.acknowledged
        return tail(self._engine, self._begin if acknowledged is None else acknowledged, limit)

    @property
    def acknowledged(self) -> str | None:
        """The cursor up to which everything is acknowledged; None: nothing is yet."""
        return self._engine.store.load(self._kept_as)

    def acknowledge(self, tail: Tail) -> None:
        """The work for these entries is done: they are not given again.

        Raises:
            Conflict: somebody else who reads under this name has acknowledged meanwhile; read again.
        """
        before = self.acknowledged
        if tail.after != (self._begin if before is None else before) or not self._swap(before, tail.cursor):
            why = "has been acknowledged from elsewhere since these entries were read; read again"
            raise Conflict(f"the feed of subscriber {quoted(self.name)} {why}")

    def _swap(self, before: str | None, cursor: str) -> bool:
        return self._engine.store.swap(self._kept_as, before, cursor)

    @property
    def _kept_as(self) -> str:
        return f"subscriber/{self.name}"


def subscriber(engine: Engine, name: str, begin: str | None) -> Subscriber:
    """A subscriber by name. Raises Invalid."""
    if not (isinstance(name, str) and name.isprintable() and 1 <= len(name) <= LONGEST_NAME):
        raise Invalid(f"a subscriber's name is a text of 1 to {LONGEST_NAME} printable characters, not {name!r:.60}")
    return Subscriber(name, engine, begin)

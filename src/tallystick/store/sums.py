"""The rows of the kept sums: what has moved each day, what stands now, and what each entity was counted as.

They are made from the journal, up to a cursor of `tail` that stands in the shared text `sums`. Nothing else is made
from them but reports, and they can be made anew at any time. No entry is ever written with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

NAME = "sums"  # of the shared text that says up to where they are


class Flow(NamedTuple):
    """Entries of one day that are alike, or the lines of their postings. A text that is nothing is ''."""

    day: str
    machine: str
    version: int
    command: str
    transition: str
    phase: str
    from_state: str
    to_state: str
    source: str  # '' with `target`: the entries themselves, which may have no postings
    target: str
    elsewhere: int  # 1: by a call that asks about another entity of the machine
    kind: str  # as `marked`; so is `card_set`
    card_set: str
    currency: str


class Standing(NamedTuple):
    """Entities that are alike now, and what stands on one of their accounts."""

    since: str  # which day it is: created, or last (used by a customer; those with value on them alone)
    day: str
    machine: str
    state: str
    kind: str
    card_set: str
    account: str  # '': the entities themselves
    currency: str


class Seen(NamedTuple):
    """How an entity was counted: as it stood after its last entry up to the cursor."""

    machine: str
    entity: str
    revision: int
    state: str
    kind: str
    card_set: str
    created: str
    last: str  # when a customer was last behind it; `created`, if never (`used` is 0)
    used: int
    valued: int  # 1: value stands on it
    currency: str
    after: str  # every account, as JSON


FLOW = ("entries", "amount", "own", "told")  # what is added up; `own` and `told`: of the entries themselves
STANDING = ("entities", "valued", "amount")
SUMS = {  # table → its columns, and those that are added up
    "_flow": ((*Flow._fields, *FLOW), FLOW),
    "_standing": ((*Standing._fields, *STANDING), STANDING),
}
REPLACED = tuple(name for name in Seen._fields if name not in ("machine", "entity", "created", "currency"))


class Counted(NamedTuple):
    """What is added to the sums by some entries."""

    flow: Sequence[tuple[object, ...]]
    standing: Sequence[tuple[object, ...]]
    seen: Sequence[Seen]  # each in place of the one of its entity

    @property
    def sums(self) -> dict[str, Sequence[tuple[object, ...]]]:
        return {"_flow": self.flow, "_standing": self.standing}


@runtime_checkable
class KeepsSums(Protocol):
    """A transaction of a store that keeps sums."""

    def count(self, counted: Counted, *, anew: bool) -> None:
        """Add to the sums. `anew`: those that are there are dropped first."""


def marked(value: object) -> str:
    """A text that may be nothing, as a key: nothing is ''."""
    return "" if value is None else f"={value}"


def adding(table: str, here: str) -> str:
    """What an INSERT does where there is such a row already, which is called `here`."""
    columns, sums = SUMS[table]
    keys = ", ".join(f'"{each}"' for each in columns if each not in sums)
    return f"ON CONFLICT ({keys}) DO UPDATE SET " + ", ".join(
        f'"{each}" = {here}."{each}" + excluded."{each}"' for each in sums
    )


REPLACING = "ON CONFLICT (machine, entity) DO UPDATE SET " + ", ".join(
    f'"{each}" = excluded."{each}"' for each in REPLACED
)

"""What the core speaks of: entities, what is asked of them, and what happened to them.

Entities and entries are small mutable classes, because the core mostly makes them, and a frozen one takes twice as long
to make (measured in `benchmarks/`). Nothing changes one after it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import attrs

from tallystick.definition.machine import Amounts, Row
from tallystick.errors import Invalid
from tallystick.masks import quoted
from tallystick.provider.protocol import Outcome, Result

Ref = tuple[str, str]  # machine, id
CREATE = "create"
NO_CALL = Outcome(Result.CONFIRMED)


class Posting(NamedTuple):
    """Value that moved between two accounts of an entity, or from or to one outside."""

    source: str  # the account it left
    target: str  # the account it came to
    amount: int  # minor units of the entity's currency; always more than 0


@attrs.define
class Entity:
    """One card, one payment. Values are replaced, never changed in place."""

    machine: str
    id: str
    state: str
    revision: int
    machine_version: int
    currency: str
    facts: Mapping[str, object] = attrs.field(repr=False)  # a card number is among them
    accounts: Mapping[str, int]
    calls: int = 0  # calls in flight
    changing: str | None = None  # the transition in flight that will change the state
    hash: str = ""  # of its last entry

    @property
    def ref(self) -> Ref:
        return self.machine, self.id

    def standing(self, account: str) -> int:
        """What stands on an account that another page reads. Raises Invalid: the version of this entity has none."""
        if account not in self.accounts:
            why = f"runs on version {self.machine_version}, which has no account {account!r} to be read"
            raise Invalid(f"{self.machine} {quoted(self.id)} {why}; `tallystick migrate` moves it to one that has")
        return self.accounts[account]


@attrs.define
class Entry:
    """A transition that fired, or a step of it. `phase`: done, asked, confirmed, declined or unavailable."""

    machine: str
    entity: str
    revision: int
    machine_version: int
    transition: str
    command: str
    phase: str
    from_state: str | None
    to_state: str
    args: Mapping[str, object] = attrs.field(repr=False)  # without secrets, and without what was left out
    postings: tuple[Posting, ...]
    facts: Mapping[str, object] = attrs.field(repr=False)  # those that changed
    after: Mapping[str, int]
    call: str | None = None


# (entity, arguments, amounts, accounts afterwards, outcome) → the entity after it, and the entry that says so
Fire = Callable[[Entity, Mapping[str, object], Amounts, Mapping[str, int], Outcome], tuple[Entity, Entry]]


@attrs.define
class Step:
    """One transition of one entity that a command would fire."""

    entity: Entity
    row: Row
    command: str
    args: Mapping[str, object] = attrs.field(repr=False)  # with secrets; cut to `upto`
    amounts: Amounts = ()
    after: Mapping[str, int] = attrs.field(factory=dict)  # accounts once all moves are done
    partial: str | None = None  # the argument of which less may be confirmed
    fire: Fire | None = attrs.field(default=None, eq=False, repr=False)  # what `fast_path` has made for it


@attrs.define
class Asked:
    """The provider's part of an intent."""

    entity: Entity
    verb: str
    args: Mapping[str, object] = attrs.field(repr=False)  # with secrets


@attrs.define
class Intent:
    steps: list[Step]
    asked: Asked | None = None
    now: str = ""

    @property
    def partial(self) -> bool:
        """Whether less may be confirmed."""
        return bool([step for step in self.steps if step.partial])

    @property
    def gives_unique(self) -> bool:
        """Whether an entity would get a fact that it has for itself."""
        return True in [step.row.gives_unique for step in self.steps]


@attrs.define
class Request:
    """What is asked of an entity. Arguments are typed already; amounts are minor units."""

    machine: str
    id: str
    command: str
    args: Mapping[str, object] = attrs.field(repr=False)
    now: str = ""  # the moment in which it is decided, as the books keep moments; nobody asks for it: ""
    due: str | None = None  # of a follow-up: when, if its page says that; None: at once
    after: int = 0  # of a follow-up: in so many seconds


@attrs.define
class Plan:
    """What to write: entities as they will be, the entries that say why, and commands to queue."""

    entities: list[Entity]
    entries: list[Entry]
    then: list[Request] = attrs.field(factory=list)


@attrs.frozen
class InFlight:
    """One step of an open call, as it was set aside."""

    machine: str
    id: str
    transition: str
    command: str
    args: Mapping[str, object] = attrs.field(repr=False)
    amounts: Amounts
    partial: str | None

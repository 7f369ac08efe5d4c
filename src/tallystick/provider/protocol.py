"""The other half of the stick: who performs a call, and what may come back.

A *call* is a request to the provider, opened by an entry and resolved by an entry. `perform` sends it once
and turns every possible end into an `Outcome`, never into an exception:

    confirmed     done, perhaps for less than asked (`amount`)
    declined      the provider said no; nothing was done
    unavailable   surely not done: never connected, or turned away before processing
    unknown       it may have been done; only `look_up`, or a person, can say

`look_up` asks the provider's own record what became of a call; it never repeats the call. Where the whole record of
a card can be read, the provider is an `Observer` too, and both halves can be laid side by side. Who goes easy on
the other side together with a fleet is `Sharing`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable

import attrs


class Result(StrEnum):
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a provider declined, in our words; its own code and text stay beside it."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    WRONG_PIN = "wrong_pin"
    UNKNOWN_CARD = "unknown_card"
    NOT_ACTIVATED = "not_activated"
    SUSPENDED = "suspended"
    CARD_SET_EXHAUSTED = "card_set_exhausted"
    OVER_LIMIT = "over_limit"
    OTHER = "other"


@attrs.frozen
class Outcome:
    """What became of a call. Amounts are minor units of the card's currency."""

    result: Result
    reference: str | None = None  # the provider's transaction id: names a hold or a redemption later
    request: str | None = None  # the provider's id of the request
    amount: int | None = None  # confirmed amount, where the provider says one; None: as asked
    available: int | None = None  # the card's spendable balance afterwards, where the provider says it
    number: str | None = attrs.field(default=None, repr=False)  # allocate: the card number
    pin: str | None = attrs.field(default=None, repr=False)  # allocate: handed on once, never stored
    reason: Reason | None = None
    code: str | None = None
    text: str | None = None


@attrs.frozen
class CardFacts:
    """The card a call is about, as our books know it."""

    id: str
    currency: str
    number: str | None = attrs.field(default=None, repr=False)
    card_set: str | None = None
    form: str | None = None
    kind: str | None = None


@attrs.frozen
class Call:
    """One request to the provider. `id` is ours, unique, and the same on every attempt of it."""

    id: str
    verb: str
    card: CardFacts
    args: Mapping[str, object] = attrs.field(repr=False)  # money as minor units; a scanned number
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # a PIN; in memory only
    order: str | None = None
    opened_at: datetime | None = None
    asked_at: datetime | None = None  # the last time it was sent
    attempt: int = 1
    # Of a call whose answer is not known, what else our books know of the card:
    claimed: Collection[str] = ()  # references and request ids that are accounted for already
    in_doubt: Sequence[Call] = ()  # the other calls whose answer is not known


@attrs.frozen
class NotSeen:
    """The provider's record shows no trace of the call."""

    evidence: str = ""


@attrs.frozen
class Ambiguous:
    """The provider's record fits the call in more than one way: a person decides on `evidence`."""

    evidence: str


class Provider(Protocol):
    """What a provider must do. `local` providers answer inside the transaction, from our own books."""

    @property
    def name(self) -> str: ...

    @property
    def local(self) -> bool: ...

    def perform(self, call: Call) -> Outcome:
        """Send the call once. Every failure is an outcome; nothing is raised."""

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        """Say from the provider's own record what became of the call, less what `call.claimed` accounts for."""


# The provider's record of one card, for whom it can be read


@attrs.frozen
class Line:
    """One line of a card's history. `amount`: what the card became worth more or less; a hold is 0, None not shown."""

    id: str
    request: str | None
    at: datetime
    amount: int | None
    moves: bool = True  # it is about money; not, such as a change of address
    place: str | None = None  # where it was asked for, in the provider's words
    ours: bool | None = None  # whether that is where we ask from; None: not said


@attrs.frozen
class Observed:
    """A card as the provider has it. Amounts are minor units of the currency it was asked about."""

    available: int = 0  # net of holds
    holds: Mapping[str, int] = attrs.field(factory=dict)  # open ones: their id to what they hold
    lines: Sequence[Line] = ()  # the newest first
    complete: bool = True  # not: lines older than these were not read
    known: bool = True  # not: the provider has no such card


@attrs.frozen
class Unread:
    """The record could not be read; it says nothing, then, not even that there is nothing."""

    why: str


@runtime_checkable
class Observer(Protocol):
    """A provider whose record of a card can be read whole."""

    def observe(self, card: CardFacts) -> Observed | Unread:
        """Read what a card carries, and then what happened on it. Changes nothing, raises nothing."""


# What the processes of a fleet know together

State = TypeVar("State")


class Cell(Protocol[State]):
    """Where a small value is kept, by one process or for all of them."""

    def load(self) -> State: ...

    def swap(self, old: State, new: State) -> bool:
        """Put `new` in place of `old`; False if it is not `old` any more."""


class Cells(Protocol):
    """Cells by name, of all processes on the same books. The values are flat attrs classes."""

    def __call__(self, name: str, initial: State) -> Cell[State]: ...


@runtime_checkable
class Sharing(Protocol):
    """A provider that a fleet goes easy on together, such as by one circuit breaker."""

    def share(self, cells: Cells) -> None:
        """Keep what is to be known by all in these cells from now on."""

"""What a provider promises: it performs calls, and says what became of them.

A *call* is one request to the provider. An entry opens it and another entry closes it. `perform` sends it once. Every
possible end is an `Outcome`, never an exception:

    confirmed     done, perhaps for less than was asked (`amount`)
    declined      the provider said no; nothing was done
    unavailable   surely not done: never connected, or turned away before it was processed
    unknown       it may have been done; only `look_up`, or a person, can say

`look_up` reads the provider's own record to say what became of a call. It never repeats the call. A provider whose
whole record of a card can be read is an `Observer` too: then our books can be compared with it, and it is asked what is
available before they refuse. A provider whose limits count for all processes together is `Sharing` too, one that checks
PINs is `ChecksPins`, one that does a call once, however often it is sent, is `Repeating`, and one that can do more than
others is `Able`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable

import attrs


class Result(StrEnum):
    """How a call ended: see the head of this file."""

    CONFIRMED = "confirmed"
    DECLINED = "declined"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a provider declined, in our words. Its own code and text are kept too."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    WRONG_PIN = "wrong_pin"
    UNKNOWN_CARD = "unknown_card"
    NOT_ACTIVATED = "not_activated"
    SUSPENDED = "suspended"
    CARD_SET_EXHAUSTED = "card_set_exhausted"
    OVER_LIMIT = "over_limit"
    OTHER = "other"


@attrs.frozen(slots=False)  # without slots, a frozen value is made in half the time
class Outcome:
    """What became of a call. Amounts are minor units of the card's currency."""

    result: Result  # confirmed, declined, unavailable or unknown
    reference: str | None = None  # the provider's transaction id, of no other call; it names a hold or redemption later
    request: str | None = None  # the provider's id of the request
    amount: int | None = None  # the confirmed amount, if the provider says one; None: as asked
    available: int | None = None  # on the card afterwards, if the provider says it: our books believe it
    number: str | None = attrs.field(default=None, repr=False)  # allocate: the card number
    pin: str | None = attrs.field(default=None, repr=False)  # allocate: the PIN; it is handed on once and never stored
    reason: Reason | None = None  # why it was declined, in our words
    code: str | None = None  # the same as the provider's own code
    text: str | None = None  # and as its own text; for a person
    has_pin: bool | None = None  # allocate: whether the card has a PIN, if that is known

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, which is that of the transaction unless it says another."""
        return self.request or self.reference


@attrs.frozen
class CardFacts:
    """The card a call is about, as our books know it."""

    id: str  # in our books
    currency: str
    number: str | None = attrs.field(default=None, repr=False)
    card_set: str | None = None  # the set that an electronic card is drawn from
    form: str | None = None  # electronic or physical
    kind: str | None = None  # gift, promo or merchandise_credit


@attrs.frozen
class Call:
    """One request to the provider. The `id` is ours. All attempts of the call have the same one."""

    id: str
    verb: str  # one of `VERBS`
    card: CardFacts
    args: Mapping[str, object] = attrs.field(repr=False)  # money as minor units; a scanned number
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # a PIN; in memory only
    order: str | None = None  # the order that it is for
    opened_at: datetime | None = None
    asked_at: datetime | None = None  # the last time it was sent
    attempt: int = 1  # which sending of it this is
    # What else our books know of the card, if the outcome of the call is unknown:
    claimed: Collection[str] = ()  # references and request ids that belong to other calls
    in_doubt: Sequence[Call] = ()  # the other calls whose outcome is unknown


@attrs.frozen
class NotSeen:
    """The provider's record shows no trace of the call."""

    evidence: str = ""  # what was read, for a person


@attrs.frozen
class Ambiguous:
    """The provider's record does not decide: a person does, by the `evidence`.

    `later`: it could not be read, or it is too early. The next look-up may decide.
    """

    evidence: str
    later: bool = False


class Provider(Protocol):
    """What a provider must do. `local` providers answer inside the transaction, from our own books."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    @property
    def local(self) -> bool:
        """Whether it answers from our own books."""

    def perform(self, call: Call) -> Outcome:
        """Send the call once. Every failure is an outcome. Raises nothing."""

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        """Say what became of the call, by the provider's own record without what `call.claimed` names."""


# The provider's record of one card, if it can be read


@attrs.frozen
class Line:
    """One line of a card's history. `amount`: how the card's worth changed. A hold is 0. None: it is not shown."""

    id: str  # the provider's transaction id
    request: str | None  # the provider's id of the request
    at: datetime
    amount: int | None
    moves: bool = True  # False: it is not about money, such as a change of address
    place: str | None = None  # where the request came from, in the provider's words
    ours: bool | None = None  # whether that is our location; None: it is not shown


@attrs.frozen
class Observed:
    """A card as the provider has it. Amounts are minor units of the currency it was asked about."""

    available: int = 0  # without what is held
    holds: Mapping[str, int] = attrs.field(factory=dict)  # the open holds: id → amount
    lines: Sequence[Line] = ()  # the newest first
    complete: bool = True  # False: older lines were not read
    known: bool = True  # False: the provider has no such card


@attrs.frozen
class Unread:
    """The record could not be read. That says nothing, also not that the card has no lines."""

    why: str


@runtime_checkable
class Observer(Protocol):
    """A provider that can read the whole record of a card."""

    def observe(self, card: CardFacts, *, history: bool = True) -> Observed | Unread:
        """Read what a card carries, then its `history` if that is wanted. Changes nothing and raises nothing."""


# What the processes of a fleet share

State = TypeVar("State")


class Cell(Protocol[State]):
    """A place for a small value, in one process or shared by all."""

    def load(self) -> State:
        """The value now."""

    def swap(self, old: State, new: State) -> bool:
        """Put `new` in place of `old`. False if the value is not `old` any more."""


class Cells(Protocol):
    """Gives a cell by its name. All processes with the same books share it. Values are flat attrs classes."""

    def __call__(self, name: str, initial: State) -> Cell[State]: ...


@runtime_checkable
class ChecksPins(Protocol):
    """A provider whose cards have PINs, which it checks. Without them, a card is used as the PIN policy says."""

    def needs_pin(self, number: str) -> bool:
        """Whether a card with this number has a PIN, as far as its number tells."""


@runtime_checkable
class Repeating(Protocol):
    """A provider that does a call once, however often it is sent under its id, and repeats its first answer."""

    def may_repeat(self, call: Call) -> bool:
        """Whether that is so of this call now: a lost one may be sent again, done or not."""


@runtime_checkable
class Identified(Protocol):
    """A provider of which there are several under one name, such as one for each brand. Books belong to one of them."""

    @property
    def identity(self) -> str:
        """Which one: short text for people, the same whenever it is the same money, without secrets."""


@runtime_checkable
class Able(Protocol):
    """A provider that says what it can do beyond what all can."""

    @property
    def abilities(self) -> Collection[str]:
        """Some of `ABILITIES`."""


@runtime_checkable
class Placed(Protocol):
    """A provider that is told where a call comes from."""

    @property
    def place(self) -> tuple[str, str]:
        """The location and the terminal that its calls name."""


@runtime_checkable
class Clocked(Protocol):
    """A provider with a clock of its own, such as a rehearsal's: the books that are opened with it go by it."""

    def clock(self) -> datetime:
        """The time, with a time zone."""


@runtime_checkable
class Sharing(Protocol):
    """A provider whose limits count for all processes together, such as one circuit breaker."""

    def share(self, cells: Cells) -> None:
        """From now on, keep in these cells what all processes have to know."""

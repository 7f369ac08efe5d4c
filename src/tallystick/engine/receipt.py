"""What goes into the engine and what comes out: a command, and its receipt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import attrs

from tallystick.core.arguments import LONGEST
from tallystick.core.entity import Posting
from tallystick.core.refusal import Refusal
from tallystick.errors import Invalid, NotFound, TallystickError, quoted
from tallystick.money import Money
from tallystick.provider.protocol import Outcome

LONGEST_NAME = 200  # characters of a key, an id, a name
FOLLOWS = ">"  # in a follow-up's key: the key it follows, this, and the command


class Ended(StrEnum):
    """How a command ended, as far as is known."""

    APPLIED = "applied"
    DEFERRED = "deferred"  # it waits in the queue for its time
    REFUSED = "refused"  # by the machine; nothing was written, the key is free
    DECLINED = "declined"  # by the provider; the value is back
    UNAVAILABLE = "unavailable"  # surely not done; the same key may be sent again
    IN_DOUBT = "in_doubt"  # the answer is not known; the value stands in `in_doubt`
    PENDING = "pending"  # written in the caller's transaction; the provider is asked after its commit


@attrs.frozen
class Command:
    """One intention of the caller. `key` names it for ever; `args` are as the caller has them."""

    machine: str
    id: str = attrs.field(repr=quoted)
    command: str
    args: Mapping[str, object] = attrs.field(factory=dict, repr=False)  # a PIN may be among them
    key: str = ""
    by: str | None = None
    reason: str | None = None
    due: datetime | None = None  # later: it is queued, not executed


@attrs.frozen
class Receipt:
    """What became of a command. Amounts are minor units of `currency`, of the entity it was given to."""

    result: Ended
    key: str = attrs.field(repr=quoted)
    machine: str
    id: str = attrs.field(repr=quoted)
    command: str
    state: str | None = None
    currency: str | None = None
    before: Mapping[str, int] = attrs.field(factory=dict)
    after: Mapping[str, int] = attrs.field(factory=dict)
    postings: tuple[Posting, ...] = ()
    transition: str | None = None
    outcome: Outcome | None = None
    call: str | None = None  # the call to the provider, if one was made
    follow_ups: tuple[str, ...] = ()  # keys of the commands queued by this one
    refusal: Refusal | None = None
    why: str = ""
    replayed: bool = False  # the key was seen before; this is what became of it then
    pin: str | None = attrs.field(default=None, repr=False)  # handed out once, never stored
    followed: tuple[Receipt, ...] = ()  # of the follow-ups that were executed at once, in their order

    @property
    def last(self) -> Receipt:
        """The receipt of the last thing that happened: a follow-up's, or this one."""
        return next((each for each in self.followed[::-1] if each.applied), self)

    @property
    def drawn(self) -> str | None:
        """The PIN of a card that was drawn, by this command or by what followed it at once."""
        return next((each.pin for each in (self, *self.followed) if each.pin), None)

    def money(self, account: str) -> Money:
        """What stands on an account after the command."""
        if account not in self.after or self.currency is None:
            raise NotFound("account", account, list(self.after))
        return Money(self.after[account], self.currency)

    @property
    def applied(self) -> bool:
        return self.result is Ended.APPLIED

    def or_raise(self) -> Receipt:
        """The receipt of what was applied or deferred; anything else as its exception.

        Raises:
            NotFound: it was refused because something that it names does not exist.
            Refused, Declined, Unavailable, InDoubt: as its `result` says.
        """
        match self.result:
            case Ended.REFUSED:
                if self.refusal is not None:
                    raise_if_missing(self.refusal)
                raise Refused(self)
            case Ended.DECLINED:
                raise Declined(self)
            case Ended.UNAVAILABLE:
                raise Unavailable(self)
            case Ended.IN_DOUBT:
                raise InDoubt(self)
            case Ended.PENDING:
                raise Pending(self)
        return self


class Answered(TallystickError):
    """A command was considered and did not end as applied. Catch this to catch all that have a receipt."""

    receipt: Receipt  # everything that is known

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt
        super().__init__(receipt.why)


class Refused(Answered):
    """The machine says no; `receipt.refusal` says why and what it would take.

    Nothing moved, and the key is still free: it may be sent again, and is decided anew. HTTP 409.
    """


class Declined(Answered):
    """The provider says no; `receipt.outcome` has its reason.

    The value is back where it was. The same key gives the same answer for ever: another try needs a new key. HTTP 402.
    """


class Unavailable(Answered):
    """The provider was not reached, and surely did nothing.

    The value is back where it was. Send the same key again: it is tried anew. HTTP 503.
    """


class InDoubt(Answered):
    """The request was sent, and its answer is not known: the provider may have done it.

    The value stands in `in_doubt`, neither spent nor free, until `recover()` or a person ends it. Never ask for the
    same thing under a new key. The same key moves nothing: it says what is known by then. HTTP 202.
    """


class Pending(Answered):
    """It stands in the caller's own transaction and was not sent yet: commit, then `send(receipt.call)`.

    The value stands in `in_doubt` meanwhile; `recover()` sends it too, after a grace. The same key moves nothing.
    HTTP 202.
    """


class ShortApproval(Answered):
    """Less was approved than asked for, and `allow_partial` was not said: what was approved is given back.

    A new key asks anew. If the giving back is in doubt, `receipt` is that of the giving back, and in doubt.
    """


class GivenBack(Answered):
    """What this key once held was given back since, so it holds nothing now. A new key holds anew."""


@attrs.frozen
class Answer:
    """What `may()` says: whether a command would be taken now, what it would move, or why not."""

    allowed: bool
    state: str | None = None  # after it
    transition: str | None = None
    postings: tuple[Posting, ...] = ()
    refusal: Refusal | None = None

    def __bool__(self) -> bool:
        return self.allowed


def raise_if_missing(refusal: Refusal) -> None:
    """Raises NotFound, if the refusal is about something that does not exist."""
    missing = refusal.missing
    if missing is not None:
        raise NotFound(missing.machine, missing.id, why=refusal.why)


def checked(command: Command) -> None:
    """Refuse what can be no command.

    Raises:
        Invalid: no key, id or name; a key of the form kept for follow-ups; text that is too long or unprintable.
    """
    _text("machine", command.machine)
    _text("id", command.id)
    _text("command", command.command)
    _text("key", command.key)
    if FOLLOWS in command.key:
        raise Invalid(f"key {command.key!r} has a {FOLLOWS!r}, which marks the keys of follow-ups")
    if command.by is not None:
        _text("by", command.by)
    if command.reason is not None:
        _text("reason", command.reason, longest=LONGEST)
    if command.due is not None and not isinstance(command.due, datetime):
        raise Invalid(f"due is a datetime with a time zone, not {command.due!r:.60}")
    if not isinstance(command.args, Mapping) or not all(isinstance(name, str) for name in command.args):
        raise Invalid("args has to be a mapping of names to values")


def _text(name: str, text: object, longest: int = LONGEST_NAME) -> None:
    if not isinstance(text, str) or not 0 < len(text) <= longest or not text.isprintable():
        raise Invalid(f"{name} has to be a printable text of 1 to {longest} characters, not {text!r:.60}")

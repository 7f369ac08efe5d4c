"""What goes into the engine and what comes out: a command, and its receipt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import attrs

from tallystick.entity import Posting
from tallystick.errors import Declined, InDoubt, Invalid, Refused, Unavailable, nearest
from tallystick.money import Money
from tallystick.provider import Outcome
from tallystick.refusal import Refusal
from tallystick.store import encode

FOLLOWS = ">"  # in a follow-up's key: the key it follows, this, and the command


class Ended(StrEnum):
    """How a command ended, as far as is known."""

    APPLIED = "applied"
    DEFERRED = "deferred"  # it waits in the queue for its time
    REFUSED = "refused"  # by the machine; nothing was written, the key is free
    DECLINED = "declined"  # by the provider; the value is back
    UNAVAILABLE = "unavailable"  # surely not done; the same key may be sent again
    IN_DOUBT = "in_doubt"  # the answer is not known; the value stands in `in_doubt`


@attrs.frozen
class Command:
    """One intention of the caller. `key` names it for ever; `args` are as the caller has them."""

    machine: str
    id: str
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
    key: str
    machine: str
    id: str
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

    def money(self, account: str) -> Money:
        """What stands on an account after the command."""
        if account not in self.after or self.currency is None:
            raise Invalid(f"this receipt has no account {account!r}.{nearest(account, list(self.after))}")
        return Money(self.after[account], self.currency)

    @property
    def applied(self) -> bool:
        return self.result is Ended.APPLIED

    def or_raise(self) -> Receipt:
        """The receipt of what was applied or deferred; anything else as its exception."""
        match self.result:
            case Ended.REFUSED:
                raise Refused(self)
            case Ended.DECLINED:
                raise Declined(self)
            case Ended.UNAVAILABLE:
                raise Unavailable(self)
            case Ended.IN_DOUBT:
                raise InDoubt(self)
        return self


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


def fingerprint(machine: str, id: str, command: str, args: Mapping[str, object]) -> str:
    """What a key stands for. Secrets are left out: even the digest of a PIN would give it away."""
    return hashlib.sha256(encode([machine, id, command, args]).encode()).hexdigest()


def checked(command: Command) -> None:
    """Refuse what can be no command.

    Raises:
        Invalid: no key, id or command; a key of the form kept for follow-ups; unprintable text.
    """
    for name, text in (("key", command.key), ("id", command.id), ("by", command.by), ("reason", command.reason)):
        if text is None and name in ("by", "reason"):
            continue
        if not isinstance(text, str) or not text or len(text) > 1000 or not text.isprintable():
            raise Invalid(f"{name} has to be a printable text of 1 to 1000 characters, not {text!r:.60}")
    if not isinstance(command.args, Mapping):
        raise Invalid(f"args has to be a mapping of names to values, not {type(command.args).__name__}")


def stamp(moment: datetime) -> str:
    """A moment as the store keeps it: UTC to the millisecond, so that text sorts as time does."""
    if moment.tzinfo is None:
        raise Invalid(f"{moment} has no time zone; give one, such as timezone.utc")
    from datetime import timezone

    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

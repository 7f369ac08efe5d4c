"""What goes into the engine and what comes out: a command, and its receipt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import attrs

from tallystick.core.arguments import LONGEST
from tallystick.core.entity import Posting
from tallystick.core.notebook import Line, named, table
from tallystick.core.refusal import Refusal
from tallystick.errors import Invalid, NotFound, TallystickError
from tallystick.masks import quoted
from tallystick.money import Money
from tallystick.provider.protocol import Outcome

LONGEST_NAME = 200  # characters of a key, an id, a name
FOLLOWS = ">"  # in a follow-up's key: the key it follows, this, and the command


class Ended(StrEnum):
    """How a command ended, as far as is known."""

    APPLIED = "applied"  # it is done
    DEFERRED = "deferred"  # it waits in the queue for its time
    REFUSED = "refused"  # by the machine; nothing was written, the key is free
    DECLINED = "declined"  # by the provider; the value is back
    UNAVAILABLE = "unavailable"  # surely not done; the same key may be sent again
    IN_DOUBT = "in_doubt"  # the answer is not known; the value stands in `in_doubt`
    PENDING = "pending"  # written in the caller's transaction; the provider is asked after its commit


Secrets = Mapping[str, Mapping[str, str]]


@attrs.frozen(slots=False)  # without slots, a frozen value is made in half the time
class Command:
    """One intention of the caller."""

    machine: str  # of which page it is a command
    id: str = attrs.field(repr=quoted)  # of the entity it is given to
    command: str  # its name on that page, or "create"
    args: Mapping[str, object] = attrs.field(factory=dict, repr=False)  # amounts as Money or text; a PIN may be here
    key: str = ""  # names the intention for ever: said again, it is not done again
    by: str | None = None  # who gives it
    reason: str | None = None  # why
    due: datetime | None = None  # later: it is queued until then, not executed; with a time zone
    secrets: Secrets = attrs.field(factory=dict, repr=False)  # by the id of a part: a PIN for what follows there
    occurred_at: datetime | None = None  # when it happened, if that was before now; with a time zone


class Move(NamedTuple):
    """Value that moved from one account to another."""

    source: str  # an account of the entity, or one outside
    target: str  # likewise
    amount: Money  # more than zero


@attrs.frozen(slots=False)
class Receipt:
    """What became of a command."""

    result: Ended  # how it ended, as far as is known
    key: str = attrs.field(repr=quoted)  # of the command
    machine: str  # of the entity it was given to, as are all fields up to `transition`
    id: str = attrs.field(repr=quoted)  # of the entity
    command: str  # its name
    state: str | None = None  # of the entity, after it
    currency: str | None = None  # of all amounts here; None if nothing was written
    before_minor: Mapping[str, int] = attrs.field(factory=dict)  # what stood on each account, in minor units
    after_minor: Mapping[str, int] = attrs.field(factory=dict)  # what stands there now, in minor units
    postings: tuple[Posting, ...] = ()  # what moved between them, in minor units
    transition: str | None = None  # the one that fired
    outcome: Outcome | None = None  # what the provider answered, if it was asked
    call: str | None = None  # the id of the call to the provider, if one was made
    follow_ups: tuple[str, ...] = ()  # keys of the commands queued by this one
    refusal: Refusal | None = None  # why the machine refused
    why: str = ""  # why it did not end as applied, in a sentence
    replayed: bool = False  # the key was seen before; this is what became of it then
    pin: str | None = attrs.field(default=None, repr=False)  # handed out once, never stored
    followed: tuple[Receipt, ...] = ()  # of the follow-ups that were executed at once, in their order

    @property
    def before(self) -> dict[str, Money]:
        """What stood on each account of the entity before the command. Empty if nothing was written."""
        return self._money(self.before_minor)

    @property
    def after(self) -> dict[str, Money]:
        """What stands on each account of the entity after the command. Empty if nothing was written."""
        return self._money(self.after_minor)

    @property
    def moves(self) -> tuple[Move, ...]:
        """What moved between the accounts. Empty if nothing did."""
        return tuple(Move(source, target, Money(minor, str(self.currency))) for source, target, minor in self.postings)

    def _money(self, accounts: Mapping[str, int]) -> dict[str, Money]:
        return {name: Money(minor, str(self.currency)) for name, minor in accounts.items()}

    @property
    def last(self) -> Receipt:
        """The receipt of the last thing that happened: a follow-up's, or this one."""
        return next((each for each in self.followed[::-1] if each.applied), self)

    @property
    def drawn(self) -> str | None:
        """The PIN of a card that was drawn, by this command or by what followed it at once."""
        return next((each.pin for each in (self, *self.followed) if each.pin), None)

    def money(self, account: str) -> Money:
        """What stands on one account after the command: `after[account]`.

        Raises:
            NotFound: there is no such account, or nothing was written.
        """
        if account not in self.after_minor or self.currency is None:
            raise NotFound("account", account, list(self.after_minor))
        return Money(self.after_minor[account], self.currency)

    def _repr_html_(self) -> str:
        """For a notebook; without the PIN."""
        before, moved = self.before, tuple(f"{each.source} → {each.target} {each.amount}" for each in self.moves)
        stands = tuple(
            f"{name} {amount}" + (f", before {before[name]}" if before.get(name, amount) != amount else "")
            for name, amount in self.after.items()
            if amount or before.get(name)
        )
        lines: list[Line] = [
            ("state", self.state), ("transition", self.transition), ("moved", moved), ("stands", stands),
            ("why", self.why), ("call", self.call), ("key", self.key), ("follow-ups", self.follow_ups),
        ]  # fmt: skip
        said = f"{self.result.value}{' before' if self.replayed else ''}"
        shown = table(f"{named(self.machine, self.id)}: {self.command} {said}", lines)
        return shown + (self.refusal._repr_html_() if self.refusal is not None else "")

    @property
    def applied(self) -> bool:
        """Whether the command is done."""
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

    The value goes back to the card. The same key says so again; a new key asks anew. HTTP 402.
    """


class GivenBack(Answered):
    """What this key once held or took was given back since.

    The value is back on the card, and nothing moved now. The same key says so for ever; a new key holds anew. HTTP 409.
    """


class Unfinished(Answered):
    """Written down, and done for some of its parts only; `receipt.followed` has the answer of each.

    The value of a part that is not done is where it was. What it has to do waits in the queue: for the provider
    (`waiting`), or for a person (`stuck`). The same key does nothing twice, and tells how it stands then. HTTP 202.
    """


@attrs.frozen
class Answer:
    """What `may()` says: whether a command would be taken now, what it would move, or why not. True if it would."""

    allowed: bool  # whether it would be taken
    state: str | None = None  # of the entity after it; of a refused one, now
    transition: str | None = None  # the one that would fire
    postings: tuple[Posting, ...] = ()  # what would move, in minor units
    refusal: Refusal | None = None  # why it would be refused

    def __bool__(self) -> bool:
        return self.allowed


def raise_if_missing(refusal: Refusal) -> None:
    """Raises NotFound, if the refusal is about something that does not exist."""
    missing = refusal.missing
    if missing is not None:
        raise NotFound(missing.machine, missing.id, why=refusal.why)


def about_what_exists(answer: Answer) -> Answer:
    """An answer about things that exist. Raises NotFound."""
    if answer.refusal is not None:
        raise_if_missing(answer.refusal)
    return answer


def checked(command: Command) -> None:
    """Refuse what can be no command.

    Raises:
        Invalid: no key, id or name; a key of the form kept for follow-ups; text that is too long or unprintable.
    """
    for text in (command.machine, command.id, command.command, command.key):
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
            _unreadable(command)
    if FOLLOWS in command.key:
        raise Invalid(f"key {command.key!r} has a {FOLLOWS!r}, which marks the keys of follow-ups")
    if command.by is not None:
        _text("by", command.by)
    if command.reason is not None:
        _text("reason", command.reason, longest=LONGEST)
    if command.due is not None and not isinstance(command.due, datetime):
        raise Invalid(f"due is a datetime with a time zone, not {command.due!r:.60}")
    if command.occurred_at is not None and command.due is not None:
        raise Invalid("due says when it will happen and occurred_at when it did; give one of them")
    args = command.args
    mapping = type(args) is dict or isinstance(args, Mapping)  # the second question takes its time
    if not mapping or [name for name in args if not isinstance(name, str)]:
        raise Invalid("args has to be a mapping of names to values")


def _unreadable(command: Command) -> None:
    for name in ("machine", "id", "command", "key"):
        _text(name, getattr(command, name))


def _text(name: str, text: object, longest: int = LONGEST_NAME) -> None:
    if not isinstance(text, str) or not 0 < len(text) <= longest or not text.isprintable():
        raise Invalid(f"{name} has to be a printable text of 1 to {longest} characters, not {text!r:.60}")

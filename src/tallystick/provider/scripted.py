"""A provider that follows a script: for rehearsals, fuzzing, and replaying what went wrong.

Each *reply* says what it does with the next call, and what it answers:

    confirmed     does it and says so; `{"confirmed": "3.00"}`: this much of it
    declined      does nothing and says so
    unavailable   turns the request away and does nothing
    lost_before   does nothing, and no answer comes
    lost_after    does it, and no answer comes; `{"lost_after": "3.00"}`: this much of it
    crash_before  as lost_before, and the caller dies while it waits (`Crash`)
    crash_after   as lost_after, and the caller dies while it waits

Replies to the next look-up are `found` (what its books say), `ambiguous` and `silent` (no answer). Without a reply it
confirms a call, and a look-up finds it. It has true books of its own: `done` lists what was done, whatever it answered,
and `halves` says what that leaves of each card. So a test can compare them with ours. It does what it is asked, even
what no provider would do; that is `odd` in what it has done. It has a clock of its own too, which stands still until
somebody moves it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone

import attrs

from tallystick import money
from tallystick.errors import Invalid, nearest
from tallystick.provider.half import NOTHING, Change, Half
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Reason, Result

PERFORMED = ("confirmed", "declined", "unavailable", "lost_before", "lost_after", "crash_before", "crash_after")
LOOKED_UP = ("found", "ambiguous", "silent")
IN_PART = ("confirmed", "lost_after", "crash_after")  # replies to calls that it does, perhaps for less
BEGINS = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Crash(BaseException):
    """The caller has died. No handler of errors may take this for an answer."""


class Silent(Exception):
    """No answer came."""


@attrs.frozen
class Reply:
    """What the provider does next."""

    kind: str  # one of PERFORMED or LOOKED_UP
    amount: int | str | None = None  # if less than was asked: minor units, or text until the currency is known

    @classmethod
    def read(cls, written: object) -> Reply:
        """Read a reply as it stands in a script. Raises Invalid."""
        kind, amount = written, None
        if isinstance(written, dict) and len(written) == 1:
            ((kind, amount),) = written.items()
        known = (*PERFORMED, *LOOKED_UP)
        if not isinstance(kind, str) or kind not in known:
            hint = nearest(kind, known) if isinstance(kind, str) else ""
            raise Invalid(f"{written!r:.60} is not a reply of a provider.{hint} It is one of: {', '.join(known)}.")
        if isinstance(written, dict) and (kind not in IN_PART or not isinstance(amount, str)):
            raise Invalid(
                f'{written!r:.60}: write the amount as a text such as "3.00", and only with {" or ".join(IN_PART)}'
            )
        return cls(kind, amount)

    def plain(self, currency: str) -> object:
        """The reply as it stands in a script."""
        if self.amount is None:
            return self.kind
        return {self.kind: self.amount if isinstance(self.amount, str) else money.to_text(self.amount, currency)}

    def minor(self, currency: str) -> int | None:
        """The amount in minor units; None for as much as was asked."""
        return money.parse(self.amount, currency) if isinstance(self.amount, str) else self.amount


@attrs.frozen
class Done:
    """One line of the provider's books: what was done for a call."""

    call: str  # its id
    verb: str
    card: str  # the card's id
    args: Mapping[str, object]
    amount: int | None  # minor units; None if the call has no amount
    reference: str
    number: str | None = None  # of a new card
    times: int = 1  # how often it was done; more than once is a fault of ours
    change: Change = NOTHING  # what it did to the card's half


class ScriptedProvider:
    """Replies from `script`, or from `next_reply` if that is set."""

    name = "scripted"
    local = False

    def __init__(self) -> None:
        self.done: dict[str, Done] = {}  # its books: by the id of the call
        self.halves: dict[str, Half] = {}  # what it knows of each card, by the card's id
        self.script: deque[Reply] = deque()  # its replies to the next calls
        self.look_ups: deque[Reply] = deque()  # its replies to the next look-ups
        self.next_reply: Callable[[Call, bool], Reply | None] = self._from_script  # of a call, or a look-up (True)
        self.contacts: list[tuple[Call, Reply]] = []  # every call and look-up so far, with the reply to it
        self._now = BEGINS

    # Time

    def clock(self) -> datetime:
        """The time, which stands still until `wait` moves it."""
        return self._now

    def wait(self, seconds: float) -> None:
        """Move the time on."""
        self._now += timedelta(seconds=seconds)

    # Script

    def reply_with(self, replies: Iterable[Reply]) -> None:
        """Take these replies for the next calls and look-ups, in place of the rest of the script."""
        self.script.clear()
        self.look_ups.clear()
        for reply in replies:
            (self.look_ups if reply.kind in LOOKED_UP else self.script).append(reply)

    def _from_script(self, call: Call, looked_up: bool) -> Reply | None:
        waiting = self.look_ups if looked_up else self.script
        return waiting.popleft() if waiting else None

    # The provider's part

    def perform(self, call: Call) -> Outcome:
        reply = self.next_reply(call, False) or Reply("confirmed")
        self.contacts.append((call, reply))
        known = self._do(call, reply.minor(call.card.currency)) if reply.kind in IN_PART else None
        match reply.kind:
            case "confirmed" if known is not None:
                return _outcome(known)
            case "declined":
                return Outcome(Result.DECLINED, reason=Reason.INSUFFICIENT_FUNDS, text="the script says no")
            case "unavailable":
                return Outcome(Result.UNAVAILABLE, text="the script says nobody is there")
            case "crash_before" | "crash_after":
                raise Crash(call.id)
        return Outcome(Result.UNKNOWN, text="the script says no answer came")

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        reply = self.next_reply(call, True) or Reply("found")
        self.contacts.append((call, reply))
        if reply.kind == "silent":
            raise Silent
        if reply.kind == "ambiguous":
            return Ambiguous("the script says the record fits it in more than one way")
        known = self.done.get(call.id)
        return _outcome(known) if known else NotSeen("it is not in the books")

    def _do(self, call: Call, amount: int | None) -> Done:
        """Write it into the books. If the same call is done again, that is counted."""
        before = self.done.get(call.id)
        if before is not None:
            done = attrs.evolve(before, times=before.times + 1)
        else:
            count = len(self.done) + 1
            number = f"{6006_9000_0000_0000 + count}" if call.verb == "allocate" else None
            asked = call.args.get("amount")
            whole = asked if isinstance(asked, int) else None
            done = Done(call.id, call.verb, call.card.id, call.args, whole if amount is None else amount,
                        f"R{count}", number)  # fmt: skip
            half = self.halves.setdefault(done.card, Half())
            change = half.perform(done.verb, done.args, done.amount or 0, done.reference)
            done = attrs.evolve(done, change=change)
        self.done[call.id] = done
        return done


def _outcome(done: Done) -> Outcome:
    return Outcome(Result.CONFIRMED, reference=done.reference, amount=done.amount, number=done.number)

"""Two halves of one card side by side: our books of it, and the provider's own record.

    balance    what is available here and there
    holds      the hold of every payment and every open hold there: by the provider's id, then by amount
    lines      the change of every confirmed call of ours and the card's history: by the provider's ids

`compare` is pure: it says what only we know, what only they know, and what differs. Other channels use the same cards,
so a line that only they know is no mistake by itself. What an observation has taken in is not told again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum

import attrs

from tallystick import money
from tallystick.engine.receipt import Receipt
from tallystick.masks import mask
from tallystick.money import Money
from tallystick.provider import CardFacts, Line, Observed


class DifferenceCode(StrEnum):
    """What was found, as a stable word."""

    IN_DOUBT = "in_doubt"  # the card was not judged: a call of it is open
    UNREAD = "unread"  # the card was not judged: the provider's record could not be read
    BUSY = "busy"  # the card was not judged: it moved each time it was read
    OWN_BOOKS = "own_books"  # its row is not what its own journal says; `tallystick verify` says more
    UNKNOWN_CARD = "unknown_card"  # the provider does not have the card
    BALANCE = "balance"  # another amount is available there
    HOLD_ONLY_OURS = "hold_only_ours"  # a payment's hold that the provider does not have
    HOLD_ONLY_THEIRS = "hold_only_theirs"  # an open hold there that no payment has
    HOLD_DIFFERS = "hold_differs"  # the same hold, of another amount
    HOLD_TWICE = "hold_twice"  # two payments rely on one hold
    LINE_ONLY_OURS = "line_only_ours"  # a confirmed call that their history does not have
    LINE_ONLY_THEIRS = "line_only_theirs"  # a line of their history that no call of ours has made
    LINE_DIFFERS = "line_differs"  # the same line, of another amount
    LINE_TWICE = "line_twice"  # two calls of ours rely on one line
    HISTORY_CUT = "history_cut"  # their history is too long to be read whole
    NOT_POSTED = "not_posted"  # it should have been posted, and was refused


# What an observation takes in.
OBSERVED = frozenset(map(DifferenceCode, (
    "balance", "line_only_ours", "line_only_theirs", "line_differs", "line_twice",
)))  # fmt: skip


@attrs.frozen
class Difference:
    """One difference between our books and the provider's record."""

    code: DifferenceCode  # what kind
    card: str  # the card's id
    number: str  # masked
    currency: str  # of the card
    what: str  # one sentence, which names the card
    ours: Money | None = None  # the amount here, where there is one
    theirs: Money | None = None  # the amount there, where there is one
    reference: str | None = None  # the provider's id of the hold or the line, or our id of the call
    posted: bool = False  # an observation has taken it in

    def __str__(self) -> str:
        return self.what


@attrs.frozen
class Reconciliation:
    """What was looked at, and what was found."""

    cards: int  # how many were looked at
    findings: tuple[Difference, ...]  # empty if all is well
    posted: tuple[Receipt, ...] = ()  # of the observations that were made

    @property
    def clean(self) -> bool:
        """Whether every card was judged and nothing was found."""
        return not self.findings

    @property
    def remaining(self) -> tuple[Difference, ...]:
        """What no observation has taken in: for a person, or for a later look."""
        return tuple(finding for finding in self.findings if not finding.posted)


# Our half


@attrs.frozen
class OurHold:
    """A payment's hold in force."""

    payment: str  # the payment's id
    id: str | None  # the provider's name for the hold
    amount: int  # minor units


@attrs.frozen
class OurLine:
    """A confirmed call that is about money."""

    call: str  # our id of it
    verb: str  # what was asked
    ids: frozenset[str]  # the provider's ids of the transaction and the request
    change: int | None  # of the card's worth, in minor units; None if the verb is not known here
    at: datetime  # when it ended


@attrs.frozen
class Ours:
    """A card as our books have it. Amounts are minor units."""

    card: CardFacts  # as its provider is told of it
    revision: int  # of the card, when it was read
    available: int  # may be spent
    holds: tuple[OurHold, ...] = ()  # of its payments
    lines: tuple[OurLine, ...] = ()  # its confirmed calls, oldest first
    blank: bool = False  # still on the shelf, so that the provider need not know it
    sound: bool = True  # not: its row and its journal differ
    in_doubt: int = 0  # set aside until an answer is known
    open_calls: tuple[str, ...] = ()  # their ids
    taken_in: datetime | None = None  # when it was observed last
    mark: str | None = None  # digest of the newest line that an observation has taken in

    @property
    def fresh(self) -> tuple[OurLine, ...]:
        """Lines that no observation has taken in."""
        return tuple(line for line in self.lines if self.taken_in is None or line.at > self.taken_in)


# Side by side


def compare(ours: Ours, theirs: Observed) -> tuple[Difference, ...]:
    """What differs between the halves of one card."""
    if not theirs.known:
        return tuple(_whole(ours, theirs))
    return (*_whole(ours, theirs), *_balance(ours, theirs), *_holds(ours, theirs), *_lines(ours, theirs))


def _whole(card: Ours, theirs: Observed) -> Iterator[Difference]:
    """Whether both have the card at all, and agree with themselves."""
    if not card.sound:
        yield found(
            card, DifferenceCode.OWN_BOOKS, "our own books disagree about it: its row is not what its journal says"
        )
    total = card.available + sum(hold.amount for hold in card.holds)
    if not theirs.known and (total or not card.blank):
        what = f"the provider has no such card; our books have {shown(card, total)} on it"
        yield found(card, DifferenceCode.UNKNOWN_CARD, what, ours=total)


def _balance(card: Ours, theirs: Observed) -> Iterator[Difference]:
    if card.available == theirs.available:
        return
    apart = theirs.available - card.available
    what = f"{shown(card, card.available)} are available here, {shown(card, theirs.available)} there: "
    what += f"{shown(card, abs(apart))} {'more' if apart > 0 else 'less'} than we know of"
    yield found(card, DifferenceCode.BALANCE, what, ours=card.available, theirs=theirs.available)


def _holds(card: Ours, theirs: Observed) -> Iterator[Difference]:
    held: dict[str, list[OurHold]] = {}
    for each in card.holds:
        if each.id is None or each.id not in theirs.holds:
            named = f"hold {each.id}" if each.id else "a hold without a name"
            what = f"payment {each.payment!r} has {shown(card, each.amount)} held by {named}; the provider has not"
            what += "; if it is gone, tell the payment that it is lost (mark_hold_lost)"
            yield found(card, DifferenceCode.HOLD_ONLY_OURS, what, ours=each.amount, reference=each.id)
        if each.id is not None:
            held.setdefault(each.id, []).append(each)
    for id, mine in held.items():
        amount, there = sum(each.amount for each in mine), theirs.holds.get(id)
        payments = " and ".join(repr(each.payment) for each in mine)
        if len(mine) > 1:
            yield found(
                card, DifferenceCode.HOLD_TWICE, f"payments {payments} rely on the same hold {id}", reference=id
            )
        if there not in (None, amount):
            what = f"hold {id} is {shown(card, amount)} here, for payment {payments}, but {shown(card, there)} there"
            yield found(card, DifferenceCode.HOLD_DIFFERS, what, ours=amount, theirs=there, reference=id)
    for id, amount in theirs.holds.items():
        if id not in held:
            what = f"the provider has {shown(card, amount)} held by hold {id}, which no payment of ours has"
            yield found(card, DifferenceCode.HOLD_ONLY_THEIRS, what, theirs=amount, reference=id)


def _lines(card: Ours, theirs: Observed) -> Iterator[Difference]:
    claims = {id: line for line in card.lines for id in line.ids}
    for line in _fresh(card, theirs.lines):
        claim = claims.get(line.id) or claims.get(line.request or "")
        if claim is None and line.moves:
            yield _only_theirs(card, line)
        elif claim is not None and None not in (claim.change, line.amount) and claim.change != line.amount:
            changed = f"{_signed(card, claim.change)} here, {_signed(card, line.amount)} there"
            what = f"{claim.verb}, transaction {line.id}, changed it by {changed}"
            yield found(
                card, DifferenceCode.LINE_DIFFERS, what, ours=claim.change, theirs=line.amount, reference=line.id
            )
    for id, count in Counter(id for line in card.lines for id in line.ids).items():
        if count > 1 and any(id in line.ids for line in card.fresh):
            calls = " and ".join(line.call for line in card.lines if id in line.ids)
            yield found(card, DifferenceCode.LINE_TWICE, f"calls {calls} both claim transaction {id}", reference=id)
    yield from _only_ours(card, theirs)


def _fresh(card: Ours, lines: Sequence[Line]) -> Iterator[Line]:
    """Lines that no observation has taken in: those above its mark; without one, the younger ones."""
    marked = card.mark is not None and any(digest(line.id) == card.mark for line in lines)
    for line in lines:
        if marked and digest(line.id) == card.mark:
            return
        if not marked and card.taken_in is not None and line.at <= card.taken_in:
            return
        yield line


def _only_theirs(card: Ours, line: Line) -> Difference:
    changed = "an amount it does not show" if line.amount is None else _signed(card, line.amount)
    place = f"at {line.place}" if line.place else "at a place it does not show"
    place += ", which is where we ask from" if line.ours else ""
    what = f"the provider has a line that we do not: {changed}, {line.at:%F %T} {place}, transaction {line.id}"
    return found(card, DifferenceCode.LINE_ONLY_THEIRS, what, theirs=line.amount, reference=line.id)


def _only_ours(card: Ours, theirs: Observed) -> Iterator[Difference]:
    there = {id for line in theirs.lines for id in (line.id, line.request) if id}
    oldest = theirs.lines[-1].at if theirs.lines and not theirs.complete else None
    if not theirs.complete:
        what = f"its history is too long; only the {len(theirs.lines)} newest lines were compared"
        yield found(card, DifferenceCode.HISTORY_CUT, what)
    for line in card.fresh:
        if line.ids & there or (oldest is not None and line.at < oldest):
            continue
        named = f"transaction {min(line.ids)}" if line.ids else "no transaction is named"
        changed = "" if line.change is None else f" of {_signed(card, line.change)}"
        what = f"we have a {line.verb}{changed} that the provider's history does not show: {named}, call {line.call}"
        yield found(card, DifferenceCode.LINE_ONLY_OURS, what, ours=line.change, reference=line.call)


def found(
    card: Ours, code: DifferenceCode, what: str, *, ours: int | None = None, theirs: int | None = None,
    reference: str | None = None,
) -> Difference:  # fmt: skip
    """A difference of a card. Amounts are given in minor units."""
    number, currency = mask(card.card.number or ""), card.card.currency
    here, there = (None if minor is None else Money(minor, currency) for minor in (ours, theirs))
    said = f"card {card.card.id!r} ({number}): {what}"
    return Difference(code, card.card.id, number, currency, said, here, there, reference)


def shown(card: Ours, minor: int | None) -> str:
    """An amount with its currency; nothing is zero."""
    return f"{money.to_text(minor or 0, card.card.currency)} {card.card.currency}"


def _signed(card: Ours, minor: int | None) -> str:
    return f"{'+' if minor and minor > 0 else ''}{shown(card, minor)}"


def digest(text: str) -> str:
    """What a mark says of a line: its id is not for keys."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]

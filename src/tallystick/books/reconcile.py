"""Our books of a card, compared with the provider's own record of it.

    balance    what is available here and there
    holds      the hold of every payment and every open hold there: by the provider's id, then by amount
    lines      the change of every confirmed call of ours and the card's history: by the provider's ids

`compare` is pure: it says what only we know, what only they know, and what differs. `reconcile` reads both. If `apply`,
it has the card `observe` the provider's balance: the difference moves from or to `elsewhere`. It never touches a hold.

* A card with an open call is in doubt. Nobody knows where its money stands, so it is not judged.
* Our books are read, then the provider, then our books again. If they moved meanwhile, everything is read again.
* Other channels use the same cards, so a line that only they know is no mistake by itself. An observation takes such
  lines in, and so does `recognize`. Its key names the newest line that was seen then, so these are not reported again.
  If somebody else made the observation, it takes in what is not younger than itself.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import attrs

from tallystick import money
from tallystick.core.refusal import mask
from tallystick.engine.ask_provider import card_facts, observed
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Receipt
from tallystick.errors import Invalid, NotFound
from tallystick.money import Money
from tallystick.provider import REPEATABLE, CardFacts, Line, Observed, Observer, Unread
from tallystick.store import CallRow, Reading

CARD, PAYMENT, KEY = "gift_card", "payment", "reconcile"
LOOKS = 3  # at a card that moves each time it is read; after that it is reported as busy
Minor = int | None
Person = tuple[str, str]  # who has differences posted, and why

# What a confirmed call did to the worth of the card, as a multiple of its amount.
CHANGE: Mapping[str, int] = {
    "issue": 1, "adjust": 1, "void": 1, "redeem": -1, "redeem_hold": -1, "hold": 0, "release_hold": 0,
}  # fmt: skip


class Code(StrEnum):
    """What was found, as a stable word."""

    IN_DOUBT = "in_doubt"  # this, and the next two: the card was not judged
    UNREAD = "unread"
    BUSY = "busy"
    OWN_BOOKS = "own_books"  # its row is not what its own journal says; `tallystick verify` says more
    UNKNOWN_CARD = "unknown_card"
    BALANCE = "balance"
    HOLD_ONLY_OURS = "hold_only_ours"
    HOLD_ONLY_THEIRS = "hold_only_theirs"
    HOLD_DIFFERS = "hold_differs"
    HOLD_TWICE = "hold_twice"
    LINE_ONLY_OURS = "line_only_ours"
    LINE_ONLY_THEIRS = "line_only_theirs"
    LINE_DIFFERS = "line_differs"
    LINE_TWICE = "line_twice"
    HISTORY_CUT = "history_cut"
    NOT_POSTED = "not_posted"  # it should have been posted, and was refused


# What an observation takes in.
OBSERVED = frozenset({Code.BALANCE, Code.LINE_ONLY_OURS, Code.LINE_ONLY_THEIRS, Code.LINE_DIFFERS, Code.LINE_TWICE})


@attrs.frozen
class Finding:
    """One difference. Amounts are minor units, or None."""

    code: Code
    card: str
    number: str  # masked
    currency: str
    what: str
    ours: int | None = None
    theirs: int | None = None
    reference: str | None = None  # the provider's id of the hold or the line, or our id of the call
    posted: bool = False  # an observation has taken it in

    def __str__(self) -> str:
        return self.what


@attrs.frozen
class Report:
    """What was looked at, and what was found. `posted`: receipts of the observations made."""

    cards: int
    findings: tuple[Finding, ...]
    posted: tuple[Receipt, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether every card was judged and nothing was found."""
        return not self.findings

    @property
    def remaining(self) -> tuple[Finding, ...]:
        """What no observation has taken in: for a person, or for a later look."""
        return tuple(finding for finding in self.findings if not finding.posted)


# Our half


@attrs.frozen
class OurHold:
    """A payment's hold in force. `id` is the provider's name for it."""

    payment: str
    id: str | None
    amount: int


@attrs.frozen
class OurLine:
    """A confirmed call that is about money. `change`: of the card's worth; None if the verb is not known here."""

    call: str
    verb: str
    ids: frozenset[str]
    change: int | None
    at: datetime


@attrs.frozen
class Ours:
    """A card as our books have it. `mark` names the newest line that an observation has taken in."""

    card: CardFacts
    revision: int
    available: int
    holds: tuple[OurHold, ...] = ()
    lines: tuple[OurLine, ...] = ()
    blank: bool = False  # still on the shelf, so that the provider need not know it
    sound: bool = True  # not: its row and its journal differ
    in_doubt: int = 0
    open_calls: tuple[str, ...] = ()
    taken_in: datetime | None = None  # when it was observed last
    mark: str | None = None

    @property
    def fresh(self) -> tuple[OurLine, ...]:
        """Lines that no observation has taken in."""
        return tuple(line for line in self.lines if self.taken_in is None or line.at > self.taken_in)


def our_half(engine: Engine, id: str) -> Ours:
    """Our half of a card. Raises NotFound if there is none, Invalid if it has no number yet."""
    with engine.store.reading() as reading:
        card = reading.entity(CARD, id)
        if card is None:
            raise NotFound(CARD, id)
        if not card.facts.get("number"):
            raise Invalid(f"{CARD} {id!r} has no number yet; the provider cannot know it")
        calls = reading.calls_on(CARD, id)
        records = list(reading.journal(CARD, id))
        holds = tuple(_our_holds(reading, id))
    last = [(each.revision, each.hash, json.loads(each.after)) for each in records[-1:]]
    seen = [each for each in records if each.command in ("observe", "recognize") and each.phase == "done"]
    return Ours(
        card_facts(card), card.revision, card.accounts["available"], holds,
        tuple(_our_line(row) for row in calls if row.state == "confirmed" and row.verb not in REPEATABLE),
        blank=card.state == engine.machines.at(CARD, card.machine_version).start,
        sound=last == [(card.revision, card.hash, dict(card.accounts))],
        in_doubt=card.accounts["in_doubt"],
        open_calls=tuple(row.id for row in calls if row.state == "open"),
        taken_in=datetime.fromisoformat(seen[-1].at) if seen else None,
        mark=_mark_of(seen[-1].key) if seen else None,
    )  # fmt: skip


def _our_holds(reading: Reading, card: str) -> Iterator[OurHold]:
    for payment in reading.linked(PAYMENT, "card", card):
        if payment.accounts["held"]:
            hold = payment.facts.get("hold_id")
            yield OurHold(payment.id, str(hold) if hold else None, payment.accounts["held"])


def _our_line(row: CallRow) -> OurLine:
    outcome, asked, sign = row.ended, json.loads(row.args).get("amount"), CHANGE.get(row.verb)
    amount = outcome.amount if outcome and outcome.amount is not None else asked
    change = sign * amount if sign is not None and isinstance(amount, int) else None
    return OurLine(row.id, row.verb, frozenset(row.ids), change, datetime.fromisoformat(row.closed or row.asked))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _mark_of(key: str | None) -> str | None:
    return key.rpartition("/")[2] if key and key.startswith(f"{KEY}/") else None


# Side by side


def compare(ours: Ours, theirs: Observed) -> tuple[Finding, ...]:
    """What differs between the halves of one card."""
    if not theirs.known:
        return tuple(_whole(ours, theirs))
    return (*_whole(ours, theirs), *_balance(ours, theirs), *_holds(ours, theirs), *_lines(ours, theirs))


def _whole(card: Ours, theirs: Observed) -> Iterator[Finding]:
    """Whether both have the card at all, and agree with themselves."""
    if not card.sound:
        yield _found(card, Code.OWN_BOOKS, "our own books disagree about it: its row is not what its journal says")
    total = card.available + sum(hold.amount for hold in card.holds)
    if not theirs.known and (total or not card.blank):
        what = f"the provider has no such card; our books have {_text(card, total)} on it"
        yield _found(card, Code.UNKNOWN_CARD, what, ours=total)


def _balance(card: Ours, theirs: Observed) -> Iterator[Finding]:
    if card.available == theirs.available:
        return
    apart = theirs.available - card.available
    what = f"{_text(card, card.available)} are available here, {_text(card, theirs.available)} there: "
    what += f"{_text(card, abs(apart))} {'more' if apart > 0 else 'less'} than we know of"
    yield _found(card, Code.BALANCE, what, ours=card.available, theirs=theirs.available)


def _holds(card: Ours, theirs: Observed) -> Iterator[Finding]:
    held: dict[str, list[OurHold]] = {}
    for each in card.holds:
        if each.id is None or each.id not in theirs.holds:
            named = f"hold {each.id}" if each.id else "a hold without a name"
            what = f"payment {each.payment!r} has {_text(card, each.amount)} held by {named}; the provider has not"
            what += "; if it is gone, tell the payment that it is lost (mark_hold_lost)"
            yield _found(card, Code.HOLD_ONLY_OURS, what, ours=each.amount, reference=each.id)
        if each.id is not None:
            held.setdefault(each.id, []).append(each)
    for id, mine in held.items():
        amount, there = sum(each.amount for each in mine), theirs.holds.get(id)
        payments = " and ".join(repr(each.payment) for each in mine)
        if len(mine) > 1:
            yield _found(card, Code.HOLD_TWICE, f"payments {payments} rely on the same hold {id}", reference=id)
        if there not in (None, amount):
            what = f"hold {id} is {_text(card, amount)} here, for payment {payments}, but {_text(card, there)} there"
            yield _found(card, Code.HOLD_DIFFERS, what, ours=amount, theirs=there, reference=id)
    for id, amount in theirs.holds.items():
        if id not in held:
            what = f"the provider has {_text(card, amount)} held by hold {id}, which no payment of ours has"
            yield _found(card, Code.HOLD_ONLY_THEIRS, what, theirs=amount, reference=id)


def _lines(card: Ours, theirs: Observed) -> Iterator[Finding]:
    claims = {id: line for line in card.lines for id in line.ids}
    for line in _fresh(card, theirs.lines):
        claim = claims.get(line.id) or claims.get(line.request or "")
        if claim is None and line.moves:
            yield _only_theirs(card, line)
        elif claim is not None and None not in (claim.change, line.amount) and claim.change != line.amount:
            changed = f"{_signed(card, claim.change)} here, {_signed(card, line.amount)} there"
            what = f"{claim.verb}, transaction {line.id}, changed it by {changed}"
            yield _found(card, Code.LINE_DIFFERS, what, ours=claim.change, theirs=line.amount, reference=line.id)
    for id, count in Counter(id for line in card.lines for id in line.ids).items():
        if count > 1 and any(id in line.ids for line in card.fresh):
            calls = " and ".join(line.call for line in card.lines if id in line.ids)
            yield _found(card, Code.LINE_TWICE, f"calls {calls} both claim transaction {id}", reference=id)
    yield from _only_ours(card, theirs)


def _fresh(card: Ours, lines: Sequence[Line]) -> Iterator[Line]:
    """Lines that no observation has taken in: those above its mark; without one, the younger ones."""
    marked = card.mark is not None and any(_digest(line.id) == card.mark for line in lines)
    for line in lines:
        if marked and _digest(line.id) == card.mark:
            return
        if not marked and card.taken_in is not None and line.at <= card.taken_in:
            return
        yield line


def _only_theirs(card: Ours, line: Line) -> Finding:
    changed = "an amount it does not show" if line.amount is None else _signed(card, line.amount)
    place = f"at {line.place}" if line.place else "at a place it does not show"
    place += ", which is where we ask from" if line.ours else ""
    what = f"the provider has a line that we do not: {changed}, {line.at:%F %T} {place}, transaction {line.id}"
    return _found(card, Code.LINE_ONLY_THEIRS, what, theirs=line.amount, reference=line.id)


def _only_ours(card: Ours, theirs: Observed) -> Iterator[Finding]:
    there = {id for line in theirs.lines for id in (line.id, line.request) if id}
    oldest = theirs.lines[-1].at if theirs.lines and not theirs.complete else None
    if not theirs.complete:
        what = f"its history is too long; only the {len(theirs.lines)} newest lines were compared"
        yield _found(card, Code.HISTORY_CUT, what)
    for line in card.fresh:
        if line.ids & there or (oldest is not None and line.at < oldest):
            continue
        named = f"transaction {min(line.ids)}" if line.ids else "no transaction is named"
        changed = "" if line.change is None else f" of {_signed(card, line.change)}"
        what = f"we have a {line.verb}{changed} that the provider's history does not show: {named}, call {line.call}"
        yield _found(card, Code.LINE_ONLY_OURS, what, ours=line.change, reference=line.call)


def _found(
    card: Ours, code: Code, what: str, *, ours: Minor = None, theirs: Minor = None, reference: str | None = None
) -> Finding:
    number = mask(card.card.number or "")
    said = f"card {card.card.id!r} ({number}): {what}"
    return Finding(code, card.card.id, number, card.card.currency, said, ours, theirs, reference)


def _text(card: Ours, minor: int | None) -> str:
    return f"{money.to_text(minor or 0, card.card.currency)} {card.card.currency}"


def _signed(card: Ours, minor: int | None) -> str:
    return f"{'+' if minor and minor > 0 else ''}{_text(card, minor)}"


# Reading, and posting


def reconcile(
    engine: Engine, card_id: str | None = None, apply: bool = False, by: str | None = None, reason: str | None = None
) -> Report:
    """Compare one card, or every card that has a number, with the provider's record of it.

    With `apply`, differences of balance are posted to `elsewhere`, and lines that only one side knows are taken in, so
    that they are not reported again. Who (`by`) and why (`reason`) are kept with it.

    Raises:
        NotFound: no such card.   Invalid: the provider has no record to read; `by` or `reason` is missing.
    """
    observer = engine.provider
    if not isinstance(observer, Observer):
        books = "; our own books are all there is, and `tallystick verify` checks them" if engine.provider.local else ""
        raise Invalid(f"provider {engine.provider.name!r} has no record that could be read{books}")
    if apply and not (by and reason):
        raise Invalid("who has differences posted (by) and why (reason) has to be said")

    with engine.store.reading() as reading:
        numbered = [card.id for card in reading.all(CARD) if card.facts.get("number")] if card_id is None else [card_id]
    person = (by or "", reason or "") if apply else None
    findings: list[Finding] = []
    posted: list[Receipt] = []
    for id in numbered:
        findings += _card(engine, observer, id, person, posted)
    return Report(len(numbered), tuple(findings), tuple(posted))


def _card(engine: Engine, observer: Observer, id: str, person: Person | None, posted: list[Receipt]) -> list[Finding]:
    """What is found on one card. Adds what is posted to `posted`."""
    before: list[Finding] = []
    mine = our_half(engine, id)
    for _ in range(LOOKS):
        if mine.open_calls or mine.in_doubt:
            return [*before, _doubtful(mine)]
        theirs = observed(observer, engine.numbers, mine.card)
        if isinstance(theirs, Unread):
            return [*before, _found(mine, Code.UNREAD, f"it was not judged: {theirs.why}")]
        seen, mine = mine, our_half(engine, id)
        if mine.revision != seen.revision:
            continue
        found = list(compare(seen, theirs))
        codes = {finding.code for finding in found}
        if person is None or not codes & OBSERVED or Code.OWN_BOOKS in codes:
            return [*before, *found]
        receipt = _observe(engine, seen, theirs, person)
        mine = our_half(engine, id)
        if receipt.applied:
            posted.append(receipt)
            found = [attrs.evolve(each, posted=each.code in OBSERVED) for each in found]
            if _alone(engine, receipt, seen):
                return [*before, *found]
            before += [each for each in found if each.posted]  # something came in between: look again
        elif mine.revision == seen.revision:
            return [*before, *found, _found(seen, Code.NOT_POSTED, f"it cannot be posted: {receipt.why}")]
    return [*before, _found(mine, Code.BUSY, "it was not judged: it moved each time it was read")]


def _doubtful(card: Ours) -> Finding:
    calls = f"call {', '.join(card.open_calls)}" if card.open_calls else "no open call says why"
    what = f"it is in doubt and was not judged: {_text(card, card.in_doubt)} wait for an answer ({calls})"
    return _found(card, Code.IN_DOUBT, what, ours=card.in_doubt)


def _observe(engine: Engine, card: Ours, theirs: Observed, person: Person) -> Receipt:
    """Have the card observe the provider's balance. The key names the newest line that was seen."""
    key = f"{KEY}/{_digest(card.card.id)}/{card.revision}/{_digest(theirs.lines[0].id) if theirs.lines else '-'}"
    balance = Money(theirs.available, card.card.currency)
    return engine.try_execute(Command(CARD, card.card.id, "observe", {"balance": balance}, key, *person))


def _alone(engine: Engine, receipt: Receipt, card: Ours) -> bool:
    """Whether the observation is the very next thing that happened to the card."""
    with engine.store.reading() as reading:
        return reading.keyed([receipt.key])[receipt.key].revision == card.revision + 1

"""Our books of a card are read, compared with the provider's own record of it, and posted if that is wanted.

`reconcile` reads both halves and has `differences` compare them. If `apply`, it has the card `observe` the provider's
balance: the difference moves from or to `elsewhere`. It never touches a hold.

* A card with an open call is in doubt. Nobody knows where its money stands, so it is not judged.
* Our books are read, then the provider, then our books again. If they moved meanwhile, everything is read again.
* Lines that only one side knows are reported once. When a balance was observed or recognized, everything before that
  is in the balance. The key of our own observation names the newest line that it has seen; of somebody else's, its time
  counts. A balance that came with an answer settles no line, because nobody has looked at the lines then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

import attrs

from tallystick.books.reconciling.differences import (
    OBSERVED,
    Difference,
    DifferenceCode,
    OurHold,
    OurLine,
    Ours,
    Reconciliation,
    compare,
    digest,
    found,
    shown,
)
from tallystick.engine import owner
from tallystick.engine.balances import BALANCE, HEARD, OBSERVE
from tallystick.engine.calls.ask_provider import card_facts, observed
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Receipt
from tallystick.errors import Invalid, NotFound
from tallystick.money import Money
from tallystick.provider import REPEATABLE, Observed, Observer, Unread
from tallystick.store import CallRow, Reading

CARD, PAYMENT, KEY = "gift_card", "payment", "reconcile"
LOOKS = 3  # at a card that moves each time it is read; after that it is reported as busy
Person = tuple[str, str]  # who has differences posted, and why

# What a confirmed call did to the worth of the card, as a multiple of its amount.
CHANGE: Mapping[str, int] = {
    "issue": 1, "adjust": 1, "void": 1, "redeem": -1, "redeem_hold": -1, "hold": 0, "release_hold": 0,
}  # fmt: skip


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
    seen = [each for each in seen if not (each.key or "").startswith(f"{HEARD}/")]
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


def _mark_of(key: str | None) -> str | None:
    return key.rpartition("/")[2] if key and key.startswith(f"{KEY}/") else None


# Reading, and posting


def reconcile(
    engine: Engine, card_id: str | None = None, apply: bool = False, by: str | None = None, reason: str | None = None
) -> Reconciliation:
    """Compare one card, or every card that has a number, with the provider's record of it.

    With `apply`, differences of balance are posted to `elsewhere`, and lines that only one side knows are taken in, so
    that they are not reported again. Who (`by`) and why (`reason`) are kept with it.

    Raises:
        NotFound: no such card.   Invalid: the provider has no record to read; `by` or `reason` is missing.
        StoreError: the books are another provider's.
    """
    observer = engine.provider
    if not isinstance(observer, Observer):
        books = "; our own books are all there is, and `tallystick verify` checks them" if engine.provider.local else ""
        raise Invalid(f"provider {engine.provider.name!r} has no record that could be read{books}")
    if apply and not (by and reason):
        raise Invalid("who has differences posted (by) and why (reason) has to be said")
    owner.check(engine.store, engine.provider)
    with engine.store.reading() as reading:
        numbered = [card.id for card in reading.all(CARD) if card.facts.get("number")] if card_id is None else [card_id]
    person = (by or "", reason or "") if apply else None
    findings: list[Difference] = []
    posted: list[Receipt] = []
    for id in numbered:
        findings += _card(engine, observer, id, person, posted)
    return Reconciliation(len(numbered), tuple(findings), tuple(posted))


def _card(
    engine: Engine, observer: Observer, id: str, person: Person | None, posted: list[Receipt]
) -> list[Difference]:
    """What is found on one card. Adds what is posted to `posted`."""
    mine = our_half(engine, id)
    for _ in range(LOOKS):
        if mine.open_calls or mine.in_doubt:
            return [_doubtful(mine)]
        theirs = observed(observer, engine.numbers, mine.card)
        if isinstance(theirs, Unread):
            return [found(mine, DifferenceCode.UNREAD, f"it was not judged: {theirs.why}")]
        seen, mine = mine, our_half(engine, id)
        if mine.revision != seen.revision:
            continue
        differences = list(compare(seen, theirs))
        codes = {finding.code for finding in differences}
        if person is None or not codes & OBSERVED or DifferenceCode.OWN_BOOKS in codes:
            return differences
        receipt = _observe(engine, seen, theirs, person)
        if receipt is not None and receipt.applied:
            posted.append(receipt)
            return [attrs.evolve(each, posted=each.code in OBSERVED) for each in differences]
        if receipt is not None:
            return [*differences, found(seen, DifferenceCode.NOT_POSTED, f"it cannot be posted: {receipt.why}")]
        mine = our_half(engine, id)
    return [found(mine, DifferenceCode.BUSY, "it was not judged: it moved each time it was read")]


def _doubtful(card: Ours) -> Difference:
    calls = f"call {', '.join(card.open_calls)}" if card.open_calls else "no open call says why"
    what = f"it is in doubt and was not judged: {shown(card, card.in_doubt)} wait for an answer ({calls})"
    return found(card, DifferenceCode.IN_DOUBT, what, ours=card.in_doubt)


def _observe(engine: Engine, card: Ours, theirs: Observed, person: Person) -> Receipt | None:
    """Have the card observe the provider's balance, unless it has moved on. The key names the newest line there."""
    key = f"{KEY}/{digest(card.card.id)}/{card.revision}/{digest(theirs.lines[0].id) if theirs.lines else '-'}"
    balance = {BALANCE: Money(theirs.available, card.card.currency)}
    return engine.balances.observe(Command(CARD, card.card.id, OBSERVE, balance, key, *person), card.revision)

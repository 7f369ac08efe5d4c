"""Our books laid beside the provider's: the referee's look at the other side.

The provider knows our calls by the id we sent. The library's own look-up cannot count on that id, but the referee can.
What was done under it must be what our books say of that call: once, of that verb, of that amount. Of two calls that
are alike, each may have been given the other's line; nobody loses by that.

What a verb does at the provider's is the protocol (`provider.EFFECTS`): the one thing that the referee takes from the
library as it is. What others did to a card moves its balance, and is no mistake: it is subtracted before balances are
compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import attrs

from tallystick.provider.verbs import EFFECTS
from tallystick.testing.referee.evidence import ProviderBooks, ProviderLine, Row

NO_VALUE = tuple(verb for verb, effect in EFFECTS.items() if not effect.moves)
_ALIKE = frozenset(["redeem", "redeem_hold"])  # a history shows no difference between these two


def reconcile(
    theirs: ProviderBooks, cards: Iterable[Row], payments: Iterable[Row], calls: Iterable[Row],
    entries: Iterable[Row], *, settled: bool,
) -> Iterator[str]:  # fmt: skip
    """Where the two books do not match. `cards` have a number; `payments` have a card and a hold."""
    lines: dict[tuple[str, str], list[ProviderLine]] = {}
    for line in theirs.lines:
        lines.setdefault((line.number, line.currency), []).append(line)
    of_card: dict[str, list[Row]] = {}
    for call in calls:
        of_card.setdefault(call["entity"], []).append(call)
    paid: dict[str, list[Row]] = {}
    for payment in payments:
        paid.setdefault(str(payment["facts"]["card"]), []).append(payment)
    observed = _observed(entries)
    known = {call["id"] for each in of_card.values() for call in each}
    for card in cards:
        both = _CardInBothBooks(
            theirs, card, lines.get((str(card["facts"]["number"]), card["currency"]), []),
            of_card.get(card["id"], []), paid.get(card["id"], []), known,
        )  # fmt: skip
        yield from both.claims()
        if settled:
            yield from both.lost()
            yield from both.holds()
            yield from both.balance(observed[card["id"]])


def _observed(entries: Iterable[Row]) -> Counter[str]:
    """What our books took over from other channels, by card."""
    found: Counter[str] = Counter()
    for entry in entries:
        if '"elsewhere"' in entry["postings"]:
            for source, target, amount in json.loads(entry["postings"]):
                found[entry["entity"]] += amount * ((source == "elsewhere") - (target == "elsewhere"))
    return found


@attrs.define
class _CardInBothBooks:
    """One card in both books."""

    theirs: ProviderBooks
    card: Row
    lines: list[ProviderLine]
    calls: list[Row]
    payments: list[Row]
    known: set[str]  # every call of ours
    claimed: Counter[str] = attrs.field(factory=Counter)

    def claims(self) -> Iterator[str]:
        """Every confirmed call was done, as it was asked, and no line stands for two calls.

        A line that another call was given counts as done for that one.
        """
        done = {line.id: line for line in self.lines}
        claimants: dict[str, str] = {}
        for call in self.calls:
            reference = _reference(call)
            if reference is None:
                continue
            self.claimed[reference] += 1
            claimants[reference] = call["id"]
            line = done.get(reference)
            if line is None:
                yield f"{_said(call)} is confirmed as {reference}, which the provider's books do not have"
            elif not _is(line, call):
                yield f"{_said(call)} is confirmed as something else: {line}"
        for reference, times in self.claimed.items():
            if times > 1:
                yield f"{reference} was done once and is claimed by {times} calls"
        ours = Counter(line.call for line in self._ours() if claimants.get(line.id, line.call) == line.call)
        for id, times in ours.items():
            if times > 1 + self.theirs.doubled.get(str(id), 0):
                yield f"call {id} was done {times} times by the provider"

    def lost(self) -> Iterator[str]:
        """What was done for us stands in our books. A line that was exchanged with an equal one is not lost."""
        free = [line for line in self._ours() if line.id not in self.claimed]
        taken = sum(1 for line in self.lines if line.id in self.claimed and line.call not in self.known)
        excused = taken + sum(self.theirs.doubled.get(call["id"], 0) for call in self.calls)
        if len(free) > excused:
            yield f"{self._name()}: done by the provider and not in our books: {', '.join(map(str, free))}"

    def holds(self) -> Iterator[str]:
        """A payment's hold is the provider's hold, to the cent."""
        open_ = self._open()
        for payment in self.payments:
            held, there = payment["accounts"]["held"], open_.get(str(payment["facts"]["hold_id"]), 0)
            if held != there and (held or payment["facts"]["hold_id"] is not None):
                yield (
                    f"payment {payment['id']!r} holds {held}, the provider's hold {payment['facts']['hold_id']} "
                    f"is of {there}"
                )

        known = {str(payment["facts"]["hold_id"]) for payment in self.payments}
        for id, amount in open_.items():
            if id in self.claimed and id not in known:
                yield f"{self._name()}: the provider's hold {id} of {amount} is ours, and no payment of ours has it"

    def balance(self, observed: int) -> Iterator[str]:
        """What is available is the same on both sides, except for what others did and nobody has posted yet."""
        known = {str(payment["facts"]["hold_id"]) for payment in self.payments}
        foreign = sum(amount for id, amount in self._open().items() if id not in known)
        others = sum(line.change for line in self.lines if line.id not in self.claimed)
        theirs = self.theirs.available.get(self._key(), 0) + foreign
        ours = self.card["accounts"]["available"] + others - observed
        if theirs != ours:
            yield (
                f"{self._name()}: the provider has {theirs} available ({foreign} of it in holds that are not ours); we "
                f"have {self.card['accounts']['available']}, others moved {others}, of which {observed} are posted"
            )

    def _ours(self) -> list[ProviderLine]:
        return [line for line in self.lines if line.call in self.known and line.verb not in _QUIET]

    def _open(self) -> Mapping[str, int]:
        return self.theirs.holds.get(self._key(), {})

    def _key(self) -> tuple[str, str]:
        return str(self.card["facts"]["number"]), self.card["currency"]

    def _name(self) -> str:
        return f"card {self.card['id']!r}"


_QUIET = (*NO_VALUE, "account")


def _said(call: Row) -> str:
    return f"call {call['id']} ({call['verb']} {call['args']})"


def _reference(call: Row) -> str | None:
    """The provider's id of what a confirmed call did, if it moved value."""
    if call["state"] != "confirmed" or call["verb"] in NO_VALUE or not call["outcome"]:
        return None
    reference = json.loads(call["outcome"]).get("reference")
    return None if reference is None else str(reference)


def _is(line: ProviderLine, call: Row) -> bool:
    """Whether a line is what a call asked for, or the part of it that was confirmed."""
    asked, confirmed = json.loads(call["args"]).get("amount", 0), json.loads(call["outcome"]).get("amount")
    amount = asked if confirmed is None else confirmed
    given, effect = {**json.loads(call["args"]), "amount": amount}, EFFECTS[call["verb"]]
    change = sum(by * (given.get(name) or 0) for sums in (effect.available, effect.held) for name, by in sums.items())
    wanted = amount if effect.opens == "hold" else change
    same = line.verb == call["verb"] or {line.verb, call["verb"]} <= _ALIKE
    return same and line.amount == wanted

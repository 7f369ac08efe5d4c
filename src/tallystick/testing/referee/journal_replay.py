"""The life of one entity, replayed from the journal by the referee's own code.

What an entry may be is told by three things kept beside it: the entry before it, the table of declared steps, and
the text of its page. Nothing of the library computes anything here.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import attrs

from tallystick.testing.referee.definition_reader import Page
from tallystick.testing.referee.effects import IN_DOUBT, Driven, Flight, effect

Row = Mapping[str, Any]
Step = tuple[object, ...]

# What is hashed, in this order; an entry's hash covers the hash before it.
HASHED = (
    "machine", "entity", "revision", "machine_version", "transition", "command", "phase", "from_state", "to_state",
    "args", "postings", "facts", "after", "currency", "call", "key", "cause", "fingerprint", "by", "reason", "at",
)  # fmt: skip
_hashed = itemgetter(*HASHED)
_read = json.JSONDecoder().raw_decode
ENDED = ("confirmed", "declined", "unavailable")


@attrs.define
class Life:
    """An entity as its journal makes it."""

    name: str = ""
    state: str | None = None
    revision: int = 0
    machine_version: int = 0
    currency: str = ""
    hash: str = ""
    at: str = ""
    seq: int = 0
    accounts: dict[str, int] = attrs.field(factory=dict)
    facts: dict[str, Any] = attrs.field(factory=dict)
    outside: Counter[str] = attrs.field(factory=Counter)  # what each outside account has gained
    flight: dict[str, Flight] = attrs.field(factory=dict)  # call → what was asked, and what was set aside
    fired: Counter[str] = attrs.field(factory=Counter)  # key → effects it had here


@attrs.define
class Replay:
    """Replays entities; what is wrong with them is told as sentences."""

    pages: Mapping[tuple[str, int], Page]
    steps: frozenset[Step]
    steady: bool = True
    driven: list[Driven] = attrs.field(factory=list)  # what has to have happened elsewhere with an entry

    def go_on(self, life: Life, entry: Row) -> list[str]:
        """One entry more."""
        found = list(self._entry(life, entry))
        where = f"{entry['machine']} {entry['entity']!r} revision {entry['revision']}" if found else ""
        return [f"{where}: {what}" for what in found]

    def _entry(self, life: Life, entry: Row) -> Iterator[str]:
        if entry["revision"] != life.revision + 1:
            yield f"it follows revision {life.revision}; an entry is missing or stands there twice"
        if entry["seq"] <= life.seq:
            yield f"it was written as number {entry['seq']}, before the entry it follows, number {life.seq}"
        if self.steady and entry["at"] < life.at:
            yield f"it happened at {entry['at']}, before the entry it follows, at {life.at}"
        if entry["from_state"] != life.state:
            yield f"it begins in {entry['from_state']}, the entry before it ended in {life.state}"
        if _chained(life.hash, entry) != entry["hash"]:
            yield "its hash is not that of its content and of the entry before it"
        names = ("machine", "machine_version", "transition", "command", "phase")
        if (*(entry[name] for name in names), entry["from_state"] or "", entry["to_state"]) not in self.steps:
            yield (
                f"{entry['transition']} ({entry['phase']}) from {entry['from_state']} to {entry['to_state']} "
                "is a step that no page declares"
            )
        page = self.pages.get((entry["machine"], entry["machine_version"]))
        if page is None:
            yield f"it runs on version {entry['machine_version']} of {entry['machine']}, whose page is not kept"
            return
        if life.revision == 0:
            life.name = f"{entry['machine']} {entry['entity']!r}"
            life.accounts = dict.fromkeys((*page.accounts, *([IN_DOUBT] if page.accounts else [])), 0)
            life.facts = dict.fromkeys(page.facts)
            life.currency = entry["currency"]
        if entry["currency"] != life.currency:
            yield f"it is in {entry['currency']}, the entity in {life.currency}"
        postings, facts = _json(entry["postings"]), _json(entry["facts"])
        made = effect(page, life, entry, _json(entry["args"]))
        yield from made.differs(postings, facts)
        self.driven += made.driven
        yield from _posted(life, entry, page, postings)
        yield from _in_flight(life, entry, postings, made.flight)
        life.facts |= facts
        life.state, life.revision, life.hash = entry["to_state"], entry["revision"], entry["hash"]
        life.at, life.seq, life.machine_version = entry["at"], entry["seq"], entry["machine_version"]
        if entry["phase"] in ("done", "confirmed"):
            key = entry["key"] or entry["cause"] or ""
            life.fired[key] += 1
            if life.fired[key] > 1:
                yield f"the command of key {key!r} had {life.fired[key]} effects"


def _posted(life: Life, entry: Row, page: Page, postings: Sequence[Any]) -> Iterator[str]:
    for source, target, amount in postings:
        if type(amount) is not int or amount <= 0:
            yield f"{source} → {target} moves {amount}; only whole amounts above nothing move"
            continue
        for name, change in ((source, -amount), (target, amount)):
            if name in life.accounts:
                life.accounts[name] += change
            else:
                life.outside[name] += change
    after = _json(entry["after"])
    if after != life.accounts:
        yield f"it says {after} afterwards, its postings make it {life.accounts}"
    if any(amount < 0 for amount in life.accounts.values()):
        yield f"an account falls below nothing: {life.accounts}"
    came, stands = -sum(life.outside.values()), sum(life.accounts.values())
    if came != stands:
        yield f"{came} came in from outside, {stands} stand on its accounts"
    left = {name: life.accounts[name] for name in page.holding if life.accounts.get(name)}
    if entry["to_state"] in page.final and left:
        yield f"{entry['to_state']} is the end of it, but {left} stand on it"


def against(row: Row, life: Life, page: Page) -> Iterator[str]:
    """Where the row of an entity is not what its journal makes of it."""
    for fact in ("state", "revision", "machine_version", "currency", "hash", "accounts"):
        if row[fact] != getattr(life, fact):
            yield f"{life.name}: its row says {fact} {row[fact]}, its journal {getattr(life, fact)}"
    for fact, value in row["facts"].items():
        if value != life.facts.get(fact):
            yield f"{life.name}: the fact {fact!r} in its row is not the one in its journal"
    if row["calls"] != len(life.flight):
        yield f"{life.name} counts {row['calls']} calls in flight, its journal {len(life.flight)}"
    aside = sum(each.aside.total() for each in life.flight.values())
    if row["accounts"].get(IN_DOUBT, 0) != aside:
        yield f"{life.name}: {row['accounts'].get(IN_DOUBT, 0)} stand in doubt, open calls have set {aside} aside"
    asked = [page.transitions.get(each.transition) for each in life.flight.values()]
    changing = [each.name for each in asked if each is not None and each.changes]
    if ([row["changing"]] if row["changing"] else []) != changing:
        yield f"{life.name}: {row['changing']} may change its state, by its journal {changing or 'nothing'} may"


def _chained(before: str, entry: Row) -> str:
    lines = "\n".join(["" if each is None else str(each) for each in _hashed(entry)])
    return hashlib.sha256(f"{before}\n{lines}".encode()).hexdigest()


def _json(text: str) -> Any:
    return _read(text)[0]


def _in_flight(life: Life, entry: Row, postings: Sequence[Any], flight: Flight) -> Iterator[str]:
    """A call sets amounts aside once, and an answer ends all of them at once."""
    call, phase = entry["call"], entry["phase"]
    if phase == "asked":
        if call is None or call in life.flight:
            yield f"it asks for call {call}, which is no call or is in flight already"
            return
        for source, _, amount in postings:
            flight.aside[source] += amount
        life.flight[call] = flight
    elif phase in ENDED:
        asked = life.flight.pop(call, None)
        aside = asked.aside if asked else Counter[str]()
        if asked is None:
            yield f"it ends call {call}, which was not in flight"
        elif asked.transition != entry["transition"]:
            yield f"it ends call {call} as {entry['transition']}; what asked was {asked.transition}"
        out = sum(amount for source, _, amount in postings if source == IN_DOUBT)
        if out != aside.total():
            yield f"call {call} had set {aside.total()} aside, its answer takes {out} from there"
    elif any(IN_DOUBT in posting[:2] for posting in postings):
        yield "it moves what stands in doubt without an answer"

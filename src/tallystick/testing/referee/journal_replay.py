"""The life of one entity, replayed from the journal by the referee's own code.

Three things say what an entry may be: the entry before it, the table of declared steps, and the text of its page.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from tallystick.testing.referee.definition_reader import Definition
from tallystick.testing.referee.effects import IN_DOUBT, DrivenEntry, PendingCall, ReplayedEntity, expected_effect
from tallystick.testing.referee.moved import MIGRATE, moved

Row = Mapping[str, Any]
Ref = tuple[str, str]  # machine, id
Path = tuple[str, str, str]  # machine, fact, account
Step = tuple[object, ...]

# What is hashed, in this order; an entry's hash covers the hash before it.
HASHED = (
    "machine", "entity", "revision", "machine_version", "transition", "command", "phase", "from_state", "to_state",
    "args", "postings", "facts", "after", "currency", "call", "key", "cause", "fingerprint", "by", "reason", "at",
)  # fmt: skip
_hashed = itemgetter(*HASHED)
_read = json.JSONDecoder().raw_decode
ENDED = ("confirmed", "declined", "unavailable")


class JournalReplay:
    """Replays a journal, whole or as it grows, and says in sentences what is wrong. `steady`: no clock was set back."""

    def __init__(
        self, definitions: Mapping[tuple[str, int], Definition], steps: frozenset[Step], *, steady: bool = True
    ) -> None:
        self.entities: dict[Ref, ReplayedEntity] = {}
        self.driven: list[DrivenEntry] = []  # what has to have happened elsewhere with an entry
        self.followed: Counter[tuple[str, str, str, str]] = Counter()  # key, machine, id and command that follow it
        self.given: dict[tuple[str, str, str, str], list[dict[str, Any] | None]] = {}  # the arguments of these
        self.in_order: dict[
            tuple[str, str, str], list[str]
        ] = {}  # key, machine and id → commands, as the page has them
        self.checked: Counter[str] = Counter()
        self._rows: dict[Ref, Row] = {}  # as they stand
        self._definitions, self._steps, self._steady = definitions, steps, steady
        self._newest = {name: definitions[name, version] for name, version in sorted(definitions)}
        self._sums: dict[Path, Counter[str]] = {
            path: Counter() for each in self._newest.values() for invariant in each.invariants
            for path in invariant.sums.values()
        }  # fmt: skip

    def take(self, entries: Iterable[Row], rows: Mapping[Ref, Row]) -> Iterator[str]:
        """New entries, those of one entity in their order; and the rows of their entities as they stand after them."""
        touched: dict[Ref, int] = {}
        for entry in entries:
            ref = entry["machine"], entry["entity"]
            touched[ref] = touched.get(ref, 0) + 1
            replayed = self.entities.setdefault(ref, ReplayedEntity(f"{ref[0]} {ref[1]!r}"))
            self.checked["entries replayed"] += 1
            for what in self._entry(replayed, entry):
                yield f"{replayed.name} revision {entry['revision']}: {what}"
        for ref, count in touched.items():
            self.checked["rows compared"] += 1
            if ref not in rows:
                yield f"{self.entities[ref].name} has {count} entries and no row"
                continue
            self._stands(ref, rows[ref])
            definition = self._definitions.get((ref[0], rows[ref]["machine_version"]))
            if definition is not None:
                yield from row_differences(rows[ref], self.entities[ref], definition)
        for ref in self._concerned(touched):
            yield from self._invariants(ref)

    def _stands(self, ref: Ref, row: Row) -> None:
        """The row of an entity is this one now: its accounts count in the sums of those it links to."""
        for (machine, fact, account), sums in self._sums.items():
            for each, sign in ((self._rows.get(ref), -1), (row, 1)) if machine == ref[0] else ():
                if each is not None and each["facts"].get(fact) is not None:
                    sums[str(each["facts"][fact])] += sign * self._accounts(ref[0], each).get(account, 0)
        self._rows[ref] = row

    def _accounts(self, machine: str, row: Row) -> Mapping[str, int]:
        """What stands on an entity, by the names of the newest version of its page."""
        said = self._newest[machine].migrations.get(row["machine_version"])
        if said is None:
            return row["accounts"]  # type: ignore[no-any-return]
        places = said["accounts"]
        found = Counter[str]()
        for name, stands in row["accounts"].items():
            found[places.get(name, name)] += stands
        return found

    def _concerned(self, touched: Iterable[Ref]) -> dict[Ref, None]:
        """Those touched, and those they link to."""
        found = {ref: None for ref in touched if ref in self._rows and ref[0] in self._newest}
        for ref in list(found):
            facts, links = self._rows[ref]["facts"], self._newest[ref[0]].links
            found |= {(to, str(facts[fact])): None for fact, to in links.items() if facts.get(fact) is not None}
        return {ref: None for ref in found if ref in self._rows}

    def _invariants(self, ref: Ref) -> Iterator[str]:
        replayed, row, definition = self.entities[ref], self._rows[ref], self._newest[ref[0]]
        for invariant in definition.invariants:
            self.checked["invariants"] += 1
            outside = {name: replayed.outside[name] for name in definition.outside}
            sums = {name: self._sums[path][ref[1]] for name, path in invariant.sums.items()}
            values = {
                **dict.fromkeys(definition.facts),
                **row["facts"],
                **outside,
                **self._accounts(ref[0], row),
                **sums,
            }
            values["state"] = row["state"]
            if not invariant.holds(values):
                yield f"{replayed.name}: {invariant.name}, '{invariant.source}', is not so: {values}"

    def _follow_ups(self, definition: Definition, replayed: ReplayedEntity, entry: Row, key: str) -> None:
        transition = definition.transitions.get(entry["transition"])
        if transition is None or not transition.then:
            return
        kinds = definition.commands[entry["command"]]
        args = {name: False if kind == "flag" else None for name, kind in kinds.items()} | _json(entry["args"])
        values = {**replayed.accounts, **replayed.facts, **args, "state": entry["to_state"]}
        shares = next((name for name, kind in kinds.items() if kind == "shares"), "")
        for each in transition.then:
            for id, about in each.about(entry["entity"], values, shares):
                what = key, each.each or entry["machine"], id, each.command
                self.followed[what] += 1
                self.given.setdefault(what, []).append(each.given(about))
                if not each.later:
                    self.in_order.setdefault((key, each.each or entry["machine"], id), []).append(each.command)

    def _entry(self, replayed: ReplayedEntity, entry: Row) -> Iterator[str]:
        if entry["revision"] != replayed.revision + 1:
            yield f"it follows revision {replayed.revision}; an entry is missing or stands there twice"
        if entry["seq"] <= replayed.seq:
            yield f"it was written as number {entry['seq']}, before the entry it follows, number {replayed.seq}"
        if self._steady and entry["at"] < replayed.at:
            yield f"it happened at {entry['at']}, before the entry it follows, at {replayed.at}"
        if entry["from_state"] != replayed.state:
            yield f"it begins in {entry['from_state']}, the entry before it ended in {replayed.state}"
        if _chained(replayed.hash, entry) != entry["hash"]:
            yield "its hash is not that of its content and of the entry before it"
        names = ("machine", "machine_version", "transition", "command", "phase")
        if (*(entry[name] for name in names), entry["from_state"] or "", entry["to_state"]) not in self._steps:
            yield (
                f"{entry['transition']} ({entry['phase']}) from {entry['from_state']} to {entry['to_state']} "
                "is a step that no page declares"
            )
        definition = self._definitions.get((entry["machine"], entry["machine_version"]))
        if definition is None:
            yield f"it runs on version {entry['machine_version']} of {entry['machine']}, whose page is not kept"
            return
        if replayed.revision == 0:
            replayed.accounts = dict.fromkeys((*definition.accounts, *([IN_DOUBT] if definition.accounts else [])), 0)
            replayed.facts = dict.fromkeys(definition.facts)
            replayed.currency = entry["currency"]
        if entry["currency"] != replayed.currency:
            yield f"it is in {entry['currency']}, the entity in {replayed.currency}"
        postings, facts = _json(entry["postings"]), _json(entry["facts"])
        yield from self._effect(definition, replayed, entry, postings, facts)
        replayed.facts |= facts
        replayed.state, replayed.revision, replayed.hash = entry["to_state"], entry["revision"], entry["hash"]
        replayed.at, replayed.seq, replayed.machine_version = entry["at"], entry["seq"], entry["machine_version"]
        if entry["phase"] in ("done", "confirmed"):
            key = entry["key"] or entry["cause"] or ""
            replayed.fired[key] += 1
            self._follow_ups(definition, replayed, entry, key)
            if replayed.fired[key] > 1:
                yield f"the command of key {key!r} had {replayed.fired[key]} effects"

    def _effect(
        self, definition: Definition, replayed: ReplayedEntity, entry: Row, postings: Sequence[Any], facts: Row
    ) -> Iterator[str]:
        """What an entry does, laid beside its page."""
        if entry["transition"] == MIGRATE:
            older = self._definitions.get((entry["machine"], replayed.machine_version))
            yield from moved(older, definition, replayed, entry)
            yield from _posted(replayed, entry, definition, [])
            return
        made = expected_effect(definition, replayed, entry, _json(entry["args"]))
        yield from made.differs(postings, facts)
        self.driven += made.driven
        yield from _posted(replayed, entry, definition, postings)
        yield from _call_in_flight(replayed, entry, postings, made.pending)


def _posted(replayed: ReplayedEntity, entry: Row, definition: Definition, postings: Sequence[Any]) -> Iterator[str]:
    for source, target, amount in postings:
        if type(amount) is not int or amount <= 0:
            yield f"{source} → {target} moves {amount}; only whole amounts above nothing move"
            continue
        for name, change in ((source, -amount), (target, amount)):
            if name in replayed.accounts:
                replayed.accounts[name] += change
            else:
                replayed.outside[name] += change
    after = _json(entry["after"])
    if after != replayed.accounts:
        yield f"it says {after} afterwards, its postings make it {replayed.accounts}"
    if any(amount < 0 for amount in replayed.accounts.values()):
        yield f"an account falls below nothing: {replayed.accounts}"
    came, stands = -sum(replayed.outside.values()), sum(replayed.accounts.values())
    if came != stands:
        yield f"{came} came in from outside, {stands} stand on its accounts"
    left = {name: replayed.accounts[name] for name in definition.holding if replayed.accounts.get(name)}
    if entry["to_state"] in definition.final and left:
        yield f"{entry['to_state']} is the end of it, but {left} stand on it"


def row_differences(row: Row, replayed: ReplayedEntity, definition: Definition) -> Iterator[str]:
    """Where the row of an entity is not what its journal makes of it."""
    for fact in ("state", "revision", "machine_version", "currency", "hash", "accounts"):
        if row[fact] != getattr(replayed, fact):
            yield f"{replayed.name}: its row says {fact} {row[fact]}, its journal {getattr(replayed, fact)}"
    for fact, value in row["facts"].items():
        if value != replayed.facts.get(fact):
            yield f"{replayed.name}: the fact {fact!r} in its row is not the one in its journal"
    if row["calls"] != len(replayed.pending):
        yield f"{replayed.name} counts {row['calls']} calls in flight, its journal {len(replayed.pending)}"
    aside = sum(each.aside.total() for each in replayed.pending.values())
    if row["accounts"].get(IN_DOUBT, 0) != aside:
        yield f"{replayed.name}: {row['accounts'].get(IN_DOUBT, 0)} stand in doubt, open calls have set {aside} aside"
    asked = [definition.transitions.get(each.transition) for each in replayed.pending.values()]
    changing = [each.name for each in asked if each is not None and each.changes]
    if ([row["changing"]] if row["changing"] else []) != changing:
        yield f"{replayed.name}: {row['changing']} may change its state, by its journal {changing or 'nothing'} may"


def _chained(before: str, entry: Row) -> str:
    said = [entry["occurred_at"]] if entry["occurred_at"] is not None else []  # old entries say nothing of it
    lines = "\n".join(["" if each is None else str(each) for each in (*_hashed(entry), *said)])
    return hashlib.sha256(f"{before}\n{lines}".encode()).hexdigest()


def _json(text: str) -> Any:
    return _read(text)[0]


def _call_in_flight(
    replayed: ReplayedEntity, entry: Row, postings: Sequence[Any], pending: PendingCall
) -> Iterator[str]:
    """A call sets amounts aside once, and an answer ends all of them at once."""
    call, phase = entry["call"], entry["phase"]
    if phase == "asked":
        if call is None or call in replayed.pending:
            yield f"it asks for call {call}, which is no call or is in flight already"
            return
        for source, _, amount in postings:
            pending.aside[source] += amount
        replayed.pending[call] = pending
        if pending.asks is not None:
            replayed.asks[call] = pending.asks
    elif phase in ENDED:
        asked = replayed.pending.pop(call, None)
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

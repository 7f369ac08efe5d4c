"""What a command has read of other entities, read again from the journal as it was at that moment.

    part.account    the sum over the entities of that machine whose fact links to this one
    part.count      how many there were
    part.each       the ids of those that had not ended, in order
    part.busy       how many had a call in flight or a follow-up waiting
    fact.account    what stood on an account of the one entity that the fact links to
    shares.total    the sum of the shares; each names a part that was there
    now             the clock: the time of the entry itself

When a follow-up was given up stands in no journal. So of `busy` the least and the most is known; mostly they are one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from tallystick.testing.referee.definition_reader import Definition

Row = Mapping[str, Any]
Ref = tuple[str, str]  # machine, id
ENDED = ("confirmed", "declined", "unavailable")


@attrs.define
class _Part:
    """An entity as it was when the entries before had been written."""

    id: str
    state: str = ""
    final: bool = False
    accounts: Mapping[str, int] = attrs.field(factory=dict)
    facts: dict[str, Any] = attrs.field(factory=dict)
    calls: set[str] = attrs.field(factory=set)


def misread(
    journal: Sequence[Row], queue: Iterable[Row], definitions: Mapping[tuple[str, int], Definition]
) -> Iterator[str]:
    """Where an entry has read something else than there was, as sentences. The journal is in the order of writing."""
    then = _Then(journal, queue, definitions)
    for entry in journal:
        if entry["phase"] in ("done", "asked") and entry["from_state"] is not None:
            for what in then.wrong(entry):
                yield f"entry {entry['seq']} ({entry['transition']} of {entry['machine']} {entry['entity']!r}) {what}"
        then.take(entry)


class _Then:
    def __init__(
        self, journal: Sequence[Row], queue: Iterable[Row], definitions: Mapping[tuple[str, int], Definition]
    ) -> None:
        self._definitions = definitions
        self._newest = {name: definitions[name, version] for name, version in sorted(definitions)}
        self._entities: dict[Ref, _Part] = {}
        self._linked: dict[tuple[str, str, str], dict[str, _Part]] = {}  # machine, fact, target → parts by id
        self._caused: dict[str, list[Row]] = {}
        for row in queue:
            if row["cause"] is not None:
                self._caused.setdefault(row["cause"], []).append(row)
        self._journaled = {each["key"] for each in journal if each["key"] is not None}
        self._waiting: dict[Ref, Counter[str]] = {}  # key → 1: it surely waits, 0: it may have been given up

    def take(self, entry: Row) -> None:
        """One more entry has been written."""
        ref = entry["machine"], entry["entity"]
        part = self._entities.setdefault(ref, _Part(ref[1]))
        definition = self._definitions[entry["machine"], entry["machine_version"]]
        part.state, part.accounts = entry["to_state"], json.loads(entry["after"])
        part.final = part.state in definition.final
        facts = json.loads(entry["facts"])
        for fact in definition.links.keys() & facts.keys():
            self._linked.get((ref[0], fact, str(part.facts.get(fact))), {}).pop(part.id, None)
            self._linked.setdefault((ref[0], fact, str(facts[fact])), {})[part.id] = part
        part.facts |= facts
        if entry["phase"] == "asked":
            part.calls.add(entry["call"])
        elif entry["phase"] in ENDED:
            part.calls.discard(entry["call"])
        key = entry["key"] or entry["cause"]
        if entry["phase"] in ("done", "confirmed", *ENDED):
            self._follow_up_moved(ref, key, entry["phase"])
        transition = definition.transitions.get(entry["transition"])
        later = {each.command: each.later for each in transition.then} if transition is not None else {}
        if entry["phase"] in ("done", "confirmed") and part is self._entities.get(ref):
            for row in self._caused.get(key, ()):
                if row["command"] not in later:  # it follows something else that this command has driven
                    continue
                done = row["key"] in self._journaled and row["state"] in ("done", "declined")
                done, may_wait = (False, False) if later[row["command"]] else (done, row["state"] == "waiting")
                waits = self._waiting.setdefault((row["machine"], row["entity"]), Counter())
                waits[row["key"]] = int(done or may_wait)

    def _follow_up_moved(self, ref: Ref, key: str, phase: str) -> None:
        waits = self._waiting.get(ref, Counter())
        if key in waits:
            if phase == "unavailable":
                waits[key] = 0
            else:
                del waits[key]

    def wrong(self, entry: Row) -> Iterator[str]:
        """What the command of an entry cannot have been given, or read."""
        definition = self._definitions[entry["machine"], entry["machine_version"]]
        args = json.loads(entry["args"])
        shared = [name for name, kind in definition.commands.get(entry["command"], {}).items() if kind == "shares"]
        for name, said in args.items():
            owner, dot, field = name.partition(".")
            if name == "now" and said != entry["at"]:
                yield f"was decided as if it were {said}; it was written at {entry['at']}"
            if not dot:
                continue
            if owner in shared:
                least = most = sum(amount for _, amount in args[owner])
            elif owner in definition.links:
                least = most = self._linked_account(entry, owner, definition.links[owner], field)
            else:
                least, most = self._value(entry, owner, field)
            if least is None or not (least == said or (field == "busy" and least <= said <= most)):
                yield f"has read {name} as {said}; by the journal it was {least}"
        transition = definition.transitions.get(entry["transition"])
        for follow in transition.then if transition is not None else ():
            if follow.shared and shared:
                there = self._parts(entry, follow.each)
                shares = [id for id, _ in args[shared[0]]]
                strange = [id for id in shares if id not in there] or [id for id in shares if shares.count(id) > 1]
                if strange:
                    yield f"shares something with {follow.each} {strange[0]!r}, which is no part of it, or twice"
                if any(type(amount) is not int or amount <= 0 for _, amount in args[shared[0]]):
                    yield f"shares {args[shared[0]]}; a share is more than nothing"

    def _value(self, entry: Row, owner: str, field: str) -> tuple[Any, Any]:
        parts = list(self._parts(entry, owner).values())
        if field == "count":
            return len(parts), None
        if field == "each":
            return [each.id for each in parts if not each.final], None
        if field != "busy":
            return sum(each.accounts.get(field, 0) for each in parts), None
        follow = [self._waiting.get((owner, each.id), Counter()) for each in parts]
        surely = sum(1 for each, waits in zip(parts, follow, strict=True) if each.calls or any(waits.values()))
        return surely, sum(1 for each, waits in zip(parts, follow, strict=True) if each.calls or waits)

    def _linked_account(self, entry: Row, fact: str, machine: str, account: str) -> Any:
        mine = self._entities.get((entry["machine"], entry["entity"]), _Part(""))
        other = self._entities.get((machine, str(mine.facts.get(fact))), _Part(""))
        return other.accounts.get(account)

    def _parts(self, entry: Row, machine: str) -> dict[str, _Part]:
        """The parts of the entity of an entry, in the order of their ids; a shorter id comes first."""
        page = self._newest.get(machine)
        facts = [fact for fact, target in page.links.items() if target == entry["machine"]] if page else []
        if len(facts) != 1:
            return {}
        found = self._linked.get((machine, facts[0], entry["entity"]), {})
        return {id: found[id] for id in sorted(found, key=lambda id: (len(id), id))}

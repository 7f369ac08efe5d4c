"""The verdict on a finished run: reads the rows of the store and the provider's books, and trusts neither.

    judge(rows, provider_books, acknowledged) → sentences, none if all is well

Everything is computed again, by the referee's own code:

    conservation    what came in from outside stands on accounts; none is below zero; invariants hold
    amounts         each transition moved, set, drove and asked what its page says, computed from the values before it
    parts           what a command has read of the parts of its entity is what they were then; shares name parts only
    keys            one command for each key, one effect for each key and entity, follow-ups queued with a known cause
    order           revisions and numbers without a gap, each entry follows the one before, hashes are chained
    replay          the row of every entity is what its journal makes of it
    answers         what a caller was told stays so: applied stays applied, declined stays declined
    both books      each call was done once, as asked; holds and balances are equal on both sides
    settled         nothing is in doubt
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from operator import itemgetter

from tallystick.testing.referee.definition_reader import DeclaredTransition, Definition, read_definition
from tallystick.testing.referee.effects import DrivenEntry
from tallystick.testing.referee.evidence import Acknowledged, ProviderBooks, Row, Rows
from tallystick.testing.referee.journal_replay import JournalReplay
from tallystick.testing.referee.parts_read import misread
from tallystick.testing.referee.reconciliation import reconcile

Ref = tuple[str, str]


def judge(
    rows: Rows, provider_books: ProviderBooks | None = None, acknowledged: Iterable[Acknowledged] = (), *,
    settled: bool = True, steady: bool = True,
) -> list[str]:  # fmt: skip
    """What is wrong, as sentences. `settled`: nothing may be in doubt; `steady`: no clock was ever set back."""
    return [*_Judged(rows, steady).found(provider_books, tuple(acknowledged), settled=settled)]


class _Judged:
    def __init__(self, rows: Rows, steady: bool) -> None:
        self.rows = rows
        self.definitions: dict[tuple[str, int], Definition] = {
            name: read_definition(text) for name, text in rows.pages.items()
        }
        self.entities: dict[Ref, Row] = {(each["machine"], each["id"]): each for each in rows.entities}
        self.journal = sorted(rows.entries, key=lambda each: each["seq"])
        self.by_key = {each["key"]: each for each in self.journal if each["key"] is not None}
        self.calls = {each["id"]: each for each in rows.calls}
        self.queue = {each["key"]: each for each in rows.queue}
        self._replay = JournalReplay(self.definitions, rows.steps, steady=steady)

    def found(
        self, provider_books: ProviderBooks | None, acknowledged: Sequence[Acknowledged], *, settled: bool
    ) -> Iterator[str]:
        yield from self._numbers()
        yield from self._entities()
        yield from self._keys()
        yield from self._driven()
        yield from misread(self.journal, self.rows.queue, self.definitions)
        yield from self._calls()
        yield from self._followed()
        for each in acknowledged:
            yield from self._answered(each)
        if settled:
            yield from (f"call {id} is in doubt: {each['note']}" for id, each in self.calls.items()
                        if each["state"] == "open")  # fmt: skip
        if provider_books is not None:
            cards = [each for each in self.rows.entities if each["facts"].get("number") and each["accounts"]]
            payments = [each for each in self.rows.entities if {"card", "hold_id"} <= each["facts"].keys()]
            yield from reconcile(provider_books, cards, payments, self.rows.calls, self.rows.entries, settled=settled)

    def _numbers(self) -> Iterator[str]:
        numbers = sorted(each["seq"] for each in self.rows.entries)
        without_gap = range(1, len(numbers) + 1) if self.rows.gapless else set(numbers)
        if numbers != sorted(without_gap):
            yield f"{len(numbers)} entries are numbered to {numbers[-1]}: one is missing or stands there twice"

    # Entities

    def _entities(self) -> Iterator[str]:
        by_entity = itemgetter("machine", "entity", "revision", "seq")
        yield from self._replay.take(sorted(self.journal, key=by_entity), self.entities)
        for machine, id in self.entities.keys() - self._replay.entities.keys():
            yield f"{machine} {id!r} has 0 entries and a row"

    # Commands

    def _keys(self) -> Iterator[str]:
        for key, times in Counter(each["key"] for each in self.rows.entries if each["key"] is not None).items():
            if times > 1:
                yield f"the key {key!r} stands on {times} entries"
        for entry in self.journal:
            where = f"entry {entry['seq']} ({entry['transition']} of {entry['machine']} {entry['entity']!r})"
            if (entry["key"] is None) == (entry["cause"] is None):
                yield f"{where} has to have either a key or a cause"
            if entry["cause"] is not None and entry["cause"] not in self.by_key:
                yield f"{where} was caused by key {entry['cause']!r}, which no entry has"

    def _driven(self) -> Iterator[str]:
        """What a transition drives stands in the same journal, under the same key, with the arguments that it gives."""
        found: dict[tuple[object, ...], list[Row]] = {}
        for each in self.journal:
            what = (each["key"] or each["cause"], each["machine"], each["entity"], each["command"], each["phase"])
            found.setdefault(what, []).append(each)
        for drive in self._replay.driven:
            rows = found.get((drive.key, drive.machine, drive.id, drive.command, drive.phase), [])
            if not rows:
                yield f"entry {drive.seq} drives {drive.command} of its {drive.link}, but that did not happen with it"
            elif drive.args is not None and not any(self._given(drive, each) for each in rows):
                yield (
                    f"entry {drive.seq} drives {drive.command} of its {drive.link} with {dict(drive.args)}, "
                    f"but that happened with {rows[-1]['args']}"
                )

    def _given(self, drive: DrivenEntry, row: Row) -> bool:
        """Whether an entry has the arguments that it was driven with, without those that are never kept."""
        kinds = self.definitions[row["machine"], row["machine_version"]].commands[drive.command]
        kept = {name: value for name, value in (drive.args or {}).items()
                if value is not None and value is not False and kinds.get(name) != "secret"}  # fmt: skip
        said = {name: value for name, value in json.loads(row["args"]).items() if name in kinds}  # the rest was read
        return bool(said == kept)

    def _calls(self) -> Iterator[str]:
        ended: dict[str, set[str]] = {}
        for entry in self.journal:
            if entry["call"] is None:
                continue
            if entry["call"] not in self.calls:
                yield f"entry {entry['seq']} is of call {entry['call']}, which is not kept"
            ended.setdefault(entry["call"], set())
            if entry["phase"] == "asked":
                ended[entry["call"]].clear()
            ended[entry["call"]].add(entry["phase"])
            if entry["phase"] == "confirmed":
                yield from self._referred(entry)
        for id, call in self.calls.items():
            last = ended.get(id, set()) - {"asked"}
            wanted = set() if call["state"] == "open" else {call["state"]}
            if last != wanted or id not in ended:
                yield f"call {id} is {call['state']}, the journal says {', '.join(sorted(last)) or 'it is open'}"
            opener = self.by_key.get(call["key"])
            if opener is None or opener["call"] != id:
                yield f"call {id} was opened under key {call['key']!r}, whose entry is not of this call"
            else:
                yield from self._asked(call, opener)

    def _asked(self, call: Row, opener: Row) -> Iterator[str]:
        """A call asks what the page makes of the values before it, for the order of whoever was given the command."""
        card = self._replay.entities.get((call["machine"], call["entity"]))
        wanted = card.asks.get(call["id"]) if card is not None else None
        if wanted is None:
            yield f"call {call['id']} is about {call['machine']} {call['entity']!r}, which asks nothing by its page"
            return
        verb, args = wanted
        facts = self.entities.get((opener["machine"], opener["entity"]), {"facts": {}})["facts"]
        order = json.loads(opener["args"]).get("order") or facts.get("order")
        told, args = json.loads(call["args"]), {**args, **({"order": order} if order else {})}
        if (call["verb"], told) != (verb, args):
            yield f"call {call['id']} asks for {call['verb']} with {told}; by its page it asks for {verb} with {args}"

    def _referred(self, entry: Row) -> Iterator[str]:
        """If an entry keeps the provider's reference as a fact, it is the one that the call was told."""
        transition = self._declared(entry)
        call = self.calls.get(entry["call"])
        if transition is None or call is None or not transition.told or not call["outcome"]:
            return
        outcome, facts = json.loads(call["outcome"]), json.loads(entry["facts"])
        for fact, name in transition.told.items():
            told = outcome.get(name) or outcome.get("reference")
            if facts.get(fact) != told:
                yield f"entry {entry['seq']} keeps {fact} {facts.get(fact)!r}, call {entry['call']} was told {told!r}"

    def _declared(self, entry: Row) -> DeclaredTransition | None:
        definition = self.definitions[entry["machine"], entry["machine_version"]]
        return definition.transitions.get(entry["transition"])

    def _followed(self) -> Iterator[str]:
        for row in self.rows.queue:
            entry = self.by_key.get(row["key"])
            if row["state"] == "done" and entry is None:
                yield f"queued {row['command']} ({row['key']}) is done, but the journal does not have it"
            if entry is not None and row["state"] == "waiting" and self._effects(row["key"]):
                yield f"queued {row['command']} ({row['key']}) was done, and waits to be done again"
        expected = self._replay.followed
        queued: dict[tuple[str, str, str, str], list[Row]] = {}
        for row in self.rows.queue:
            if row["cause"] is not None:
                about = row["cause"], row["machine"], row["entity"], row["command"]
                queued.setdefault(about, []).append(json.loads(row["args"]))
        for each in {**expected, **dict.fromkeys(queued)}:
            key, machine, id, command = each
            what = f"{command} of {machine} {id!r}"
            found, given = queued.get(each, []), self._replay.given.get(each, [])
            if expected[each] != len(found):
                yield f"key {key!r} has {what} follow {expected[each]} times, queued it is {len(found)}"
            elif not all(any(_as_given(args, each) for each in given) for args in found):
                yield f"key {key!r} has {what} follow with {given}, queued it is with {found}"
        yield from self._in_order()

    def _in_order(self) -> Iterator[str]:
        """What follows a command for one entity happens as the page lists it, and not the last alone."""
        first: dict[str, int] = {}
        for entry in self.journal:
            if entry["phase"] in ("done", "confirmed"):
                first.setdefault(entry["key"] or entry["cause"], entry["seq"])
        rows: dict[tuple[str, str, str], dict[str, Row]] = {}
        for row in self.rows.queue:
            rows.setdefault((row["cause"], row["machine"], row["entity"]), {})[row["command"]] = row
        for about, commands in self._replay.in_order.items():
            queued = [rows[about][each] for each in commands if each in rows.get(about, {})]
            for earlier, later in pairwise(queued):
                came, went = first.get(later["key"]), first.get(earlier["key"])
                never = went is None and earlier["state"] in ("refused", "withdrawn")
                if came is not None and (never or (went is not None and went > came)):
                    how = "never" if never else "later"
                    yield (
                        f"key {about[0]!r} has {later['command']} of {about[1]} {about[2]!r} follow "
                        f"{earlier['command']}, which happened {how}"
                    )

    def _effects(self, key: str) -> int:
        entry = self.by_key[key]
        return self._replay.entities[entry["machine"], entry["entity"]].fired[key]

    # What callers were told

    def _answered(self, told: Acknowledged) -> Iterator[str]:
        entry, queued = self.by_key.get(told.key), self.queue.get(told.key)
        said = f"{told.command} of {told.machine} {told.id!r} (key {told.key!r}) was told as {told.result}"
        if told.result == "deferred":
            if queued is None:
                yield f"{said}, but nothing waits or has waited under its key"
            return
        if told.result not in ("applied", "declined", "in_doubt"):
            return
        if entry is None:
            yield f"{said}, but the journal does not have it"
            return
        if (entry["machine"], entry["entity"], entry["command"]) != (told.machine, told.id, told.command):
            yield f"{said}, but its key stands for {entry['command']} of {entry['machine']} {entry['entity']!r}"
        effects = self._effects(told.key)
        if told.result == "applied" and effects != 1:
            yield f"{said}, but it had {effects} effects"
        if told.result == "declined" and effects:
            yield f"{said}, but it had its effect all the same"


def _as_given(args: Row, given: Row | None) -> bool:
    """Whether a queued command has the arguments that its page gives it. What it leaves out has a value of its own."""
    return given is None or all(_kept(args.get(name)) == _kept(value) for name, value in given.items())


def _kept(value: object) -> object:
    """A value as it is kept: what is false is left out."""
    return None if value is False else value

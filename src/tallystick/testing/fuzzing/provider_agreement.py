"""Whether the provider's half and ours are the same, after everything that really happened between them.

The scripted provider has true books of its own: what each confirmed call did to what is available and held, and what
each hold and transaction is still worth. Beside them stands what our journal posted, read as `check` reads the page
(`check.agreement`). And a hold that is in force has to be named by somebody, or nobody can ever end it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tallystick.check.agreement import Agreement, agreement
from tallystick.core.entity import CREATE, Entity
from tallystick.definition.machine import Machines
from tallystick.provider.scripted import Done, ScriptedProvider
from tallystick.store.rows import CallRow, EntryRow


def calls_that_differ(
    calls: Mapping[str, CallRow], done: Mapping[str, int], excused: Collection[str] = ()
) -> Iterator[str]:
    """Where our calls are not what the provider did, and how often. Open calls, and those excused, may be either."""
    for id, row in calls.items():
        times = done.get(id, 0)
        if times > 1:
            yield f"call {id} ({row.verb} on {row.entity}) was done {times} times by the provider"
        if row.state != "open" and id not in excused and (row.state == "confirmed") != bool(times):
            yield f"call {id} ({row.verb} on {row.entity}) is {row.state}, the provider did it {times} times"
    for id in done.keys() - calls.keys():
        yield f"the provider did {id}, which no call of ours asked for"


class ProviderAgreement:
    """Takes entries in their order, and what the provider did."""

    def __init__(self, machines: Machines, provider: ScriptedProvider) -> None:
        self._machines, self._provider = machines, provider
        self._read = {name: agreement(machines, machine) for name, machine in machines.items()}
        self._asked: dict[tuple[str, str, str], list[Any]] = {}
        self._facts: dict[tuple[str, str], dict[str, object]] = {}
        self._odd: set[str] = set()
        self._naming: set[str] = set()  # ids of cards whose page names holds

    def take(self, entry: EntryRow) -> Iterator[str]:
        """Where the two sides do not agree, as a sentence."""
        before = self._facts.setdefault((entry.machine, entry.entity), {})
        facts = json.loads(entry.facts)
        if entry.transition != CREATE and self._machines[entry.machine].commands[entry.command].signed:
            for half in self._provider.halves.values():
                for name in facts:
                    half.lose(str(before.get(name)))  # a person has seen that it is gone there
        before.update(facts)
        its, call = self._read[entry.machine], str(entry.call)
        yield from self._odd_calls()
        if its is not None and "hold" in its.names:
            self._naming.add(entry.entity)
        if its is None or entry.transition == CREATE or entry.machine_version != its.machine.version:
            return
        postings = json.loads(entry.postings)
        if entry.phase == "asked":
            self._asked[entry.machine, entry.entity, call] = postings
        elif entry.phase in ("done", "confirmed"):
            aside = self._asked.pop((entry.machine, entry.entity, call), [])
            yield from _apart(its, entry, [*aside, *postings], self._provider.done.get(call))

    def _odd_calls(self) -> Iterator[str]:
        """What no provider would have done. An id that this one never gave came from a caller, and may be wrong."""
        given = {each.reference for each in self._provider.done.values()}
        for id, done in self._provider.done.items():
            if id not in self._odd:
                self._odd.add(id)
                named = {done.args.get(name) for name in ("hold", "transaction")}
                if done.change.odd and (named == {None} or named & given):
                    yield f"{done.card}: {done.change.odd}"

    def at_rest(self, entities: Iterable[Entity]) -> Iterator[str]:
        """What is wrong while no call is open: holds that are in force, and that no fact names."""
        named = {value for each in entities for value in each.facts.values()}
        for card, half in self._provider.halves.items():
            for name in half.holds - named if card in self._naming else ():
                if half.worth[name]:
                    worth = half.worth[name]
                    yield f"{name} of {card} is still in force for {worth} (minor units), and nothing names it any more"


def _apart(its: Agreement, entry: EntryRow, postings: list[Any], done: Done | None) -> Iterator[str]:
    transition = its.machine.transitions[entry.transition]
    if not its.wanted(transition) or (transition.ask and (done is None or done.card != entry.entity)):
        return  # what it drives asks, or another of the same number asked for it
    forgets = its.forgets(done.verb, done.args) if transition.ask and done else ""
    if forgets:
        yield f"{entry.machine} {entry.entity!r}: {forgets}"
        return
    change = (done.change.available, done.change.held) if transition.ask and done else (0, 0)
    moved = its.moved(postings)
    if moved != change:
        said = f"the provider did {done.verb} {dict(done.args)}" if transition.ask and done else "nobody was asked"
        yield (
            f"{entry.machine} {entry.entity!r}: {entry.transition} moved available {moved[0]:+}, held {moved[1]:+} "
            f"(minor units), and {said}: available {change[0]:+}, held {change[1]:+} there. The two sides part"
        )

"""Calls beside the journal: what a call asks for is what its entries set aside, and it ended as they did.

The rest of a call's row stands in no entry: how often it was sent, who closed it. For that the row has a hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import attrs

from tallystick.core.resolve import kept
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machines
from tallystick.engine.verify.replay import CALLS, CallEntry
from tallystick.engine.verify.report import Finding, Wrong, before, findings, shown_in
from tallystick.engine.verify.scratch import Scratch, beside
from tallystick.provider.verbs import VERBS
from tallystick.store.rows import CallRow, is_changed


@attrs.frozen
class _Opening:
    """The last time a call was opened, and how that ended, if it did."""

    asked: Sequence[CallEntry]
    landed: Sequence[CallEntry]


def calls_against_journal(machines: Machines, calls: Iterator[CallRow], scratch: Scratch) -> Iterator[Finding]:
    """Also answers, for each call, what phase its last entry has."""
    for id, row, notes in beside(((row.id, row) for row in calls), scratch.notes(CALLS)):
        entries = [CallEntry.of(each) for _, each in notes or ()]
        if entries:
            scratch.answer(id, entries[-1].row.phase)
        if row is None:
            yield Finding("call_missing", f"call {id}", f"entry {entries[0].row.seq} is of it, but it is not kept")
        else:
            yield from findings(f"call {id}", _call(machines, row, entries))


def _call(machines: Machines, row: CallRow, entries: list[CallEntry]) -> Wrong:
    if is_changed(row):
        yield "call_hash", "its hash is not that of its row: the row was changed"
    if before(row.opened, row.asked) or (row.closed is not None and before(row.opened, row.closed)):
        yield "call_time", f"it was opened at {row.opened}, sent at {row.asked} and closed at {row.closed}"
    opening = _last_opening(entries)
    if not opening.asked:
        yield "call_unknown", "no entry has set anything aside for it"
        return
    keys = {each.row.key or each.row.cause for each in entries}
    if keys != {row.key}:
        yield "call_key", f"it is of the key {row.key!r}, its entries of {', '.join(sorted(map(repr, keys)))}"
    yield from _asked(row, opening.asked)
    yield from other_steps(machines, row, opening.asked)
    yield from _ended(row, opening)
    first, *_ = sorted(entries, key=_number)
    if row.opened != first.row.at:
        yield "call_time", f"it says it was opened at {row.opened}, its entries say at {first.row.at}"


def _number(entry: CallEntry) -> int:
    return entry.row.seq


def _last_opening(entries: list[CallEntry]) -> _Opening:
    """A call that came to nothing may have been opened again, so the last entries count."""
    asked: list[CallEntry] = []
    landed: list[CallEntry] = []
    for each in sorted(entries, key=_number, reverse=True):
        if each.row.phase == "asked":
            asked.insert(0, each)
        elif asked:
            break
        else:
            landed.insert(0, each)
    return _Opening(asked, landed)


def _asked(row: CallRow, asked: Sequence[CallEntry]) -> Wrong:
    """What the provider was asked for, computed again from the page and the values of then."""
    asker = next((each for each in asked if each.asks is not None), None)
    if asker is None or asker.asks is None:
        yield "call_unknown", "no entry of it asks the provider for anything"
        return
    entry, (verb, given) = asker.row, asker.asks
    for name, says, journal in (
        ("verb", row.verb, verb), ("machine", row.machine, entry.machine), ("entity", row.entity, entry.entity),
        ("currency", row.currency, entry.currency),
    ):  # fmt: skip
        if says != journal:
            yield "call_about", f"its row says {name} {says!r}, its entries {journal!r}"
    secrets = {name for name, kind in VERBS[verb].items() if kind.startswith("secret")}
    wanted = {name: value for name, value in given.items() if value is not None and name not in secrets}
    order = asked[0].order
    wanted |= {"order": order} if isinstance(order, str) and order else {}
    said = json.loads(row.args)
    shown = shown_in(entry.currency)
    for name in sorted(said.keys() | wanted.keys()):
        if said.get(name) != wanted.get(name):
            numbers = [each.get(name) for each in (said, wanted)]
            amounts = [shown(each) for each in numbers if type(each) is int]
            pair = f": {amounts[0]} in its row, {amounts[1]} by its entries" if len(amounts) == 2 else ""
            yield "call_args", f"it asks for another {name} than its entries set aside{pair}"


def other_steps(machines: Machines, row: CallRow, asked: Sequence[CallEntry]) -> Wrong:
    """What the row says is set aside is what the entries have set aside, in their order."""
    steps = row.in_flight
    if len(steps) != len(asked):
        yield "call_steps", f"it has {len(steps)} steps, but {len(asked)} entries set something aside for it"
        return
    for number, (step, each) in enumerate(zip(steps, asked, strict=True), 1):
        entry = each.row
        machine = machines.at(entry.machine, entry.machine_version)
        same = (step.machine, step.id, step.transition, step.command) == (
            entry.machine, entry.entity, entry.transition, entry.command
        )  # fmt: skip
        if not same:
            yield "call_steps", f"step {number} is {step.transition} of {step.machine}, its entry {entry.transition}"
            continue
        lines = zip(machine.rows[entry.transition].lines, step.amounts, strict=True)
        aside = [[source, IN_DOUBT, amount] for (source, _), amount in lines if amount]
        if aside != json.loads(entry.postings):
            yield "call_steps", f"step {number} sets {json.dumps(aside)} aside, its entry {entry.postings}"
        if kept(machine, entry.command, step.args) != json.loads(entry.args):
            yield "call_steps", f"step {number} has other arguments than its entry {entry.seq}"


def _ended(row: CallRow, opening: _Opening) -> Wrong:
    phases = sorted({each.row.phase for each in opening.landed}) or ["open"]
    if [row.state] != phases:
        yield "call_state", f"it is {row.state}, its entries say {' and '.join(phases)}"
        return
    outcome = row.ended
    if (outcome is None) != (row.state == "open") or (row.closed is None) != (row.state == "open"):
        yield "call_outcome", f"it is {row.state}, with {'no' if outcome is None else 'an'} outcome"
    if outcome is None or not opening.landed:
        return
    if outcome.result != row.state:
        yield "call_outcome", f"its outcome says {outcome.result}, its entries {row.state}"
    if row.closed != opening.landed[0].row.at:
        yield "call_time", f"it says it was closed at {row.closed}, its entries say at {opening.landed[0].row.at}"
    for step, entry in zip(row.in_flight, opening.landed, strict=False):
        if step.partial is None or outcome.amount is None or row.state != "confirmed":
            continue
        landed = json.loads(entry.row.args).get(step.partial)
        if landed != outcome.amount:
            shown = shown_in(row.currency)
            yield "call_outcome", f"its outcome says {shown(outcome.amount)}, its entry {shown(landed)}"

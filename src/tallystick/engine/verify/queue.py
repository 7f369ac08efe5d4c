"""Queued commands beside the journal: a command that was done has its entry, and what an entry queued is there.

The rest of a queued command stands in no entry: when it is due, how often it was tried. For that its row has a hash.
A command that a caller has given a time leaves no trace in the journal until it is executed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from tallystick.engine.verify.replay import FOLLOW_UPS, FollowUp
from tallystick.engine.verify.report import Finding, Wrong, findings
from tallystick.engine.verify.scratch import Scratch, beside
from tallystick.masks import quoted
from tallystick.store.rows import EntryRow, QueueRow, is_changed

QUEUED = "queued"  # a kind of notes
AT_ONCE = 500  # rows whose entries are looked up together
Keyed = Callable[[list[str]], Mapping[str, EntryRow]]
Fingerprint = Callable[[str, str, str, Mapping[str, object]], str]
DONE = ("done",)
# What a queued command may be, by what its entries say of it
MAY_BE: Mapping[str, tuple[str, ...]] = {
    "nothing": ("waiting", "refused", "parked", "dismissed", "withdrawn"),
    "open": DONE,
    "confirmed": DONE,
    "done": DONE,
    "declined": ("declined", "dismissed"),
    "unavailable": ("waiting", "refused", "parked", "dismissed", "withdrawn"),
}


def queue_against_journal(
    rows: Iterator[QueueRow], keyed: Keyed, scratch: Scratch, fingerprint: Fingerprint
) -> Iterator[Finding]:
    """`keyed` gives the entries that carry keys. Comes after the calls, which answer how each of them ended."""
    while part := list(islice(rows, AT_ONCE)):
        entries = keyed([row.key for row in part])
        for row in part:
            where = f"queued {row.command} ({quoted(row.key)})"
            yield from findings(where, _row(row, entries.get(row.key), scratch, fingerprint))
            if row.cause is not None:
                scratch.note(QUEUED, row.cause, 0, [row.machine, row.entity, row.command, row.args])
    for cause, queued, entered in beside(scratch.notes(QUEUED), scratch.notes(FOLLOW_UPS)):
        there = [each for _, each in queued or ()]
        follow_ups = [FollowUp(*each) for _, each in entered or ()]
        yield from findings(f"key {quoted(cause)}", _follow_ups(there, follow_ups))


def _row(row: QueueRow, entry: EntryRow | None, scratch: Scratch, fingerprint: Fingerprint) -> Wrong:
    if is_changed(row):
        yield "queue_hash", "its hash is not that of its row: the row was changed"
    says = "nothing"
    if entry is not None:
        if fingerprint(row.machine, row.entity, row.command, json.loads(row.args)) != entry.fingerprint:
            yield "queue_about", f"it is not the command of its entry {entry.seq}, or has other arguments"
        says = "done"
        if entry.call is not None:
            phase = scratch.answered(entry.call)
            says = "open" if phase == "asked" else str(phase)
    if row.state not in MAY_BE[says]:
        entries = "the journal has no entry of it" if says == "nothing" else f"the journal says {says}"
        yield "queue_state", f"it is {row.state}, but {entries}"


def _follow_ups(queued: list[tuple[str, str, str, str]], entered: list[FollowUp]) -> Wrong:
    """Each follow-up of a command is there once, and nothing else is."""
    missing = list(entered)
    for machine, entity, command, args in queued:
        what = f"{command} of {machine} {quoted(entity)}"
        same = [each for each in missing if (each.machine, each.entity, each.command) == (machine, entity, command)]
        if not same:
            yield "follow_up", f"its entries queue no {what}"
            continue
        said = json.loads(args)
        found = next((each for each in same if each.args is None or each.args == said), None)
        if found is None:
            yield "follow_up", f"{what} has not the arguments that were queued"
        missing.remove(found or same[0])
    for each in missing:
        yield "follow_up", f"its entries queue {each.command} of {each.machine} {quoted(each.entity)}, which is missing"

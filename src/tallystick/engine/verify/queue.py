"""Queued commands beside the journal: a command that was done has its entry, and what an entry queued is there.

The rest of a queued command stands in no entry: when it is due, how often it was tried. For that its row has a hash.
A command that a caller has given a time leaves no trace in the journal until it is executed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from tallystick.engine.verify.replay import FollowUp, Journal
from tallystick.engine.verify.report import Finding, Wrong, findings
from tallystick.masks import quoted
from tallystick.store.rows import QueueRow, is_changed

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


def queue_against_journal(rows: list[QueueRow], journal: Journal, fingerprint: Fingerprint) -> Iterator[Finding]:
    by_cause: dict[str, list[QueueRow]] = {}
    for row in rows:
        yield from findings(f"queued {row.command} ({quoted(row.key)})", _row(row, journal, fingerprint))
        if row.cause is not None:
            by_cause.setdefault(row.cause, []).append(row)
    for cause in sorted(by_cause.keys() | journal.follow_ups.keys()):
        found = _follow_ups(by_cause.get(cause, []), journal.follow_ups.get(cause, []))
        yield from findings(f"key {quoted(cause)}", found)


def _row(row: QueueRow, journal: Journal, fingerprint: Fingerprint) -> Wrong:
    if is_changed(row):
        yield "queue_hash", "its hash is not that of its row: the row was changed"
    entry = journal.keyed.get(row.key)
    says = "nothing"
    if entry is not None:
        if fingerprint(row.machine, row.entity, row.command, json.loads(row.args)) != entry.fingerprint:
            yield "queue_about", f"it is not the command of its entry {entry.seq}, or has other arguments"
        says = "done"
        if entry.call is not None:
            phase = max(journal.calls[entry.call], key=lambda each: each.row.seq).row.phase
            says = "open" if phase == "asked" else phase
    if row.state not in MAY_BE[says]:
        entries = "the journal has no entry of it" if says == "nothing" else f"the journal says {says}"
        yield "queue_state", f"it is {row.state}, but {entries}"


def _follow_ups(queued: list[QueueRow], entered: list[FollowUp]) -> Wrong:
    """Each follow-up of a command is there once, and nothing else is."""
    missing = list(entered)
    for row in queued:
        same = [each for each in missing if (each.machine, each.entity, each.command) == _about(row)]
        if not same:
            yield "follow_up", f"its entries queue no {row.command} of {row.machine} {quoted(row.entity)}"
            continue
        said = json.loads(row.args)
        found = next((each for each in same if each.args is None or dict(each.args) == said), None)
        if found is None:
            yield (
                "follow_up",
                f"{row.command} of {row.machine} {quoted(row.entity)} has not the arguments that were queued",
            )
        missing.remove(found or same[0])
    for each in missing:
        yield "follow_up", f"its entries queue {each.command} of {each.machine} {quoted(each.entity)}, which is missing"


def _about(row: QueueRow) -> tuple[str, str, str]:
    return row.machine, row.entity, row.command

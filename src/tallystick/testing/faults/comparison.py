"""When the books of two runs are the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import attrs

from tallystick.definition.machine import Machines
from tallystick.engine.receipt import FOLLOWS
from tallystick.testing.referee import Rows


@attrs.frozen
class ComparableBooks:
    """The books, without what is different in every run: ids, references, numbers drawn, times and hashes.

    What was asked and did not happen is left out. What happened stands in its order, but
    for what follows one command.
    """

    entities: Mapping[str, object]
    entries: Mapping[str, object]  # by entity
    queue: Mapping[str, str]  # key → state
    calls: Mapping[str, int]  # how often each ended in which way

    @classmethod
    def of(cls, rows: Rows, machines: Machines) -> ComparableBooks:
        references = _references(rows)
        entries: dict[str, list[Any]] = {}
        for each in rows.entries:
            if each["phase"] in ("done", "confirmed", "declined"):
                key = each["key"] or each["cause"]
                what = (each["transition"], each["phase"], each["to_state"], each["postings"], key)
                entries.setdefault(f"{each['machine']} {each['entity']}", []).append(what)
        return cls(
            {f"{each['machine']} {each['id']}": _entity(each, references, machines) for each in rows.entities},
            {name: _unordered(each) for name, each in entries.items()},
            {each["key"]: each["state"] for each in rows.queue},
            Counter(f"{each['verb']} for {each['key']}: {each['state']}" for each in rows.calls),
        )

    def differences(self, other: ComparableBooks) -> list[str]:
        """Where the other books are not like these of the undisturbed run, as sentences."""
        found = []
        for part in ("entities", "entries", "queue", "calls"):
            mine, others = getattr(self, part), getattr(other, part)
            found += [
                f"{part}: {name} is {others.get(name)}; undisturbed it is {mine.get(name)}"
                for name in sorted(mine.keys() | others.keys())
                if mine.get(name) != others.get(name)
            ]
        return found


def _unordered(entries: list[Any]) -> list[object]:
    """Of what follows one command, one part may be in doubt while the next is done: any order of these is the same."""
    runs = groupby(entries, key=lambda each: str(each[-1]).partition(FOLLOWS)[:2])
    return [each for (_, follows), run in runs for each in (sorted(run, key=str) if follows else run)]


def _references(rows: Rows) -> dict[str, str]:
    """The provider's references, and what each stands for."""
    found = {}
    for call in rows.calls:
        reference = json.loads(call["outcome"] or "{}").get("reference")
        if reference is not None:
            found[reference] = f"{call['verb']} for {call['key']}"
    return found


def _entity(row: Mapping[str, Any], references: Mapping[str, str], machines: Machines) -> tuple[object, ...]:
    declared = machines.at(row["machine"], row["machine_version"]).facts
    facts = {
        name: value is not None if declared[name].type.kind == "number" else references.get(str(value), value)
        for name, value in row["facts"].items()
    }
    return row["state"], dict(row["accounts"]), facts, row["calls"], row["changing"]

"""An entity moves to a newer version of its page: laid beside what that page says, by the referee's own code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tallystick.testing.referee.definition_reader import Definition
from tallystick.testing.referee.effects import IN_DOUBT, ReplayedEntity

MIGRATE = "migrate"  # the transition that such an entry names


def moved(old: Definition | None, new: Definition, replayed: ReplayedEntity, entry: Mapping[str, Any]) -> Iterator[str]:
    """Where an entry that moves an entity is not what its page says. Then the accounts are those of that page."""
    said = new.migrations.get(replayed.machine_version)
    postings, facts = json.loads(entry["postings"]), json.loads(entry["facts"])
    if said is None or old is None:
        yield f"it moves from version {replayed.machine_version}, and its page does not say how"
    else:
        state = said["states"].get(str(replayed.state), replayed.state)
        if entry["to_state"] != state:
            yield f"it moves to {entry['to_state']}; by its page {replayed.state} becomes {state}"
        places = {name: said["accounts"].get(name, name) for name in replayed.accounts}
        wanted = [[name, places[name], stands] for name, stands in replayed.accounts.items() if stands]
        wanted = [each for each in wanted if each[0] != each[1]]
        if sorted(postings) != sorted(wanted):
            yield f"it moves {postings}; by its page it moves {wanted}"
        if facts != (changed := _changed(old, new, said["facts"], replayed.facts)):
            yield f"it sets {facts}; by its page it sets {changed}"
    columns = [*new.accounts, *([IN_DOUBT] if new.accounts else [])]
    accounts = {**dict.fromkeys(columns, 0), **replayed.accounts}
    for source, target, amount in postings:
        for name, change in ((source, -amount), (target, amount)):
            accounts[name] = accounts.get(name, 0) + change
    lost = {name: stands for name, stands in accounts.items() if name not in columns and stands}
    if lost or (replayed.machine_version >= entry["machine_version"]):
        yield f"it moves from version {replayed.machine_version}, and {lost or 'nothing'} has no place any more"
    replayed.accounts = {name: accounts[name] for name in columns}
    replayed.facts = {**dict.fromkeys(new.facts), **replayed.facts}


def _changed(
    old: Definition, new: Definition, places: Mapping[str, str], before: Mapping[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """The facts that change: renamed, new with a default, or gone."""
    comes = {name: name for name in new.facts if name in old.facts and name not in places}
    comes |= {place: name for name, place in places.items() if name in old.facts}
    changed: dict[str, Any] = {}
    for name in new.facts:
        value = before.get(comes[name]) if name in comes else None
        value = new.defaults.get(name) if value is None else value
        if value != before.get(name):
            changed[name] = value
    gone = [name for name in places if name not in new.facts and before.get(name) is not None]
    return changed | dict.fromkeys(gone)

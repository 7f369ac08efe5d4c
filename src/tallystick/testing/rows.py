"""What any store holds, as the plain rows the referee reads."""

from __future__ import annotations

from typing import Any

import attrs

from tallystick.entity import Entity
from tallystick.machine import Machines
from tallystick.store import Store
from tallystick.store.schema import steps
from tallystick.testing.referee import Rows


def rows_of(store: Store) -> Rows:
    """Every row of a store, whatever it is kept in."""
    machines = store.machines(Machines([]))  # none that is new; all that are kept
    with store.reading() as reading:
        return Rows(
            entities=[_entity(each) for name in machines for each in reading.all(name)],
            entries=[each._asdict() for each in reading.journal()],
            calls=[_flat(each) for each in reading.all_calls()],
            queue=[_flat(each) for each in reading.queue()],
            pages={(each.name, each.version): each.text for each in machines.all()},
            steps=frozenset(step for machine in machines.all() for step in steps(machine)),
        )


def _entity(entity: Entity) -> dict[str, Any]:
    return {**_flat(entity), "facts": dict(entity.facts), "accounts": dict(entity.accounts)}


def _flat(row: Any) -> dict[str, Any]:
    return attrs.asdict(row, recurse=False)

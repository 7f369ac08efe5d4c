"""What any store holds, as the plain rows the referee reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from tallystick.core.entity import Entity
from tallystick.definition.machine import Machines
from tallystick.store.protocol import Store
from tallystick.store.rows import CallRow, QueueRow
from tallystick.store.schema import steps
from tallystick.testing.referee import Rows


def rows_of(store: Store) -> Rows:
    """Every row of a store, whatever it is kept in."""
    machines = store.machines(Machines([]))  # registers none, and gives all that are kept
    with store.reading() as reading:
        return Rows(
            entities=[entity_row(each) for name in machines for each in reading.all(name)],
            entries=[each._asdict() for each in reading.journal()],
            calls=[_flat(each) for each in reading.all_calls()],
            queue=[_flat(each) for each in reading.queue()],
            pages={(each.name, each.version): each.text for each in machines.all()},
            steps=frozenset(step for machine in machines.all() for step in steps(machine)),
            gapless=store.gapless,
        )


def entity_row(entity: Entity) -> dict[str, Any]:
    """One entity as a row."""
    return {**_flat(entity), "facts": dict(entity.facts), "accounts": dict(entity.accounts)}


def _flat(row: Entity | CallRow | QueueRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _NAMES[type(row)]}


_NAMES: Mapping[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in attrs.fields(kind)) for kind in (Entity, CallRow, QueueRow)
}

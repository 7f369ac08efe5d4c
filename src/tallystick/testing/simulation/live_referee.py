"""The referee, while a run goes on: it replays every new entry once, and compares every row that it touched.

So what was written is judged within a few operations, by the code that judges the whole run at its end: the chain, the
postings, the row against its journal, and the invariants of all that new entries have touched.
"""

from __future__ import annotations

from collections import Counter

from tallystick.definition.machine import Machines
from tallystick.store.protocol import Store
from tallystick.store.schema import steps
from tallystick.testing.referee.definition_reader import read_definition
from tallystick.testing.referee.journal_replay import JournalReplay
from tallystick.testing.store_rows import entity_row


class LiveReferee:
    """Looks at a store while a run goes on."""

    def __init__(self, machines: Machines, store: Store) -> None:
        self._store, self._seen = store, 0
        definitions = {(each.name, each.version): read_definition(each.text) for each in machines.all()}
        declared = frozenset(step for machine in machines.all() for step in steps(machine))
        self._replay = JournalReplay(definitions, declared, steady=False)

    @property
    def checked(self) -> Counter[str]:
        """What was looked at, and how often."""
        return self._replay.checked

    def look(self) -> list[str]:
        """What is wrong with whatever is new."""
        with self._store.reading() as reading:
            fresh = reading.chronicle(1 << 60)[self._seen :]
            rows = reading.entities({(each.machine, each.entity): None for each in fresh})
        self._seen += len(fresh)
        standing = {ref: entity_row(entity) for ref, entity in rows.items()}
        return list(self._replay.take((each._asdict() for each in fresh), standing))

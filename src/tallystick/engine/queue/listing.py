"""What waits, in the order of its time, read page by page: who wants a few of a million rows reads a few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge

import attrs

from tallystick.definition.machine import Machines
from tallystick.errors import NotFound
from tallystick.store.protocol import Reading
from tallystick.store.rows import QueueRow
from tallystick.store.waits import Waits

AT_ONCE = 500  # rows that are read together


def waiting(
    machines: Machines, reading: Reading, machine: str | None = None, id: str | None = None, *,
    command: str | None = None, since: str | None = None, until: str | None = None, after: str | None = None,
) -> Iterator[QueueRow]:  # fmt: skip
    """Commands that wait, dated or not, the longest waiting first; of one machine, one entity, one command if named.

    With `since` and `until` only those with a time between them, or with one of the two; with `after` those that come
    after the one with this key.

    Raises:
        NotFound: nothing was ever queued under the key `after`.
    """
    start = _place(reading, after) if after is not None else None
    any_of = Waits(dated=False, limit=AT_ONCE, since=since, until=until, after=start)
    dated = attrs.evolve(any_of, dated=True)
    if machine is not None and id is not None:
        found = iter([row for row in reading.waiting(machine, id) if any_of.takes(row) or dated.takes(row)])
    else:
        kinds = [attrs.evolve(dated, of=of) for of in _kinds(machines, machine, command)]
        found = merge(*(_rows(reading, each) for each in (*kinds, any_of)), key=_time)
    asked = ((machine, "machine"), (id, "entity"), (command, "command"))
    return (row for row in found if all(value in (None, getattr(row, name)) for value, name in asked))


def _kinds(machines: Machines, machine: str | None, command: str | None) -> Sequence[tuple[str, str] | None]:
    """The commands that are asked for, by machine; each is read by an index of its own."""
    if machine is None and command is None:
        return [None]
    known = ((each.name, name) for each in machines.all() for name in each.commands)
    return [of for of in dict.fromkeys(known) if machine in (None, of[0]) and command in (None, of[1])]


def not_dated(reading: Reading, now: str) -> Iterator[QueueRow]:
    """All that waits, the longest waiting first, but follow-ups whose page gave them a time that is still to come."""
    kinds = Waits(dated=False, limit=AT_ONCE), Waits(dated=True, limit=AT_ONCE, until=now)
    return merge(*(_rows(reading, each) for each in kinds), key=_time)


def _rows(reading: Reading, which: Waits) -> Iterator[QueueRow]:
    while True:
        found = reading.waits(which)
        yield from found
        if len(found) < which.limit:
            return
        which = attrs.evolve(which, after=_time(found[-1]))


def _place(reading: Reading, key: str) -> tuple[str, str]:
    row = reading.queued([key]).get(key)
    if row is None:
        raise NotFound("queued command", key)
    return _time(row)


def _time(row: QueueRow) -> tuple[str, str]:
    return row.due, row.key

"""In which order the follow-ups of one command are done: that of its page, and for parts that of the shares.

What a page puts off to a later time is done in the order of these times.

Keys say what follows what, and no order: `x>settle10` comes before `x>settle2`, and `x>close` before both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from tallystick.definition.machine import Machines
from tallystick.engine.receipt import FOLLOWS
from tallystick.store.rows import EntryRow, QueueRow


def in_declared_order(machines: Machines, causes: Mapping[str, EntryRow], rows: Iterable[QueueRow]) -> list[QueueRow]:
    """Rows with the follow-ups of each of the `causes` (entries by key) together, at the place of the first of them."""
    listed = list(rows)
    counted = Counter(row.cause for row in listed)
    first: dict[str | None, int] = {}
    for number, row in enumerate(listed):
        first.setdefault(row.cause, number)

    def place(numbered: tuple[int, QueueRow]) -> tuple[int, int, int]:
        number, row = numbered
        if row.cause is None or counted[row.cause] == 1 or row.cause not in causes:
            return number, 0, 0
        rank = _rank(machines, causes[row.cause], row)
        return (first[row.cause], *rank) if rank is not None else (number, 0, 0)

    return [row for _, row in sorted(enumerate(listed), key=place)]


def _rank(machines: Machines, cause: EntryRow, row: QueueRow) -> tuple[int, int] | None:
    """Where a follow-up stands on the page of its cause, and which one it is of those that stand there.

    None: it has a time of its own.
    """
    transition = machines.at(cause.machine, cause.machine_version).transitions[cause.transition]
    queued = [(then.each or cause.machine, then.command) for then in transition.then]
    pair = (row.machine, row.command)
    place = queued.index(pair) if pair in queued else len(queued)
    if place < len(queued) and transition.then[place].later:
        return None
    number = row.key.removeprefix(f"{row.cause}{FOLLOWS}{row.command}")
    return place, int(number) if number.isdecimal() else 1

"""Many groups in one transaction; and where one of them is busy or at fault, the others in smaller parts.

One card that somebody else has locked, or one row that cannot be read, must not stop the other hundreds. So what failed
is halved until it is alone. Who waits for a lock then waits only briefly: the whole timeout is for all of them once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.errors import CommitUnknown, StoreBusy, StoreError
from tallystick.store.protocol import Reading, Store
from tallystick.store.rows import QueueRow

Item = TypeVar("Item")
Done = TypeVar("Done")

BRIEFLY = 0.25  # seconds that a part waits for a lock, once it is known that one of them is busy
MOST_BUSY = 20  # parts of one whole that were busy; after that what is busy is not halved any more


def in_parts(
    items: Sequence[Item], do: Callable[[Sequence[Item], float | None], Done], ends: Callable[[Exception], bool],
    patience: float | None = None,
) -> Iterator[tuple[Sequence[Item], Done | Exception]]:  # fmt: skip
    """Do these together, or in parts that come to all of them; with each part what came of it, or why it is not done.

    `do`: with how many seconds to wait for a lock; None: as long as the store waits. `patience`: of the first try.
    `ends`: whether no part would fare better; then the error is raised, and nothing more is tried.
    """
    parts, busy = [items], 0
    while parts:
        part = parts.pop()
        try:
            done = do(part, patience)
        except Exception as error:
            if ends(error):
                raise
            patience = BRIEFLY
            busy += isinstance(error, StoreBusy)
            if len(part) == 1 or (isinstance(error, StoreBusy) and busy >= MOST_BUSY):
                yield part, error
                continue
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
            continue
        yield part, done


def in_turn(
    items: Sequence[Item], do: Callable[[Item], object], ends: Callable[[Exception], bool]
) -> tuple[Sequence[Item], Exception | None]:
    """Do these one after the other, up to the first that is at fault. What is left then, and why.

    `ends`: as for `in_parts`.
    """
    for number, item in enumerate(items):
        try:
            do(item)
        except Exception as error:
            if ends(error):
                raise
            return items[number:], error
    return [], None


def is_away(store: Store, error: Exception) -> bool:
    """Whether no other command would fare better: the store does not answer, or a commit's answer was lost."""
    if not isinstance(error, StoreError) or isinstance(error, CommitUnknown):
        return isinstance(error, StoreError)
    if isinstance(error, StoreBusy):
        return error.whole
    try:
        store.load("away")
    except StoreError:
        return True
    return False


def readable(
    reading: Reading, machines: Machines, rows: Sequence[QueueRow]
) -> tuple[dict[Ref, Entity], dict[str, str]]:
    """The entities of these commands; and by key, those that this process cannot take up, and why.

    Their pages came with another process, or somebody has changed their rows.
    """
    entities, found = dict[Ref, Entity](), dict[str, str]()
    causes = reading.keyed({row.cause for row in rows if row.cause is not None})
    known = {(each.name, each.version) for each in machines.all()}
    for row in rows:
        cause = causes.get(row.cause or "")
        if row.machine not in machines:
            found[row.key] = f"it is about {_brought(f'a {row.machine}')}"
        elif cause is not None and (cause.machine, cause.machine_version) not in known:
            found[row.key] = (
                f"it follows a command of {_brought(f'{cause.machine} on version {cause.machine_version}')}"
            )
    parts = [[row for row in rows if row.key not in found]]
    while parts:
        part = parts.pop()
        try:
            entities |= reading.look({(row.machine, row.entity) for row in part}).entities
        except StoreError as error:  # of a row; what the database itself says comes as its own error
            if len(part) == 1:
                found[part[0].key] = str(error)
            else:
                parts += [part[: len(part) // 2], part[len(part) // 2 :]]
    return entities, found


def _brought(what: str) -> str:
    return f"{what}, which another process has brought; open the books anew"

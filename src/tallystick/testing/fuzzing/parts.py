"""What a command reads of other entities, such as the payments of a tender; and shares of these worth trying.

The engine reads it inside its transaction. Whoever plans a step asks here, of the entities as they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import attrs

from tallystick.core.entity import Entity, Ref
from tallystick.core.follow_up import Shares
from tallystick.definition.declared import BUSY, COUNT, EACH, Command
from tallystick.definition.expression import NOW
from tallystick.definition.machine import Machine, Machines
from tallystick.moment import stamp
from tallystick.provider.scripted import BEGINS

Below = Callable[[int], int]  # a whole number from 0 up, less than the one given


@attrs.frozen
class Parts:
    """`waiting`: the entities for which a follow-up is queued; `now`: the time by the world's clock."""

    machines: Machines
    world: Mapping[Ref, Entity]
    waiting: Collection[Ref] = ()
    now: str = stamp(BEGINS)

    def of(self, entity: Entity, part: str) -> list[Entity]:
        """The parts of an entity, in their order."""
        fact = self._machine(entity).parts[part]
        found = [each for ref, each in self.world.items() if ref[0] == part and each.facts.get(fact) == entity.id]
        return sorted(found, key=lambda each: (len(each.id), each.id))

    def read(self, entity: Entity, command: Command) -> dict[str, object]:
        """What a command reads, by name; not the totals of shares, which come with its arguments."""
        found: dict[str, object] = {NOW: self.now} if command.timed else {}
        for name, fact, machine, account in command.linked:
            found[name] = self.world[machine, str(entity.facts[fact])].accounts[account]
        for name in command.reads:
            part, _, field = name.partition(".")
            if name not in found and part not in command.arguments:
                found[name] = self._value(self.of(entity, part), field)
        return found

    def _value(self, parts: list[Entity], field: str) -> object:
        if field == COUNT:
            return len(parts)
        if field == BUSY:
            return sum(1 for each in parts if each.calls or each.ref in self.waiting)
        if field == EACH:
            return tuple(each.id for each in parts if not self._machine(each).states[each.state].final)
        return sum(each.accounts[field] for each in parts)

    def _machine(self, entity: Entity) -> Machine:
        return self.machines.at(entity.machine, entity.machine_version)

    def shares(self, entity: Entity, command: str, argument: str, totals: Sequence[int], below: Below) -> list[Shares]:
        """Shares of its parts that come to one of these totals, if the parts have as much; by dice."""
        found = dict[Shares, None]()
        for part in self.sharing(entity, command, argument):
            parts = self.of(entity, part)
            for total in totals if parts else ():
                found |= dict.fromkeys(_spread(parts, total, below))
        return list(found)

    def sharing(self, entity: Entity, command: str, argument: str) -> dict[str, None]:
        """The machines whose entities may be named in such an argument."""
        rows = self._machine(entity).table.get((entity.state, command), ())
        thens = [then for row in rows for then in row.transition.then if then.shares == argument]
        return {then.each: None for then in thens if then.each is not None}


def _spread(parts: list[Entity], total: int, below: Below) -> Iterator[Shares]:
    """A total over some of the parts: as some account has room for it, and in pieces of any size."""
    order = parts if below(2) else parts[::-1]
    for account in parts[0].accounts:
        if sum(each.accounts[account] for each in order) >= total > 0:
            yield _filled(order, [each.accounts[account] for each in order], total)
    some = order[: 1 + below(len(order))]
    if total >= len(some):
        cuts = sorted({below(total) + 1 for _ in some[1:]} | {total})
        yield tuple(
            (each.id, upto - start) for each, start, upto in zip(order, [0, *cuts], cuts, strict=False) if upto > start
        )


def _filled(parts: list[Entity], rooms: list[int], total: int) -> Shares:
    """As much for each as it has room, in order."""
    shares, left = [], total
    for each, room in zip(parts, rooms, strict=True):
        share = min(room, left)
        left -= share
        if share:
            shares.append((each.id, share))
    return tuple(shares)

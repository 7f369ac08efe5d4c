"""What can occur in the life of a machine's entities, put together from its projections.

All patterns of accounts that may hold something would be 2 to the number of accounts. So beyond a few accounts they are
looked at in packs: those that a command looks at together are in one. What one pack rules out does not occur. What none
rules out might, and is given the benefit of the doubt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tallystick.check.structure.boundary_values import ValueClass
from tallystick.check.structure.projection import Projection, closure, declared_ways
from tallystick.check.structure.trials import Cell, Observed, StartClass, Trials
from tallystick.definition.declared import IN_DOUBT

FEW = 9  # accounts, which are one pack
PACK = 6  # accounts of a pack, if there are more
__all__ = ["Reachability", "closure", "declared_ways"]


class Reachability:
    """What one machine's entities can come to."""

    def __init__(self, trials: Trials) -> None:
        self.trials = trials
        self.machine = trials.machine
        self.cells: dict[str, list[Cell]] = defaultdict(list)  # by state
        for cell in trials.cells():
            self.cells[cell.state].append(cell)
        self._parts = [Projection(trials, self.cells, pack) for pack in self._packs()]
        first, *others = self._parts
        self.can_fire = first.can_fire.intersection(*(each.can_fire for each in others))  # state, transition
        self.ways: dict[str, dict[str, str]] = defaultdict(dict)  # from → to → by which transition
        for source, targets in first.ways.items():
            for target, by in targets.items():
                if all(target in each.ways.get(source, ()) for each in others):
                    self.ways[source][target] = by
        self._order = {name: index for index, name in enumerate(self.machine.transitions)}

    def _packs(self) -> list[int]:
        """The accounts in packs, as bits: those that a cell looks at together, as far as they are few."""
        bit = self.trials.bit
        doubt, every = bit.get(IN_DOUBT, 0), sum(bit.values())
        if len(bit) <= FEW + 1:
            return [every]
        masks = {start.mask & ~doubt for cells in self.cells.values() for cell in cells for start in cell.observed}
        small = [each for each in masks if each.bit_count() <= PACK]
        packs: list[int] = []
        for mask in [*sorted(small, key=lambda each: (-each.bit_count(), each)), *bit.values()]:
            at = next((at for at, pack in enumerate(packs) if (pack | mask).bit_count() <= PACK), None)
            if not any(mask & pack == mask for pack in packs):
                if at is None:
                    packs.append(mask)
                else:
                    packs[at] |= mask
        return [pack | doubt for pack in packs]

    def reached(self, state: str) -> bool:
        """Whether an entity can be in a state at all."""
        return all(each.reached(state) for each in self._parts)

    def observed(self, cell: Cell) -> Iterator[tuple[StartClass, Observed]]:
        """What was observed in a cell, of the classes that can occur when the command is given there."""
        for start, observed in cell.observed.items():
            if all(each.possible(cell, start) for each in self._parts):
                yield start, observed

    def may_hold(self, state: str, account: str) -> bool:
        """Whether an account may hold something in a state."""
        return all(each.may_be(state, account, holding=True) for each in self._parts)

    def may_be_alone(self, state: str, account: str, *, holding: bool) -> bool:
        """Whether an account may hold something, or be empty, while no call of the entity changes its state."""
        return all(each.may_be(state, account, holding=holding, alone=True) for each in self._parts)

    def may_occur(self, state: str, accounts: Mapping[str, int], facts: Mapping[str, object]) -> bool:
        """Whether an entity can be in a state with these values, as far as their classes tell."""
        return all(each.may_occur(state, accounts, facts) for each in self._parts)

    def classes(self, state: str, fact: str) -> set[ValueClass]:
        """What a fact may be in a state."""
        return set.intersection(*(each.classes(state, fact) for each in self._parts))

    def classes_when_fired(self, state: str, transition: str, fact: str) -> set[ValueClass]:
        """What a fact that transitions set may be when a transition fires in a state."""
        return set.intersection(*(each.classes_when_fired(state, transition, fact) for each in self._parts))

    def path_to(self, state: str) -> list[str]:
        """The shortest way to a state, as lines of a story."""
        came: dict[str, tuple[str, str]] = {}
        queue = [self.machine.start]
        for source in queue:
            for target, by in sorted(self.ways[source].items(), key=lambda way: self._order[way[1]]):
                if target not in came and target != self.machine.start:
                    came[target] = source, by
                    queue.append(target)
        steps = []
        while state in came:
            source, by = came[state]
            steps.append(f"{by}: {source} → {state}")
            state = source
        return [f"create: {self.machine.start}", *reversed(steps)]

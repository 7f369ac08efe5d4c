"""What has to be true in every state: the invariants of the pages, and those that users bring as functions.

And one that nobody has to write: every hold that is in force at the provider's is named by somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from tallystick.check.model.halves import unnamed
from tallystick.check.model.search import Search
from tallystick.check.wording import CURRENCY, amount
from tallystick.core.entity import Entity, Ref
from tallystick.core.refusal import shown
from tallystick.definition.declared import Invariant
from tallystick.definition.machine import Machine

UserInvariant = Callable[[Mapping[Ref, Entity]], str | None]  # what is wrong with these entities, or None


@attrs.frozen
class Broken:
    """An invariant that is not true, in the nearest state where it is not."""

    machine: Machine | None  # None: it is a user's function
    name: str
    message: str
    state: int  # its number in the graph


def entities(search: Search, state: int) -> dict[Ref, Entity]:
    """The entities of a state, with their own ids."""
    found = {}
    for member, each in enumerate(search.world.members):
        entity = search.role(member).snapshots[search.snapshot(state, member)]
        found[each.machine, each.id] = entity if entity.id == each.id else attrs.evolve(entity, id=each.id)
    return found


class Invariants:
    """All that has to hold in one world. `broken` keeps the first state in which each does not."""

    def __init__(self, wanted: Sequence[UserInvariant] = ()) -> None:
        self.broken: dict[str, Broken] = {}
        self._wanted = wanted
        self._checks: list[_Check] | None = None
        self._known: dict[tuple[int, ...], bool] = {}

    def look(self, search: Search, state: int, number: int) -> None:
        """Ask all of a state; `number` is its number in the graph."""
        if self._checks is None:
            self._checks = list(_checks(search))
        for at, check in enumerate(self._checks):
            mark = (at, *[search.snapshot(state, member) for member in check.members])
            holds = self._known.get(mark)
            if holds is None:
                holds = self._known[mark] = check.wrong(search, state) is None
            name = check.invariant.name
            if not holds and name not in self.broken:
                self.broken[name] = Broken(check.machine, name, check.wrong(search, state) or "", number)
        self._look_at_holds(search, state, number)
        for invariant in self._wanted:
            name = getattr(invariant, "__name__", repr(invariant))
            if name not in self.broken:
                wrong = invariant(entities(search, state))
                if wrong:
                    self.broken[name] = Broken(None, name, f"{name}: {wrong}", number)

    def _look_at_holds(self, search: Search, state: int, number: int) -> None:
        at = [(search.role(member), search.snapshot(state, member)) for member in range(len(search.world.members))]
        halves = [role.halves[snapshot] for role, snapshot in at]
        if any(halves) and NO_NAME not in self.broken:
            wrong = unnamed(halves, [role.snapshots[snapshot] for role, snapshot in at])
            if wrong:
                whose = next(role.machine for (role, _), half in zip(at, halves, strict=True) if half)
                self.broken[NO_NAME] = Broken(whose, NO_NAME, f"{wrong}, and nothing names it any more", number)


NO_NAME = "no name"


@attrs.frozen
class _Check:
    """One invariant of one entity."""

    machine: Machine
    members: tuple[int, ...]  # the entity, and those whose accounts are summed up for it
    invariant: Invariant
    always: Callable[..., object]

    def wrong(self, search: Search, state: int) -> str | None:
        """What is wrong, with the amounts; None if it holds."""
        member = self.members[0]
        role, snapshot = search.role(member), search.snapshot(state, member)
        entity, id = role.snapshots[snapshot], search.world.members[member].id
        values = dict(zip(search.cache.tracked[role.number], role.outside[snapshot], strict=True))
        values |= entity.accounts
        for name, total in self.invariant.sums.items():
            values[name] = sum(
                each.accounts[total.account]
                for other in self.members
                for each in [search.role(other).snapshots[search.snapshot(state, other)]]
                if each.machine == total.machine and each.facts.get(total.fact) == id
            )
        if self.always(values, entity.facts, {}, entity.state, None):
            return None
        facts = self.machine.facts
        told = {name: shown(entity.facts[name], facts[name].type, CURRENCY) if name in facts else amount(values[name])
                for name in sorted(self.invariant.always.names - {"state"})}  # fmt: skip
        amounts = ", ".join(f"{name} {value}" for name, value in told.items())
        return f"'{self.invariant.always.source}' is not true of {id} ({amounts}). {self.invariant.says}"


def _checks(search: Search) -> Iterator[_Check]:
    members = search.world.members
    for member in range(len(members)):
        machine = search.role(member).machine
        for each in search.world.invariants(machine):
            summed = {total.machine for total in each.sums.values()}
            others = [at for at, one in enumerate(members) if one.machine in summed and at != member]
            yield _Check(machine, (member, *others), each, each.always.compiled())

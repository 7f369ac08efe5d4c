"""What has to be true in every state: the invariants of the pages, and those that users bring as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from tallystick import money
from tallystick.check.memo import CURRENCY
from tallystick.check.search import Search
from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Invariant, Machine

Wanted = Callable[[Mapping[Ref, Entity]], str | None]  # what is wrong with these entities, or nothing


@attrs.frozen
class Broken:
    """An invariant that is not true, in the nearest state where it is not. No machine: it is a user's function."""

    machine: Machine | None
    name: str
    message: str
    state: int


def entities(search: Search, state: int) -> dict[Ref, Entity]:
    """The entities of a state, with their own names."""
    found = {}
    for member, each in enumerate(search.world.members):
        form = search.kind(member).forms[search.form(state, member)]
        found[each.machine, each.id] = form if form.id == each.id else attrs.evolve(form, id=each.id)
    return found


class Invariants:
    """All that has to hold in one world; keeps the first state in which each does not."""

    def __init__(self, wanted: Sequence[Wanted] = ()) -> None:
        self.broken: dict[str, Broken] = {}
        self._wanted = wanted
        self._checks: list[_Check] | None = None
        self._known: dict[tuple[int, ...], bool] = {}

    def look(self, search: Search, state: int, number: int) -> None:
        if self._checks is None:
            self._checks = list(_checks(search))
        for at, check in enumerate(self._checks):
            mark = (at, *[search.form(state, member) for member in check.members])
            fine = self._known.get(mark)
            if fine is None:
                fine = self._known[mark] = check.values(search, state) is None
            if not fine and check.name not in self.broken:
                self.broken[check.name] = Broken(check.machine, check.name, check.values(search, state) or "", number)
        for wish in self._wanted:
            name = getattr(wish, "__name__", repr(wish))
            if name not in self.broken:
                wrong = wish(entities(search, state))
                if wrong:
                    self.broken[name] = Broken(None, name, f"{name}: {wrong}", number)


@attrs.frozen
class _Check:
    """One invariant of one entity, with those whose accounts are summed up for it."""

    machine: Machine
    member: int
    members: tuple[int, ...]
    name: str
    invariant: Invariant
    always: Callable[..., object]

    def values(self, search: Search, state: int) -> str | None:
        """What is wrong, in numbers."""
        kind, form = search.kind(self.member), search.form(state, self.member)
        entity, id = kind.forms[form], search.world.members[self.member].id
        values = dict(zip(search.memo.tracked[kind.number], kind.outside[form], strict=True))
        values |= entity.accounts
        for name, total in self.invariant.sums.items():
            values[name] = sum(
                each.accounts[total.account]
                for other in self.members
                for each in [search.kind(other).forms[search.form(state, other)]]
                if each.machine == total.machine and each.facts.get(total.fact) == id
            )
        if self.always(values, {}, {}, entity.state, None):
            return None
        names = sorted(self.invariant.always.names - {"state"})
        numbers = ", ".join(f"{name} {money.to_text(values[name], CURRENCY)}" for name in names)
        return f"'{self.invariant.always.source}' is not true of {id} ({numbers}). {self.invariant.says}"


def _checks(search: Search) -> Iterator[_Check]:
    members = search.world.members
    for member in range(len(members)):
        machine = search.kind(member).machine
        for each in search.world.invariants(machine):
            summed = {total.machine for total in each.sums.values()}
            others = [at for at, one in enumerate(members) if one.machine in summed and at != member]
            yield _Check(machine, member, (member, *others), each.name, each, each.always.compiled())

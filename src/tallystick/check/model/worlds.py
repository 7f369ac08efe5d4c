"""The small worlds that the model searches: which entities live together, and how much money there is.

A mistake in a lifecycle shows with few entities and small amounts, if they are in the right company. So instead of one
world with everything there are several small ones, made from the declarations alone:

    payment             one payment, with all that it links to
    payment ×2          two payments, alike, on the same card: what one does must not harm the other
    payment, gift_card  with one more of what its commands may name (`refund_to` another card)
    payment.card = fulfilment.card  two machines that link to the same card
    replacement.old = replacement.new  two links of one machine name the same card
    gift_card by hand   the commands that only other machines may give are given directly, so that every guard is
                        tried with every value, not only with what other machines send today

Each way to create the entities is a root of the search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product

import attrs

from tallystick.check.model.inputs import (
    Facts,
    arguments,
    creation_facts,
    link_arguments,
    linked_facts,
    moments,
    own_text,
)
from tallystick.core.entity import Request
from tallystick.definition.declared import Invariant
from tallystick.definition.machine import Machine, Machines

CROWD = 3  # with this many entities, a world allows only one call in flight and keeps the linked ones quiet


@attrs.frozen
class Member:
    """One entity of a world."""

    machine: str
    id: str
    facts: tuple[Facts, ...]  # the ways in which it may be created
    linked: bool = False  # it is only here because another links to it


@attrs.frozen
class World:
    """What lives together, and the bounds of the search."""

    name: str
    machines: Machines
    members: tuple[Member, ...]
    most: int  # bounds every amount, and what an entity may carry; minor units
    calls: int = 2  # as many may be in flight
    queue: int = 2  # as many follow-ups may wait
    about: str = ""  # the machine for whose sake it was made
    by_hand: bool = False  # driven commands are given directly, so nothing holds between machines
    crowd: bool = False  # linked members only get commands that change their state; the rest was tried in other worlds
    share: float = 1  # how many times the usual number of states

    def invariants(self, machine: Machine) -> list[Invariant]:
        """The invariants of a machine that can be asked here: what they sum over is here, and drives by itself."""
        here = {member.machine for member in self.members}
        summed = [(each, {total.machine for total in each.sums.values()}) for each in machine.invariants.values()]
        return [each for each, over in summed if not over or (over <= here and not self.by_hand)]

    def requests(self, member: Member, state: str) -> Iterator[Request]:
        """Every command that a member in a state answers to a caller, with all small arguments."""
        machine = self.machines[member.machine]
        ids: dict[str, list[str]] = {}
        for each in self.members:
            ids.setdefault(each.machine, []).append(each.id)
        for command in machine.commands.values():
            rows = machine.table.get((state, command.name))
            if rows is None or (command.driven and not self.by_hand):
                continue
            if self.crowd and member.linked and not any(row.changes for row in rows):
                continue
            transitions = [row.transition for row in rows]
            for args in arguments(machine, command, transitions, self.most, ids, own_text(member.id)):
                for now in moments(self.machines, machine.name, command.name):
                    yield Request(machine.name, member.id, command.name, args, now)


def worlds(machines: Machines, only: tuple[str, ...], most: int) -> Iterator[World]:
    """The worlds in which the machines of `only` are looked at, the smallest first."""
    met: set[str] = set()
    for name in only or tuple(machines):
        for world in _worlds_about(machines, machines[name], most):
            if world.name not in met:
                met.add(world.name)
                yield attrs.evolve(world, about=name)


def _worlds_about(machines: Machines, machine: Machine, most: int) -> Iterator[World]:
    fewer = max(1, most - 1)
    alone = _Company(machines, most)
    alone.add(machine.name)
    driven = any(command.driven for command in machine.commands.values())
    if driven:
        yield _by_hand(machines, machine, most)
    if len(alone.members) == 1 or any(not command.driven for command in machine.commands.values()):
        yield alone.world(machine.name, fewer if driven or len(alone.members) >= CROWD else most)
    named = sorted(set(link_arguments(machine)))
    if named:
        wider = _Company(machines, most)
        wider.add(machine.name)
        for other in named:
            wider.add(other, host=machine.name)
        yield wider.world(f"{machine.name}, {', '.join(named)}", fewer)
    if machine.links:
        each = max(fewer, min(most, 2))  # with one unit, both could not have something at once
        two = _Company(machines, each)
        two.add(machine.name, two.add(machine.name))
        yield attrs.evolve(two.world(f"{machine.name} ×2", each), share=4)  # value may be stuck at its very end
    yield from _joined(machines, machine, fewer)
    yield from _pairs(machines, machine, fewer)


def _joined(machines: Machines, machine: Machine, most: int) -> Iterator[World]:
    """One entity is what two links of a machine name."""
    free = {fact: target for fact, target in machine.links.items() if not machine.facts[fact].later}
    for (one, target), (other, to) in combinations(free.items(), 2):
        if target == to and not machines[to].reads_parts:
            company = _Company(machines, most)
            company.add(machine.name, joined=(one, other))
            yield company.world(f"{machine.name}.{one} = {machine.name}.{other}", most)


def _pairs(machines: Machines, machine: Machine, most: int) -> Iterator[World]:
    """Two machines that link to the same third one, in each way to share one entity of it."""
    linking = [each for each in machines.values() if each.links]
    for one, other in combinations(sorted(linking, key=lambda each: each.name), 2):
        if machine.name not in (one.name, other.name, *one.links.values()):
            continue
        for (fact, target), (theirs, to) in product(one.links.items(), other.links.items()):
            if target != to or machines[to].reads_parts:
                continue
            company = _Company(machines, most)
            shared = company.add(one.name)[fact]
            company.add(other.name, {theirs: shared})
            yield company.world(f"{one.name}.{fact} = {other.name}.{theirs}", most)


def _by_hand(machines: Machines, machine: Machine, most: int) -> World:
    """A machine with what it links to; its driven commands are given directly."""
    free = {name: attrs.evolve(command, driven=False) for name, command in machine.commands.items()}
    freed = [attrs.evolve(machine, commands=free), *(each for each in machines.values() if each is not machine)]
    company = _Company(Machines(freed), most)
    company.add(machine.name)
    return attrs.evolve(company.world(f"{machine.name} by hand", most), by_hand=True, calls=1, queue=1, share=0.25)


class _Company:
    """Entities as they come together. Each links to entities of its own, unless it is given which."""

    def __init__(self, machines: Machines, most: int) -> None:
        self._machines = machines
        self._most = most
        self.members: list[Member] = []

    def add(
        self, name: str, linked: Mapping[str, str] | None = None, host: str = "", above: tuple[str, ...] = (),
        joined: tuple[str, ...] = (),
    ) -> dict[str, str]:  # fmt: skip
        """Add one more of machine `name`, to which `host` links if it is given; returns fact → id of what it links to.

        `above`: the chain of machines that need it. A machine that links to its own kind is there twice, and no more.
        `joined`: links that name one entity.
        """
        machine, links = self._machines[name], dict(linked or {})
        for fact, target in machine.links.items():
            if self._machines[target].reads_parts:
                continue  # it links to its parts in turn, and is not searched
            if fact not in links and not machine.facts[fact].later and (*above, name).count(target) < 2:
                known = next((links[each] for each in joined if fact in joined and each in links), None)
                if known is None:
                    self.add(target, host=name, above=(*above, name))
                links[fact] = known or self.members[-1].id
        number = 1 + sum(member.machine == name for member in self.members)
        alike = [each for each in self._machines if each[0] == name[0]]
        id = f"{name[0] if len(alike) == 1 else name}{number}"
        found = (
            linked_facts(machine, links, self._machines[host]) if host else creation_facts(machine, links, self._most)
        )
        if machine.unique:
            found = tuple({**way, machine.unique: way[machine.unique] and own_text(id)} for way in found)
        self.members.append(Member(name, id, found, linked=bool(host)))
        return links

    def world(self, name: str, most: int) -> World:
        crowd = len(self.members) >= CROWD
        return World(name, self._machines, tuple(self.members), most, calls=1 if crowd else 2, crowd=crowd)

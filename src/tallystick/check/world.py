"""The small worlds that the model searches: which entities live together, and how much money there is.

A fault of a lifecycle shows with few entities and small amounts; what it needs is the right company. So instead
of one world with everything there are several small ones, made from the declarations alone:

    payment             one of it, with all that it links to
    payment ×2          two of it, alike, on the same card, a unit for each: what one does must not harm the other
    payment, gift_card  with one more of what its commands may name (`refund_to` another card)
    payment, fulfilment two machines that link to the same card
    gift_card by hand   the commands that only other machines may give are given directly, so that every guard is
                        tried with every value, not only with what today's drivers send

Facts given at creation take every value of a small domain (several roots of one search), arguments too: amounts
from a little below zero up to `most`, every choice, yes and no, a text or none. What is only passed on to the
provider has one value, for no guard can tell.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import attrs

from tallystick.check.values import texts, written
from tallystick.definition.expression import Expression, Type
from tallystick.definition.machine import Invariant, Machine, Machines, Transition

TEXT = "x"  # begins every text
CROWD = 3  # entities in a world from which on only one call is in flight, one follow-up waits
ROOTS = 24  # ways to create the entities of one world; past that, each fact is varied alone
Facts = Mapping[str, object]


@attrs.frozen
class Member:
    """One entity of a world, and the ways in which it may be created."""

    machine: str
    id: str
    facts: tuple[Facts, ...]
    linked: bool = False  # it is here for another's sake


@attrs.frozen
class World:
    """What lives together, and the bounds of the search.

    `about` is the machine for whose sake it was made. `most` bounds every amount and what an entity may carry, `calls`
    how many are in flight, `queue` how many follow-ups wait. `by_hand`: driven commands are given directly, so what
    holds between machines does not hold. `crowd`: those that are here for another's sake get only commands that change
    their state; what else they can do was tried in smaller company. `share`: how many times the usual number of states.
    """

    name: str
    machines: Machines
    members: tuple[Member, ...]
    most: int
    calls: int = 2
    queue: int = 2
    about: str = ""
    by_hand: bool = False
    crowd: bool = False
    share: float = 1

    def invariants(self, machine: Machine) -> list[Invariant]:
        """Those of a machine that can be asked here: the ones summed over are there, and drive by themselves."""
        here = {member.machine for member in self.members}
        summed = [(each, {total.machine for total in each.sums.values()}) for each in machine.invariants.values()]
        return [each for each, over in summed if not over or (over <= here and not self.by_hand)]


def worlds(machines: Machines, only: tuple[str, ...], most: int) -> Iterator[World]:
    """The worlds in which the machines of `only` are looked at, the smallest first."""
    told: set[str] = set()
    for name in only or tuple(machines):
        for world in _of(machines, machines[name], most):
            if world.name not in told:
                told.add(world.name)
                yield attrs.evolve(world, about=name)


def _of(machines: Machines, machine: Machine, most: int) -> Iterator[World]:
    alone = _Cast(machines, most)
    alone.add(machine.name)
    driven = any(command.driven for command in machine.commands.values())
    if driven:
        yield by_hand(machines, machine, most)
    if alone.count == 1 or any(not command.driven for command in machine.commands.values()):
        yield alone.world(machine.name, _fewer(most) if driven or alone.count >= CROWD else most)
    named = sorted({type_.machine for type_ in _argument_types(machine) if type_.kind == "link"})
    if named:
        wider = _Cast(machines, most)
        wider.add(machine.name)
        for other in named:
            wider.add(other, host=machine.name)
        yield wider.world(f"{machine.name}, {', '.join(named)}", _fewer(most))
    if machine.links:
        each = max(_fewer(most), min(most, 2))  # what one unit less could not do: both have something at once
        two = _Cast(machines, each)
        first = two.add(machine.name)
        two.add(machine.name, dict(first))
        yield attrs.evolve(two.world(f"{machine.name} ×2", each), share=4)  # seen to its end: value may be stuck there
    yield from _pairs(machines, machine, _fewer(most))


def _pairs(machines: Machines, machine: Machine, most: int) -> Iterator[World]:
    """Two machines that link to a common third: each way to share one entity of it."""
    linking = [each for each in machines.values() if each.links]
    for one, other in combinations(sorted(linking, key=lambda each: each.name), 2):
        if machine.name not in (one.name, other.name, *one.links.values()):
            continue
        for (fact, target), (theirs, to) in product(one.links.items(), other.links.items()):
            if target != to:
                continue
            cast = _Cast(machines, most)
            shared = dict(cast.add(one.name))[fact]
            cast.add(other.name, {theirs: shared})
            yield cast.world(f"{one.name}.{fact} = {other.name}.{theirs}", most)


def _fewer(most: int) -> int:
    return max(1, most - 1)


def by_hand(machines: Machines, machine: Machine, most: int) -> World:
    """A machine with what it links to, its driven commands given directly."""
    free = {name: attrs.evolve(command, driven=False) for name, command in machine.commands.items()}
    freed = [attrs.evolve(machine, commands=free), *(each for each in machines.values() if each is not machine)]
    cast = _Cast(Machines(freed), most)
    cast.add(machine.name)
    return attrs.evolve(cast.world(f"{machine.name} by hand", most), by_hand=True, calls=1, queue=1, share=0.25)


class _Cast:
    """Entities as they come together: each links to ones of its own, unless told which."""

    def __init__(self, machines: Machines, most: int) -> None:
        self._machines = machines
        self._most = most
        self._members: list[Member] = []

    @property
    def count(self) -> int:
        return len(self._members)

    def add(
        self, name: str, linked: Mapping[str, str] | None = None, host: str = "", above: tuple[str, ...] = ()
    ) -> dict[str, str]:
        """One more of machine `name`, in the company of `host`; gives what its facts link to.

        `above`: for whose sake it is here. One that links to its own kind is there twice, and there it stops.
        """
        machine, links = self._machines[name], dict(linked or {})
        for fact, target in machine.links.items():
            if fact not in links and not machine.facts[fact].later and (*above, name).count(target) < 2:
                self.add(target, host=name, above=(*above, name))
                links[fact] = self._members[-1].id
        number = 1 + sum(member.machine == name for member in self._members)
        alike = [each for each in self._machines if each[0] == name[0]]
        id = f"{name[0] if len(alike) == 1 else name}{number}"
        found = in_company(machine, links, self._machines[host]) if host else ways(machine, links, self._most)
        if machine.unique:
            found = tuple({**way, machine.unique: way[machine.unique] and own_text(id)} for way in found)
        self._members.append(Member(name, id, found, linked=bool(host)))
        return links

    def world(self, name: str, most: int) -> World:
        crowd = self.count >= CROWD
        return World(name, self._machines, tuple(self._members), most, calls=1 if crowd else 2, crowd=crowd)


# Values


def ways(machine: Machine, links: Mapping[str, str], most: int) -> tuple[Facts, ...]:
    """The facts that one may be created with. All combinations, or, if they are many, each varied alone."""
    domains: dict[str, list[object]] = {}
    asked, known = _asked_of(machine.transitions.values()), _written(machine)
    for name, fact in machine.facts.items():
        if name in links or fact.type.kind == "link":
            domains[name] = [links.get(name)]
            if name in links and fact.type.optional:
                domains[name].append(None)
        elif fact.later:
            domains[name] = [fact.default]
        elif name not in asked:
            domains[name] = [fact.default if fact.default is not None else values(fact.type, most, {}, plain=True)[0]]
        else:
            domains[name] = _first(fact.default, values(fact.type, most, {}, least=-1, known=known))
    count = 1
    for each in domains.values():
        count *= len(each)
    if count <= ROOTS:
        return tuple(dict(zip(domains, way, strict=True)) for way in product(*domains.values()))
    return tuple(_varied(domains))


def in_company(machine: Machine, links: Mapping[str, str], host: Machine) -> tuple[Facts, ...]:
    """As few ways as will do for one that another links to: only choices that both know are varied."""
    known = {fact.type.choices for fact in host.facts.values() if fact.type.kind == "choice"}
    shared = [name for name, fact in machine.facts.items() if fact.type.kind == "choice" and fact.type.choices in known]
    first = ways(machine, links, 1)[0]
    return tuple(
        {**first, **dict(zip(shared, way, strict=True))}
        for way in product(*(machine.facts[name].type.choices for name in shared))
    )


def _first(default: object, domain: list[object]) -> list[object]:
    return domain if default is None else [default, *(value for value in domain if value != default)]


def _varied(domains: Mapping[str, list[object]]) -> Iterator[Facts]:
    """Two ways, the first value of each fact and the last, and both with each fact varied alone."""
    told: list[Facts] = []
    for base in ({name: each[0] for name, each in domains.items()}, {name: each[-1] for name, each in domains.items()}):
        for name, each in domains.items():
            for value in each:
                way = {**base, name: value}
                if way not in told:
                    told.append(way)
                    yield way


def values(
    type_: Type,
    most: int,
    ids: Mapping[str, list[str]],
    *,
    least: int = -1,
    plain: bool = False,
    text: str = TEXT,
    known: Sequence[object] = (),
) -> list[object]:
    """Small values of a type, amounts from `least` on. `plain`: nobody looks, one will do. `text`: the one text.

    `known`: what the page compares with. Amounts stay small all the same, as a world has little money.
    """
    some: list[object]
    match type_.kind:
        case "money" | "count":
            some = [1] if plain else [*range(1, most + 1), *range(0, least - 1, -1)]
            if type_.kind == "count" and not plain:
                near = {each + by for each in known if isinstance(each, int) for by in (0, 1)}
                some += sorted(near - set(some))
        case "flag":
            return [False] if plain else [False, True]
        case "choice":
            some = list(type_.choices)
        case "link":
            some = list(ids.get(type_.machine, []))
        case "secret":
            return [None if type_.optional else TEXT]  # no guard may ask for it
        case "text":
            some = (
                [text]
                if plain
                else list(dict.fromkeys([text, TEXT, *(each for each in known if isinstance(each, str))]))
            )
        case _:
            some = [text]
    if type_.optional:
        return [None] if plain else [None, *some]
    return some


def own_text(id: str) -> str:
    """The text that an entity gives: its own, so that no two get the same unique fact."""
    return f"{TEXT}-{id}"


def requests(world: World, member: Member, state: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every command that a state answers to a caller, with every small value of its arguments."""
    machine, most = world.machines[member.machine], world.most
    known = _written(machine)
    ids: dict[str, list[str]] = {}
    for each in world.members:
        ids.setdefault(each.machine, []).append(each.id)
    for command in machine.commands.values():
        rows = machine.table.get((state, command.name))
        if rows is None or (command.driven and not world.by_hand):
            continue
        if world.crowd and member.linked and not any(row.changes for row in rows):
            continue
        transitions = [row.transition for row in rows]
        asked = _asked_of(transitions)
        turned = _turned(transitions)
        domains = [
            values(
                type_,
                most,
                ids,
                least=-most if name in turned else -1,
                plain=name not in asked and type_.kind != "link",
                text=own_text(member.id),
                known=known,
            )
            for name, type_ in command.arguments.items()
        ]
        for way in product(*domains):
            yield command.name, dict(zip(command.arguments, way, strict=True))


def _written(machine: Machine) -> Sequence[object]:
    """The counts and texts that a page compares with."""
    return [*written(_guards_of(machine)), *texts(machine)]


def _guards_of(machine: Machine) -> list[Expression]:
    return [each.guard for each in machine.transitions.values() if each.guard]


def _asked_of(transitions: Iterable[Transition]) -> frozenset[str]:
    """Names that anything but the provider's part depends on."""
    return frozenset(name for each in transitions for expression in _depends(each) for name in expression.names)


def _depends(transition: Transition) -> Iterator[Expression]:
    if transition.guard:
        yield transition.guard
    yield from (move.amount for move in transition.moves)
    yield from transition.sets.values()
    if transition.upto:
        yield transition.upto
    for drive in transition.drives:
        yield from drive.arguments.values()
    for then in transition.then:
        yield from then.arguments.values()


def _turned(transitions: list[Transition]) -> frozenset[str]:
    """Names that stand with a minus before them somewhere: they are meant to be below zero, too."""
    found = set()
    for transition in transitions:
        for expression in _depends(transition):
            for node in ast.walk(ast.parse(expression.source.strip(), mode="eval")):
                if (
                    isinstance(node, ast.UnaryOp)
                    and isinstance(node.op, ast.USub)
                    and isinstance(node.operand, ast.Name)
                ):
                    found.add(node.operand.id)
    return frozenset(found)


def _argument_types(machine: Machine) -> Iterator[Type]:
    for command in machine.commands.values():
        yield from command.arguments.values()

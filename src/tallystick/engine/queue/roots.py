"""What work is about: two items that have a root in common are not worked on at the same time.

The roots of an entity are the entities at the end of all its links, such as a card and the tender of an order, and the
card numbers that stand on the way. Two entities that share something have a root in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tallystick.core.entity import Entity, Ref
from tallystick.definition.machine import Machines
from tallystick.store.protocol import Reading

Item = TypeVar("Item")
Root = tuple[str, ...]  # machine and id of an entity; or machine, "#" and the value of its unique fact


def grouped(
    reading: Reading, machines: Machines, items: Iterable[tuple[Item, Iterable[Ref]]], workers: int
) -> list[list[Item]]:
    """Items by what they are about, each with the entities that it names. In a group they keep their order.

    Two are in one group if they share an entity, something that both link to, or a card number. For one worker they
    are one group.
    """
    if workers == 1:
        return [[item for item, _ in items]]
    about = [(item, list(refs)) for item, refs in items]
    found = roots(reading.look({ref for _, refs in about for ref in refs}).entities, machines)
    return [
        group
        for group, _ in grouped_by_root((item, [root for ref in refs for root in found[ref]]) for item, refs in about)
    ]


def roots(entities: Mapping[Ref, Entity], machines: Machines) -> dict[Ref, list[Root]]:
    """The roots of each of these entities, which are there with all that they link to."""
    found: dict[Ref, list[Root]] = {}

    def of(ref: Ref) -> list[Root]:
        if ref not in found:
            entity = entities[ref]
            links = machines.at(entity.machine, entity.machine_version).links.items()
            linked = [(to, str(entity.facts[fact])) for fact, to in links if entity.facts.get(fact) is not None]
            there = dict.fromkeys(root for each in linked for root in of(each)) or {ref: None}
            unique = entity.facts.get(machines[entity.machine].unique or "")
            found[ref] = [*there, *([] if unique is None else [(entity.machine, "#", str(unique))])]
        return found[ref]

    for ref in entities:
        of(ref)
    return found


def grouped_by_root(items: Iterable[tuple[Item, Sequence[Root]]]) -> list[tuple[list[Item], list[Root]]]:
    """Groups of items that have roots in common, each with all of its roots."""
    parents: dict[Root, Root] = {}
    listed: list[tuple[Item, Root]] = []
    for item, its_roots in items:
        for root in its_roots:
            parents.setdefault(root, root)
            parents[_leader(parents, root)] = _leader(parents, its_roots[0])
        listed.append((item, its_roots[0]))
    groups: dict[Root, tuple[list[Item], list[Root]]] = {}
    for item, root in listed:
        groups.setdefault(_leader(parents, root), ([], []))[0].append(item)
    for root in parents:
        groups[_leader(parents, root)][1].append(root)
    return list(groups.values())


def _leader(parents: dict[Root, Root], root: Root) -> Root:
    """The root that stands for the whole group of a root."""
    while parents[root] != root:
        parents[root] = root = parents[parents[root]]
    return root

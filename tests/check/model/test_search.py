"""The search: what it remembers is what the core says, names do not matter, and the same search gives the same."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import attrs
import pytest

from core_world import MACHINES
from tallystick.check.model.explore import explore
from tallystick.check.model.invariants import entities
from tallystick.check.model.monitor import Monitor
from tallystick.check.model.search import CALLS, MASK, Search
from tallystick.check.model.story import next_steps, tell
from tallystick.check.model.worlds import World, worlds
from tallystick.core.entity import Entity, Ref
from tallystick.definition import reader
from tallystick.definition.machine import Machines

STATES = 1500
JAR = reader.read(
    {
        "jar.yaml": """
machine: jar
version: 1
summary: Change.
accounts: {coins: In the jar.}
outside: {purse: Where they come from.}
states: {open: {start: true, says: It takes coins.}}
commands: {put: {amount: money}, take: {amount: money}}
transitions:
  put:
    from: open
    when: amount > 0
    move: {purse -> coins: amount}
  take:
    from: open
    when: 0 < amount <= coins
    move: {coins -> purse: amount}
"""
    }
)


def world(name: str, most: int = 2, machines: Machines = MACHINES) -> World:
    return next(each for each in worlds(machines, (), most) if each.name == name)


def made_one_way(of: World, queue: int = 1) -> World:
    """The world with each of its entities made in one way only, which is enough to see how the search goes."""
    return attrs.evolve(of, members=tuple(attrs.evolve(each, facts=each.facts[:1]) for each in of.members), queue=queue)


def searched(of: World, budget: int = STATES) -> Search:
    search = Search(of, Monitor(of.machines), lambda *_: None)
    search.run(budget)
    return search


def bare(entity: Entity) -> tuple[object, ...]:
    """An entity without what the search leaves out: revision and hash."""
    return entity.state, dict(entity.accounts), entity.calls, entity.changing, dict(entity.facts)


@pytest.mark.parametrize(
    "name", ["payment", "replacement", "fulfilment", "payment, gift_card", "payment ×2", "replacement ×2"]
)
def test_what_is_remembered_is_what_the_plain_core_does(name: str) -> None:
    """Every step of the way to a state, taken by the core anew, leads to the entities that the search has there."""
    search = searched(world(name))
    numbers = Random(7).sample(range(len(search.graph.states)), 60)
    assert max(numbers) > STATES / 2

    for number in numbers:
        told, known = tell(search, number), entities(search, search.graph.states[number])
        called = {(each.machine, each.id): id for each, id in zip(search.world.members, told.ids, strict=True)}
        plain = {ref: bare(told.entities[ref[0], called[ref]]) for ref in known}
        assert plain == {ref: bare(each) for ref, each in known.items()}


def test_a_random_walk_never_leaves_what_was_searched() -> None:
    search = searched(made_one_way(world("payment", most=1), queue=2), budget=10**6)
    assert search.graph.complete
    known = set(search.graph.states)
    random, state, calls = Random(11), search.graph.states[0], 0

    for _ in range(400):
        following = [after for after, _ in next_steps(search, state)]
        state = random.choice(following) if following else search.graph.states[0]  # an end, where nothing is taken
        calls += state >> CALLS & MASK > 0
        assert search.ordered(state) in known
    assert calls > 50  # it was in the thick of it


def test_interchangeable_entities_are_counted_once() -> None:
    """Without their order the search meets every state of the ordered one, and the others are the same renamed."""
    two = made_one_way(world("payment ×2", most=1))
    ordered, named = searched(two, 10**6), Search(two, Monitor(MACHINES), lambda *_: None)
    twins, named._twins = named._twins, []
    named.run(10**6)
    assert ordered.graph.complete
    assert named.graph.complete
    assert len(named.graph.states) > 1.8 * len(ordered.graph.states)

    named._twins = twins
    assert len({named.ordered(state) for state in named.graph.states}) == len(ordered.graph.states)


def test_the_same_machines_give_the_same_figures() -> None:
    first, second = (explore(JAR, clock=lambda: 0.0) for _ in range(2))

    assert first == second
    figures = first[1]
    assert figures["states_per_second"] == 0
    assert all(figures[name] > 0 for name in ("worlds", "states", "steps", "longest_way", "outcomes_seen"))
    one, other = (searched(world("payment")).graph for _ in range(2))
    assert (one.states, one.edges) == (other.states, other.edges)


@pytest.mark.slow
def test_more_depth_searches_more() -> None:
    worlds = (attrs.evolve(made_one_way(world("payment", most)), calls=1) for most in (1, 2))
    shallow, deeper = (len(searched(each, 10**6).graph.states) for each in worlds)

    assert deeper > 4 * shallow


def test_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.check.model.search.EVERY", 2)
    told: list[str] = []

    explore(JAR, progress=told.append)

    assert told == ["jar: running it", "jar: 2 states looked at, 1 waiting"]


def test_the_bounds_of_a_world_hold() -> None:
    search = searched(attrs.evolve(world("payment"), calls=1, queue=1))

    for state in search.graph.states:
        assert search.calls.size[state >> CALLS & MASK] <= 1
        assert search.queues.size[state & MASK] <= 1
    assert search.graph.cut > 0
    for role in search.cache.roles:
        assert max(sum(each.accounts.values()) for each in role.snapshots) == 2


def test_a_user_has_invariants_as_functions() -> None:
    def never_full(entities: Mapping[Ref, Entity]) -> str | None:
        full = [id for (_, id), entity in entities.items() if entity.accounts["coins"] == 2]
        return f"{full[0]} is full" if full else None

    (finding,), _ = explore(JAR, invariants=[never_full])

    assert (finding.code, finding.machine, finding.message) == ("TS214", "jar", "never_full: j1 is full")
    assert finding.story == ("j1 put amount 0.02: purse → coins 0.02",)

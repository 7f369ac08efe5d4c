"""Nothing is stuck: from every state of a world something good can still be reached.

Three goals are set in every state that was looked at: the value of each entity can all be fetched again; an entity that
a caller may end can be brought to an end; and no follow-up waits for ever. That a goal is missed on one path says
nothing, for that path may never be taken. A state is stuck if no continuation at all reaches the goal.

This is computed backwards over the whole graph: each goal is a bit, and a state has the bits of its successors. A state
that the search has not looked at any more gets the benefit of the doubt, so a search that was cut off never raises a
false alarm. A state that is stuck because a small world lacks money, or because what is linked is kept quiet in a
crowd, is tried again with both. If that finds no way out and has not seen everything either, the finding says so.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import attrs

from tallystick.check.model.core_cache import Role
from tallystick.check.model.monitor import Monitor
from tallystick.check.model.search import MASK, Search
from tallystick.core.entity import Entity
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machine

TRIES = 20  # states that seem stuck, tried with more money until one really is
STATES_WITH_MORE = 2_000  # to look at with more money

EMPTY, ENDED, DRAINED = "empty", "ended", "drained"  # goals: of an entity, of an entity, of the queue
Goal = tuple[str, int]  # whose: a member, or -1 for the queue's


@attrs.frozen
class Stuck:
    """The nearest state from which a goal can never be reached."""

    goal: str
    member: int  # whose goal; -1: the queue's
    state: int  # its number in the graph
    surely: bool = True  # False: no way out was found, but not all ways were looked at


def stuck_states(search: Search) -> list[Stuck]:
    """The nearest stuck state for each goal that cannot always be reached."""
    goals = list(_goals(search))
    full = (1 << len(goals)) - 1
    reaching = _reached_at_once(search, goals)
    _spread_backwards(search, reaching, full)
    found: list[Stuck] = []
    world = attrs.evolve(search.world, most=2 * search.world.most + 1, crowd=False)
    larger = Search(world, Monitor(world.machines), lambda *_: None)
    for bit, (goal, member) in enumerate(goals):
        worst: Stuck | None = None
        for _ in range(TRIES):
            state = next((number for number, bits in enumerate(reaching) if not bits >> bit & 1), None)
            if state is None:
                break
            saved = _saved_by_money(search, larger, search.graph.states[state], goal, member)
            if saved is False:
                worst = Stuck(goal, member, state)
                break
            if saved is None and worst is None:
                worst = Stuck(goal, member, state, surely=False)
            reaching[state] |= 1 << bit
            _spread_backwards(search, reaching, full)
        found += [worst] if worst else []
    return found


def _saved_by_money(search: Search, larger: Search, state: int, goal: str, member: int) -> bool | None:
    """Whether the goal can be reached in a larger world: with more money, and all that the linked entities can do.

    None: `STATES_WITH_MORE` do not tell.
    """
    begin = larger.adopted(search, state)
    met, waiting, at = {begin}, [begin], 0
    while at < len(waiting) and at < STATES_WITH_MORE:
        for after in larger.after(waiting[at], at):
            if after not in met:
                if _reached(larger, after, goal, member):
                    return True
                met.add(after)
                waiting.append(after)
        at += 1
    return None if at < len(waiting) else False


def _goals(search: Search) -> Iterator[Goal]:
    for member, each in enumerate(search.world.members):
        machine = search.role(member).machine
        if search.world.crowd and each.linked:
            continue  # it does not get all of its commands there
        if machine.accounts:
            yield EMPTY, member
        if _caller_may_end(machine):
            yield ENDED, member
    yield DRAINED, -1


def _caller_may_end(machine: Machine) -> bool:
    """Whether a caller can end an entity: a card that only another machine ends cannot be asked to end."""
    return any(
        row.ends and any(not machine.commands[name].driven for name in row.transition.commands)
        for row in machine.rows.values()
    )


def _reached(search: Search, state: int, goal: str, member: int) -> bool:
    if goal == DRAINED:
        return not state & MASK
    role = search.role(member)
    return _reached_by(role, role.snapshots[search.snapshot(state, member)], goal)


def _reached_by(role: Role, entity: Entity, goal: str) -> bool:
    if goal == ENDED:
        return role.machine.states[entity.state].final
    return not any(entity.accounts[name] for name in (*role.machine.holding, IN_DOUBT) if entity.accounts)


def _reached_at_once(search: Search, goals: list[Goal]) -> array[int]:
    """The goals that each state has reached; all of them where the search has not looked."""
    tables = []  # by member: where its snapshot stands in a state, and the goals that each snapshot has reached
    for member, shift in enumerate(search.shifts):
        role, mine = search.role(member), [(goal, bit) for bit, (goal, whose) in enumerate(goals) if whose == member]
        table = [sum(1 << bit for goal, bit in mine if _reached_by(role, each, goal)) for each in role.snapshots]
        tables.append((shift, table))
    full, drained = (1 << len(goals)) - 1, 1 << (len(goals) - 1)
    reaching = array("Q", bytes(8 * len(search.graph.states)))
    for number, state in enumerate(search.graph.states):
        reached = 0 if state & MASK else drained
        for shift, table in tables:
            reached |= table[state >> shift & MASK]
        reaching[number] = reached
    for number in range(len(search.graph.ends), len(reaching)):
        reaching[number] = full
    return reaching


def _spread_backwards(search: Search, reaching: array[int], full: int) -> None:
    """Give every state what its successors have, until nothing changes. Most of it lies ahead, so from the end."""
    edges, ends = search.graph.edges, search.graph.ends
    waiting = [number for number in range(len(ends) - 1, -1, -1) if reaching[number] != full]
    changed = True
    while changed and waiting:
        changed = False
        for number in waiting:
            bits = before = reaching[number]
            for at in range(ends[number - 1] if number else 0, ends[number]):
                bits |= reaching[edges[at]]
            if bits != before:
                reaching[number] = bits
                changed = True
        waiting = [number for number in waiting if reaching[number] != full]

"""Every way a world can go, breadth first, over plain whole numbers.

A state of the world is one integer: the snapshot of each entity, the calls in flight, and the follow-ups that wait,
each in a field of its own. What an entity's commands do depends on the fields of those it reaches, which a mask cuts
out. So the answers of the core, once known, are differences to be added. Interchangeable entities (twins) are put in
order, which makes states that differ only in their names one.

The environment is in the steps. The provider answers a call in every way or not yet: the call stays, while anything
else happens. A crash loses nothing that is committed, so it is the same as being slow. Follow-ups run in any order, and
one that met an unavailable provider is tried again. Another channel is whatever the page has for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations, product
from typing import Any

import attrs

from tallystick.check.model.core_cache import CoreCache, Effect, Role
from tallystick.check.model.monitor import Monitor, Violation
from tallystick.check.model.multisets import Multisets
from tallystick.check.model.rarest_first import RarestFirst, Sort
from tallystick.check.model.worlds import World
from tallystick.core.entity import Request

FIELD = 20  # bits of an entity's snapshot, of the calls, of the queue: a million of each
MASK = (1 << FIELD) - 1
CALLS, ENTITIES = FIELD, 2 * FIELD  # where the fields begin; the queue is the lowest
EVERY = 20_000  # states between two lines of progress
SOME = 500  # states between two looks at whether what is missing was seen
Progress = Callable[[int, int], None]  # how many states were looked at, how many are known
Opening = tuple[int, int, tuple[int, ...]]  # a difference that also opens a call (or -1) and queues follow-ups
Steps = tuple[list[int], list[Opening]]  # plain differences, and others


@attrs.define
class Graph:
    """What was searched: states in the order of their distance, each with the one from which it was first reached."""

    states: list[int] = attrs.field(factory=list)
    parents: array[int] = attrs.field(factory=lambda: array("i"))  # numbers of states; -1 of a root
    edges: array[int] = attrs.field(factory=lambda: array("I"))  # numbers of the states that follow
    ends: array[int] = attrs.field(factory=lambda: array("Q"))  # where a state's edges end; only of states looked at
    depth: int = 0  # steps from a root to the farthest state
    cut: int = 0  # steps left out because too many calls would be in flight or follow-ups waiting
    violations: list[tuple[Violation, int, int]] = attrs.field(factory=list)  # in which state, and which member acted

    @property
    def complete(self) -> bool:
        """Whether every state was looked at."""
        return len(self.ends) == len(self.states)


class Search:
    """A world, and the graph of what can become of it."""

    def __init__(self, world: World, monitor: Monitor, look: Callable[[Search, int, int], None]) -> None:
        """`look` is called for every new combination of snapshots, with the state and its number."""
        self.world = world
        self.cache = CoreCache(world, monitor)
        self.graph = Graph()
        self._monitor = monitor
        self._look = look
        roles, role_of = self.cache.roles, self.cache.role_of
        self._count = len(role_of)
        self.shifts = [ENTITIES + FIELD * member for member in range(self._count)]
        self.reach = [(member, *roles[role_of[member]].reach[1:]) for member in range(self._count)]
        self._masks = [self._mask(reach) for reach in self.reach]
        self._commands: list[dict[int, Steps]] = [{} for _ in role_of]
        self._answers: dict[tuple[int, int], Steps] = {}
        self._follow_ups: dict[tuple[int, int], Steps] = {}
        self._numbers: dict[int, int] = {}  # of states
        self._snapshot_sorts: dict[tuple[int, int], int] = {}
        self._sorts: dict[Sort, int] = {}  # of snapshots
        self._looked: set[int] = set()  # combinations of snapshots
        self._call_masks: dict[int, int] = {}
        self.calls, self.queues = Multisets(self._count), Multisets(self._count)
        self._twins = [
            [member for member, each in enumerate(role_of) if each == role.number]
            for role in roles
            if role_of.count(role.number) > 1
        ]

    def _mask(self, members: Sequence[int]) -> int:
        return sum(MASK << self.shifts[member] for member in members)

    # The search

    def run(self, budget: int, progress: Progress | None = None) -> Graph:
        """Look at up to `budget` states, the nearest first."""
        graph = self.graph
        for root in self._roots():
            self._meet(root, -1)
        at, level = 0, len(graph.states)
        while at < len(graph.states) and at < budget:
            if at == level:
                graph.depth, level = graph.depth + 1, len(graph.states)
            for state in self.after(graph.states[at], at):
                graph.edges.append(self._meet(state, at))
            at += 1
            graph.ends.append(len(graph.edges))
            if progress is not None and not at % EVERY:
                progress(at, len(graph.states))
        return graph

    def wander(
        self, budget: int, progress: Progress | None = None, enough: Callable[[], bool] = lambda: False
    ) -> Graph:
        """Look at up to `budget` states, first those of a sort that was least often looked at, to see what is rare.

        It ends when it has seen `enough`, which is asked now and then. The sort of a state is which states its entities
        are in, whether their accounts have nothing, one unit or more, and whether a call is in flight. The ways are not
        the shortest then, and no edges are kept.
        """
        graph, waiting = self.graph, RarestFirst()
        for root in self._roots():
            self._meet(root, -1)
        for at, state in enumerate(graph.states):
            waiting.put(self._sort(state), at)
        done = 0
        while done < budget and (number := waiting.take()) is not None:
            for state in self.after(graph.states[number], number):
                known = len(graph.states)
                if self._meet(state, number) == known:
                    waiting.put(self._sort(state), known)
            done += 1
            if progress is not None and not done % EVERY:
                progress(done, len(graph.states))
            if not done % SOME and enough():
                break
        return graph

    def _meet(self, state: int, parent: int) -> int:
        """The number of a state, which may be new."""
        states = self.graph.states
        number = self._numbers.setdefault(state, len(states))
        if number == len(states):
            states.append(state)
            self.graph.parents.append(parent)
            if (state >> ENTITIES) not in self._looked:
                self._looked.add(state >> ENTITIES)
                self._look(self, state, number)
        return number

    def _sort(self, state: int) -> Sort:
        members = range(self._count)
        return (*[self._snapshot_sort(self.role(member), self.snapshot(state, member)) for member in members],
                state >> CALLS & MASK and 1)  # fmt: skip

    def _snapshot_sort(self, role: Role, snapshot: int) -> int:
        """A number for the state of an entity, and what about is on its accounts."""
        known = self._snapshot_sorts.get((role.number, snapshot))
        if known is None:
            entity = role.snapshots[snapshot]
            mark = (role.number, entity.state, *[min(value, 2) for value in entity.accounts.values()])
            known = self._snapshot_sorts[role.number, snapshot] = self._sorts.setdefault(mark, len(self._sorts))
        return known

    def _roots(self) -> Iterator[int]:
        """The world as it is created, in every way; twins are made alike."""
        choices = [
            [self.cache.created(self.role(member), facts) for facts in each.facts]
            for member, each in enumerate(self.world.members)
        ]
        for way in product(*choices):
            if any(way[each] != way[twins[0]] for twins in self._twins for each in twins):
                continue
            yield self.ordered(sum(snapshot << shift for snapshot, shift in zip(way, self.shifts, strict=True)))

    def after(self, state: int, number: int) -> set[int]:
        """All states one step after this one, in order. `number`: of this state, for the violations that show."""
        found: list[int] = []
        calls, queue = state >> CALLS & MASK, state & MASK
        for member, mask in enumerate(self._masks):
            known, mark = self._commands[member], state & mask
            plain, others = known.get(mark) or self._learn(
                known, mark, member, state, number, self.commanded(member, state)
            )
            found += [state + change for change in plain]
            if others:
                self._open(state, calls, queue, others, found)
        if calls:
            self._answer(state, number, calls, queue, found)
        if queue:
            self._follow(state, number, calls, queue, found)
        return {self.ordered(each) for each in found} if self._twins else set(found)

    def applied(self, state: int, change: Opening) -> int | None:
        """The state after one step; None if it would pass a bound."""
        found: list[int] = []
        self._open(state, state >> CALLS & MASK, state & MASK, [change], found)
        return found[0] if found else None

    def _open(self, state: int, calls: int, queue: int, others: list[Opening], found: list[int]) -> None:
        """Add the steps that open a call or queue follow-ups, as far as the bounds allow."""
        for change, call, then in others:
            after = state + change
            if call >= 0:
                if self.calls.size[calls] >= self.world.calls:
                    self.graph.cut += 1
                    continue
                after += (self.calls.put(calls, call) - calls) << CALLS
            if then:
                more = queue
                for each in then:
                    more = self.queues.put(more, each)
                if self.queues.size[more] > self.world.queue:
                    self.graph.cut += 1
                    continue
                after += more - queue
            found.append(after)

    def _answer(self, state: int, number: int, calls: int, queue: int, found: list[int]) -> None:
        """Add the steps that answer a call."""
        for call in self.calls.items[calls]:
            mark = call, state & self._mask_of(call)
            plain, others = self._answers.get(mark) or self._learn(
                self._answers, mark, self.actor(call), state, number, self.answered(call, state)
            )
            rest = self.calls.take(calls, call)
            less = state + ((rest - calls) << CALLS)
            found += [less + change for change in plain]
            if others:
                self._open(less, rest, queue, others, found)

    def _follow(self, state: int, number: int, calls: int, queue: int, found: list[int]) -> None:
        """Add the steps that take a follow-up from the queue."""
        for each in self.queues.items[queue]:
            member = self.actor(each)
            mark = each, state & self._masks[member]
            plain, others = self._follow_ups.get(mark) or self._learn(
                self._follow_ups, mark, member, state, number, self.followed(each, state)
            )
            rest = self.queues.take(queue, each)
            less = state + rest - queue
            found += [less + change for change in plain]
            if others:
                self._open(less, calls, rest, others, found)

    # What the core answers, for the members of this world

    def snapshot(self, state: int, member: int) -> int:
        """The number of a member's snapshot."""
        return state >> self.shifts[member] & MASK

    def _snapshots(self, state: int, member: int) -> tuple[int, ...]:
        """The snapshots of those that a member can reach, by slot."""
        return tuple([state >> self.shifts[each] & MASK for each in self.reach[member]])

    def role(self, member: int) -> Role:
        return self.cache.roles[self.cache.role_of[member]]

    def item(self, member: int, number: int) -> int:
        """A call or a follow-up with whose it is, as one number."""
        return number * self._count + member

    def actor(self, item: int) -> int:
        """Whose call, or whose follow-up."""
        return item % self._count

    def follow_up(self, item: int) -> Request:
        """The queued command, for the first member of the role."""
        return self.cache.follow_ups[item // self._count]

    def waiting(self, state: int, ids: Sequence[str]) -> list[Request]:
        """The follow-ups that wait in a state whose members have these ids."""
        items = self.queues.items[state & MASK]
        return [attrs.evolve(self.follow_up(item), id=ids[self.actor(item)]) for item in items]

    def follow_up_item(self, request: Request) -> int:
        """The number of a follow-up, with whose it is."""
        member = next(
            at for at, each in enumerate(self.world.members) if (each.machine, each.id) == (request.machine, request.id)
        )
        first = attrs.evolve(request, id=self.role(member).member.id)
        return self.item(member, self.cache.follow_up(first))

    def commanded(self, member: int, state: int) -> list[Effect]:
        """What the commands of callers do to a member."""
        return self.cache.commanded(self.role(member), self._snapshots(state, member))

    def answered(self, call: int, state: int) -> list[Effect]:
        """What the answers of the provider to a call do."""
        number, member = divmod(call, self._count)
        return self.cache.answered(number, self._snapshots(state, member))

    def followed(self, item: int, state: int) -> list[Effect]:
        """What a follow-up does."""
        number, member = divmod(item, self._count)
        return self.cache.followed(self.role(member), number, self._snapshots(state, member))

    def change(self, member: int, state: int, effect: Effect) -> Opening:
        """An effect as a difference of states, the call it opens, and the follow-ups it queues."""
        reach, change = self.reach[member], 0
        for slot, snapshot in effect.changes:
            shift = self.shifts[reach[slot]]
            change += (snapshot - (state >> shift & MASK)) << shift
        call = self.item(member, effect.call) if effect.call >= 0 else -1
        return change, call, tuple(self.item(reach[slot], number) for slot, number in effect.then)

    def _mask_of(self, call: int) -> int:
        """The fields of those for whom a call has set something aside."""
        mask = self._call_masks.get(call)
        if mask is None:
            number, member = divmod(call, self._count)
            slots = self.cache.calls[number].slots
            mask = self._call_masks[call] = self._mask([self.reach[member][slot] for slot in slots])
        return mask

    def _learn(
        self, known: dict[Any, Steps], mark: Any, member: int, state: int, number: int, effects: list[Effect]
    ) -> Steps:
        """Keep effects as differences, each once, and the violations that showed with them."""
        changes = dict.fromkeys(self.change(member, state, effect) for effect in effects)
        plain = [change for change, call, then in changes if call < 0 and not then]
        known[mark] = plain, [each for each in changes if each[1] >= 0 or each[2]]
        self.graph.violations += [(each, number, member) for each in self._monitor.violations]
        self._monitor.violations.clear()
        return known[mark]

    def adopted(self, other: Search, state: int) -> int:
        """The number here of a state of another search with the same entities."""
        cache, after = self.cache, 0
        for member, shift in enumerate(self.shifts):
            role, snapshot = other.role(member), other.snapshot(state, member)
            after += cache.snapshot(self.role(member), role.snapshots[snapshot], role.outside[snapshot],
                                    role.halves[snapshot]) << shift  # fmt: skip
        calls = queue = 0
        for call in other.calls.items[state >> CALLS & MASK]:
            number, member = divmod(call, self._count)
            calls = self.calls.put(calls, self.item(member, cache.adopted_call(other.cache, number)))
        for item in other.queues.items[state & MASK]:
            number = cache.follow_up(other.follow_up(item))
            queue = self.queues.put(queue, self.item(self.actor(item), number))
        return after + (calls << CALLS) + queue

    # Order

    def ordered(self, state: int) -> int:
        """The one of all states that differ only in the names of twins."""
        for twins in self._twins:
            snapshots = [state >> self.shifts[each] & MASK for each in twins]
            if all(snapshots[at] < snapshots[at + 1] for at in range(len(snapshots) - 1)):
                continue
            state = min(self._renamed(state, twins, way) for way in self._sortings(snapshots))
        return state

    def names(self, state: int) -> list[int]:
        """For each member of a state put in order, which member it was before: twins change their names on the way."""
        found = list(range(self._count))
        for twins in self._twins:
            snapshots = [state >> self.shifts[each] & MASK for each in twins]
            ways = ((self._renamed(state, twins, way), way) for way in self._sortings(snapshots))
            state, way = min(ways, key=lambda each: each[0])
            before = [found[each] for each in twins]
            for at, old in enumerate(way):
                found[twins[at]] = before[old]
        return found

    def _sortings(self, snapshots: list[int]) -> list[tuple[int, ...]]:
        """Every order of places that sorts the snapshots: more than one only where some are equal."""
        wanted = sorted(snapshots)
        return [way for way in permutations(range(len(wanted))) if [snapshots[at] for at in way] == wanted]

    def _renamed(self, state: int, twins: list[int], way: tuple[int, ...]) -> int:
        """The same state, with the twin at place `way[n]` called the n-th."""
        names = list(range(self._count))
        calls, queue = state >> CALLS & MASK, state & MASK
        after = state
        for at, old in enumerate(way):
            names[twins[old]] = twins[at]
            shift = self.shifts[twins[at]]
            after += ((state >> self.shifts[twins[old]] & MASK) - (state >> shift & MASK)) << shift
        if calls:
            after += (self.calls.renamed(calls, tuple(names)) - calls) << CALLS
        if queue:
            after += self.queues.renamed(queue, tuple(names)) - queue
        return after

"""Every way a world can go, breadth first, over plain whole numbers.

A state of the world is one integer: the form of each entity, the calls in flight, and the follow-ups that wait, each
in a field of its own. What an entity's commands do depends on the fields of those it reaches, which a mask cuts out;
so the answers of the core, once known, are differences to be added. Interchangeable entities are put in order, which
makes states that differ only in their names one.

The environment is in the moves: the provider answers a call in every way or not yet (the call stays, while anything
else happens); a crash loses nothing that is committed, so it is the same as being slow; follow-ups run in any order,
and one that met nobody is tried again; another channel is whatever the page has for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations, product

import attrs

from tallystick.check.bags import Bags, Sort, Sorts
from tallystick.check.memo import Effect, Kind, Memo
from tallystick.check.seen import Fault, Seen
from tallystick.check.world import World
from tallystick.core.entity import Request

FIELD = 20  # bits of an entity's form, of the calls, of the queue: a million of each
MASK = (1 << FIELD) - 1
CALLS, ENTITIES = FIELD, 2 * FIELD  # where the fields begin; the queue is the lowest
EVERY = 20_000  # states between two lines of progress
Other = tuple[int, int, tuple[int, ...]]  # a difference that opens a call, or queues follow-ups
Found = tuple[list[int], list[Other]]  # plain differences, and others


@attrs.define
class Graph:
    """What was searched: states in the order of their distance, each with the one it was first reached from."""

    states: list[int] = attrs.field(factory=list)
    parents: array[int] = attrs.field(factory=lambda: array("i"))
    edges: array[int] = attrs.field(factory=lambda: array("I"))
    ends: array[int] = attrs.field(factory=lambda: array("Q"))  # where the edges of a state end; not: not looked at
    deep: int = 0
    cut: int = 0  # steps left out because too many calls were in flight or follow-ups waiting
    faults: list[tuple[Fault, int, int]] = attrs.field(factory=list)  # in which state, and who acted

    @property
    def complete(self) -> bool:
        return len(self.ends) == len(self.states)


class Search:
    """A world, and the graph of what can become of it."""

    def __init__(self, world: World, seen: Seen, look: Callable[[Search, int, int], None]) -> None:
        """`look` is called for every new combination of forms, with the state and its number."""
        self.world = world
        self.memo = Memo(world, seen)
        self.graph = Graph()
        self._seen = seen
        self._look = look
        kinds, of = self.memo.kinds, self.memo.of
        self.shifts = [ENTITIES + FIELD * number for number in range(len(of))]
        self.reach = [(number, *kinds[of[number]].reach[1:]) for number in range(len(of))]
        self._masks = [self._mask(reach) for reach in self.reach]
        self._count = len(of)
        self._commands: list[dict[int, Found]] = [{} for _ in of]
        self._answers: dict[tuple[int, int], Found] = {}
        self._follows: dict[tuple[int, int], Found] = {}
        self._numbers: dict[int, int] = {}  # of states
        self._form_sorts: dict[tuple[int, int], int] = {}
        self._sorts: dict[Sort, int] = {}  # of forms
        self._looked: set[int] = set()  # combinations of forms
        self._call_masks: dict[int, int] = {}  # the fields of those that a call has set something aside for
        self.calls, self.queues = Bags(len(of)), Bags(len(of))
        self._twins = [
            [number for number, each in enumerate(of) if each == kind.number]
            for kind in kinds
            if of.count(kind.number) > 1
        ]

    def _mask(self, members: tuple[int, ...]) -> int:
        return sum(MASK << self.shifts[number] for number in members)

    # The search

    def run(self, budget: int, progress: Callable[[int, int], None] | None = None) -> Graph:
        """Look at up to `budget` states, the nearest first."""
        graph = self.graph
        for root in self.roots():
            self._meet(root, -1)
        at, level = 0, len(graph.states)
        while at < len(graph.states) and at < budget:
            if at == level:
                graph.deep, level = graph.deep + 1, len(graph.states)
            for state in self.after(graph.states[at], at):
                graph.edges.append(self._meet(state, at))
            at += 1
            graph.ends.append(len(graph.edges))
            if progress is not None and not at % EVERY:
                progress(at, len(graph.states))
        return graph

    def wander(self, budget: int, progress: Callable[[int, int], None] | None = None) -> Graph:
        """Look at up to `budget` states, those first that are of a sort least often looked at: to see what is rare.

        The sort of a state is which states its entities are in, whether their accounts have nothing, one unit or
        more, and whether a call is in flight. The ways are not the shortest then, and no edges are kept.
        """
        graph, sorts = self.graph, Sorts()
        for root in self.roots():
            self._meet(root, -1)
        for at, state in enumerate(graph.states):
            sorts.put(self._sort(state), at)
        done = 0
        while done < budget and (number := sorts.take()) is not None:
            for state in self.after(graph.states[number], number):
                known = len(graph.states)
                if self._meet(state, number) == known:
                    sorts.put(self._sort(state), known)
            done += 1
            if progress is not None and not done % EVERY:
                progress(done, len(graph.states))
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
        return (*[self._form_sort(self.kind(member), self.form(state, member)) for member in range(self._count)],
                state >> CALLS & MASK and 1)  # fmt: skip

    def _form_sort(self, kind: Kind, form: int) -> int:
        """A number for the state, and what about is on the accounts."""
        known = self._form_sorts.get((kind.number, form))
        if known is None:
            entity = kind.forms[form]
            mark = (kind.number, entity.state, *[min(value, 2) for value in entity.accounts.values()])
            known = self._form_sorts[kind.number, form] = self._sorts.setdefault(mark, len(self._sorts))
        return known

    def roots(self) -> Iterator[int]:
        """The world as it is created, in every way; who is interchangeable is made alike."""
        memo = self.memo
        choices = [
            [memo.created(memo.kinds[memo.of[number]], facts) for facts in member.facts]
            for number, member in enumerate(self.world.members)
        ]
        for way in product(*choices):
            if any(way[each] != way[twins[0]] for twins in self._twins for each in twins):
                continue
            yield self.ordered(sum(form << shift for form, shift in zip(way, self.shifts, strict=True)))

    def after(self, state: int, number: int) -> set[int]:
        """All states one step after this one, in order."""
        found: list[int] = []
        calls, queue = state >> CALLS & MASK, state & MASK
        for member, mask in enumerate(self._masks):
            known = self._commands[member].get(state & mask)
            if known is None:
                known = self._commands[member][state & mask] = self._found(member, state, self.commanded(member, state))
                self._faults(number, member)
            plain, others = known
            found += [state + change for change in plain]
            if others:
                self._more(state, calls, queue, others, found)
        if calls:
            self._answered(state, number, calls, queue, found)
        if queue:
            self._followed(state, number, calls, queue, found)
        return {self.ordered(each) for each in found} if self._twins else set(found)

    def applied(self, state: int, change: Other) -> int | None:
        """The state after one step; none if it would pass a bound."""
        found: list[int] = []
        self._more(state, state >> CALLS & MASK, state & MASK, [change], found)
        return found[0] if found else None

    def _more(self, state: int, calls: int, queue: int, others: list[Other], found: list[int]) -> None:
        """Steps that open a call or queue follow-ups, as far as the bounds allow."""
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

    def _answered(self, state: int, number: int, calls: int, queue: int, found: list[int]) -> None:
        for call in self.calls.bags[calls]:
            mark = call, state & self._call_masks[call]
            known = self._answers.get(mark)
            if known is None:
                member = call % self._count
                known = self._answers[mark] = self._found(member, state, self.answers(call, state))
                self._faults(number, member)
            less = state + ((self.calls.take(calls, call) - calls) << CALLS)
            plain, others = known
            found += [less + change for change in plain]
            if others:
                self._more(less, less >> CALLS & MASK, queue, others, found)

    def _followed(self, state: int, number: int, calls: int, queue: int, found: list[int]) -> None:
        for each in self.queues.bags[queue]:
            member = each % self._count
            mark = each, state & self._masks[member]
            known = self._follows.get(mark)
            if known is None:
                known = self._follows[mark] = self._found(member, state, self.followed(each, state))
                self._faults(number, member)
            rest = self.queues.take(queue, each)
            less = state + rest - queue
            plain, others = known
            found += [less + change for change in plain]
            if others:
                self._more(less, calls, rest, others, found)

    # What the core answers, for the members of this world

    def form(self, state: int, member: int) -> int:
        return state >> self.shifts[member] & MASK

    def forms(self, state: int, member: int) -> tuple[int, ...]:
        return tuple([state >> self.shifts[each] & MASK for each in self.reach[member]])

    def kind(self, member: int) -> Kind:
        return self.memo.kinds[self.memo.of[member]]

    def actor(self, item: int) -> int:
        """Whose call, or whose follow-up."""
        return item % self._count

    def call_item(self, member: int, call: int) -> int:
        return call * self._count + member

    def follow_up(self, item: int) -> Request:
        return self.memo.follow_ups[item // self._count]

    def waiting(self, state: int, ids: Sequence[str]) -> list[Request]:
        """The follow-ups that wait in a state whose members are called so."""
        return [attrs.evolve(self.follow_up(item), id=ids[self.actor(item)]) for item in self.queues.bags[state & MASK]]

    def item(self, request: Request) -> int:
        """The number of a follow-up, with whose it is."""
        member = next(
            at for at, each in enumerate(self.world.members) if (each.machine, each.id) == (request.machine, request.id)
        )
        first = attrs.evolve(request, id=self.kind(member).member.id)
        return self.memo.follow_up(first) * self._count + member

    def commanded(self, member: int, state: int) -> list[Effect]:
        return self.memo.commands(self.kind(member), self.forms(state, member))

    def answers(self, call: int, state: int) -> list[Effect]:
        number, member = divmod(call, self._count)
        return self.memo.answers(number, self.forms(state, member))

    def followed(self, item: int, state: int) -> list[Effect]:
        number, member = divmod(item, self._count)
        return self.memo.followed(self.kind(member), number, self.forms(state, member))

    def change(self, member: int, state: int, effect: Effect) -> Other:
        """An effect as a difference of states, the call it opens, and the follow-ups it queues."""
        reach, change = self.reach[member], 0
        for place, form in effect.changes:
            shift = self.shifts[reach[place]]
            change += (form - (state >> shift & MASK)) << shift
        call = self.call_item(member, effect.call) if effect.call >= 0 else -1
        if call >= 0:
            self._mask_of(call)
        return change, call, tuple(number * self._count + reach[place] for place, number in effect.then)

    def _mask_of(self, call: int) -> None:
        if call not in self._call_masks:
            number, member = divmod(call, self._count)
            reach = self.reach[member]
            self._call_masks[call] = self._mask(tuple(reach[place] for place in self.memo.calls[number].places))

    def _found(self, member: int, state: int, effects: list[Effect]) -> Found:
        """Effects as differences, each once."""
        changes = dict.fromkeys(self.change(member, state, effect) for effect in effects)
        plain = [change for change, call, then in changes if call < 0 and not then]
        return plain, [each for each in changes if each[1] >= 0 or each[2]]

    def _faults(self, number: int, member: int) -> None:
        while self._seen.fresh:
            self.graph.faults.append((self._seen.fresh.pop(0), number, member))

    def moved(self, other: Search, state: int) -> int:
        """A state of another search of the same entities, as this one numbers it."""
        memo, after = self.memo, 0
        for member, shift in enumerate(self.shifts):
            kind, form = other.kind(member), other.form(state, member)
            after += memo.form(self.kind(member), kind.forms[form], kind.outside[form]) << shift
        calls = queue = 0
        for call in other.calls.bags[state >> CALLS & MASK]:
            number, member = divmod(call, self._count)
            call = self.call_item(member, memo.adopted(other.memo, number))
            self._mask_of(call)
            calls = self.calls.put(calls, call)
        for item in other.queues.bags[state & MASK]:
            number = memo.follow_up(other.follow_up(item))
            queue = self.queues.put(queue, number * self._count + self.actor(item))
        return after + (calls << CALLS) + queue

    # Order

    def ordered(self, state: int) -> int:
        """The one of all states that differ only in the names of interchangeable entities."""
        for twins in self._twins:
            forms = [state >> self.shifts[each] & MASK for each in twins]
            if all(forms[at] < forms[at + 1] for at in range(len(forms) - 1)):
                continue
            state = min(self._renamed(state, twins, way) for way in self._sorting(forms))
        return state

    def names(self, state: int) -> list[int]:
        """For each member of a state put in order, the one it is before that: twins change their names on the way."""
        found = list(range(self._count))
        for twins in self._twins:
            forms = [state >> self.shifts[each] & MASK for each in twins]
            ways = ((self._renamed(state, twins, way), way) for way in self._sorting(forms))
            state, way = min(ways, key=lambda each: each[0])
            before = [found[each] for each in twins]
            for at, old in enumerate(way):
                found[twins[at]] = before[old]
        return found

    def _sorting(self, forms: list[int]) -> list[tuple[int, ...]]:
        """Every order of places that sorts the forms: more than one only where some are equal."""
        wanted = sorted(forms)
        return [way for way in permutations(range(len(forms))) if [forms[at] for at in way] == wanted]

    def _renamed(self, state: int, twins: list[int], way: tuple[int, ...]) -> int:
        """The same with the twin at place `way[n]` called the n-th."""
        names = list(range(self._count))
        calls, queue = state >> CALLS & MASK, state & MASK
        after = state
        for at, old in enumerate(way):
            names[twins[old]] = twins[at]
            shift = self.shifts[twins[at]]
            after += ((state >> self.shifts[twins[old]] & MASK) - (state >> shift & MASK)) << shift
        if calls:
            after += (self.calls.renamed(calls, tuple(names)) - calls) << CALLS
            for call in self.calls.bags[after >> CALLS & MASK]:
                self._mask_of(call)
        if queue:
            after += self.queues.renamed(queue, tuple(names)) - queue
        return after

"""What the real core answers, remembered: each question is asked once, then it is a look-up of small numbers.

The search meets the same card in the same state millions of times, beside other payments each time. What a command
does depends only on the entity it is given to and on those that it reaches; so the answer of `decide`, `set_aside`,
`complete` and `resolve` is kept by their numbers. A *form* is an entity as it stands (state, accounts, facts, what
is in flight, and what invariants ask of outside accounts), numbered as it is first met. There is no second
semantics here: what is not remembered is computed by the core itself.

Interchangeable entities (one machine, the same links) share their forms and answers. They are a *kind*; its first
member stands for all of them. A *place* is a position among those that one entity can reach, itself being 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from tallystick.check.seen import Seen
from tallystick.check.world import Member, World, own_text, requests
from tallystick.core.arguments import typed
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, InFlight, Intent, Plan, Ref, Request
from tallystick.core.refusal import Refusal
from tallystick.core.resolve import complete, create, meant, resolve, set_aside
from tallystick.definition.machine import Machine
from tallystick.provider.protocol import Outcome, Reason, Result

CURRENCY = "BRL"
Changes = tuple[tuple[int, int], ...]  # (place, form it takes)
Forms = tuple[int, ...]

DECLINED = Outcome(Result.DECLINED, reason=Reason.OTHER)
UNAVAILABLE = Outcome(Result.UNAVAILABLE)


@attrs.frozen
class Effect:
    """What one step does: forms that change, a call that is opened, follow-ups that are queued."""

    changes: Changes
    call: int = -1
    then: tuple[tuple[int, int], ...] = ()  # (place, follow-up)
    label: Any = None  # the command, or the outcome


@attrs.frozen
class Open:
    """A call in flight, as its kind knows it."""

    kind: int
    steps: tuple[InFlight, ...]
    places: tuple[int, ...]
    asked: int | None
    partial: bool
    origin: int  # the follow-up that opened it, which is tried again if nobody was there; or -1


@attrs.define
class Kind:
    """Interchangeable entities: their machine, their forms, and what the first of them can reach."""

    number: int
    machine: Machine
    member: Member
    reach: tuple[int, ...]  # members, the entity itself first
    places: Mapping[Ref, int]
    forms: list[Entity] = attrs.field(factory=list)
    outside: list[tuple[int, ...]] = attrs.field(factory=list)
    numbers: dict[Any, int] = attrs.field(factory=dict)
    requests: dict[str, list[Request]] = attrs.field(factory=dict)  # by state
    alone: dict[int, tuple[list[Effect], list[Request]]] = attrs.field(factory=dict)  # by form
    asked: dict[int, dict[Forms, dict[Forms, list[Effect]]]] = attrs.field(factory=dict)  # by request, places, forms


class Memo:
    """The answers of the core in one world. `seen` notes what has happened at all."""

    def __init__(self, world: World, seen: Seen) -> None:
        self.world = world
        self.seen = seen
        self.machines = world.machines
        self.kinds, self.of = _kinds(world)
        self.calls: list[Open] = []
        self.follow_ups: list[Request] = []
        self.tracked = [_tracked(kind.machine, world) for kind in self.kinds]
        self.beyond = 0  # steps that would pass the bounds of this world
        self._call_numbers: dict[Any, int] = {}
        self._follow_numbers: dict[Any, int] = {}

    # Forms

    def created(self, kind: Kind, facts: Mapping[str, object]) -> int:
        entity = create(kind.machine, kind.member.id, CURRENCY, facts).entities[0]
        return self.form(kind, entity, (0,) * len(self.tracked[kind.number]))

    def form(self, kind: Kind, entity: Entity, outside: tuple[int, ...]) -> int:
        """The number of an entity as it stands."""
        mark = (
            entity.state, tuple(entity.accounts.values()), tuple(entity.facts.values()),
            entity.calls, entity.changing, outside,
        )  # fmt: skip
        number = kind.numbers.get(mark)
        if number is None:
            number = kind.numbers[mark] = len(kind.forms)
            kind.forms.append(entity)
            kind.outside.append(outside)
        return number

    def around(self, kind: Kind, forms: Forms) -> dict[Ref, Entity]:
        """The entity and all it can reach, as the core wants them."""
        found = {}
        for member, form in zip(kind.reach, forms, strict=True):
            entity = self.kinds[self.of[member]].forms[form]
            found[entity.ref] = entity
        return found

    # Commands

    def commands(self, kind: Kind, forms: Forms) -> list[Effect]:
        """What every command that a caller may give does here."""
        if forms[0] not in kind.alone:
            kind.alone[forms[0]] = self._alone(kind, forms)
        effects, others = kind.alone[forms[0]]
        if not others:
            return effects
        return effects + [effect for each in others for effect in self._asked(kind, forms, each)]

    def _alone(self, kind: Kind, forms: Forms) -> tuple[list[Effect], list[Request]]:
        """What the entity answers by itself, and the requests on which others have a say."""
        around = _Looked(self.around(kind, forms))
        entity = kind.forms[forms[0]]
        effects: list[Effect] = []
        others: list[Request] = []
        for request in self._requests(kind, entity.state):
            rows = kind.machine.table[entity.state, request.command]
            for row in rows:
                self.seen.guard(kind.machine, row.name, entity, request.args)
            if not any(row.fires(entity.accounts, entity.facts, request.args, entity.state) for row in rows):
                continue  # the core would refuse it, and write a sentence that nobody reads
            around.looked.clear()
            answer = decide(self.machines, request, around)
            if around.looked <= {entity.ref}:
                effects += self._effects(kind, forms, request, answer, -1)
            else:
                others.append(request)
        return effects, others

    def _requests(self, kind: Kind, state: str) -> list[Request]:
        if state not in kind.requests:
            found = requests(self.world, kind.member, state)
            name, id = kind.machine.name, kind.member.id
            kind.requests[state] = [Request(name, id, command, args) for command, args in found]
        return kind.requests[state]

    def _asked(self, kind: Kind, forms: Forms, request: Request) -> list[Effect]:
        """The same answer wherever those that the core looked at are the same, whatever became of the others."""
        answers = kind.asked.setdefault(id(request), {})
        for places, known in answers.items():
            effects = known.get(tuple([forms[place] for place in places]))
            if effects is not None:
                return effects
        around = _Looked(self.around(kind, forms))
        answer = decide(self.machines, request, around)
        places = tuple(sorted(kind.places[ref] for ref in around.looked))
        effects = self._effects(kind, forms, request, answer, -1)
        answers.setdefault(places, {})[tuple([forms[place] for place in places])] = effects
        return effects

    def _effects(
        self, kind: Kind, forms: Forms, request: Request, answer: Intent | Refusal, origin: int
    ) -> list[Effect]:
        if isinstance(answer, Refusal):
            self.seen.refused(answer, request)
            return []
        label = request if origin < 0 else origin
        if answer.asked is None:
            plan = complete(self.machines, answer)
            return self._effect(kind, forms, plan, label, "done")
        self.seen.asks(answer, request)
        plan, aside = set_aside(self.machines, answer, "call")
        amount = answer.asked.args.get("amount")
        partial = any(step.partial for step in aside)
        call = self._call(kind, aside, amount if isinstance(amount, int) else None, partial, origin)
        return self._effect(kind, forms, plan, label, "asked", call)

    def _effect(self, kind: Kind, forms: Forms, plan: Plan, label: Any, how: str, call: int = -1) -> list[Effect]:
        """A plan in numbers; nothing if it would lead out of the bounds."""
        changes = []
        for entity, entry in zip(plan.entities, plan.entries, strict=True):
            place = kind.places[entity.ref]
            its = self.kinds[self.of[kind.reach[place]]]
            before, outside = its.forms[forms[place]], list(its.outside[forms[place]])
            for index, name in enumerate(self.tracked[its.number]):
                outside[index] += sum(each.amount for each in entry.postings if each.target == name)
                outside[index] -= sum(each.amount for each in entry.postings if each.source == name)
            if sum(entity.accounts.values()) > self.world.most or any(abs(x) > self.world.most for x in outside):
                self.beyond += 1
                return []
            self.seen.step(its.machine, before, entity, entry, label)
            changes.append((place, self.form(its, entity, tuple(outside))))
        self.seen.happened(plan, how)
        then = tuple((kind.places[each.machine, each.id], self.follow_up(each)) for each in plan.then)
        return [Effect(tuple(changes), call, then, label)]

    # Calls

    def _call(self, kind: Kind, aside: list[InFlight], asked: int | None, partial: bool, origin: int) -> int:
        mark = (
            kind.number, asked, partial, origin,
            tuple((each.machine, each.id, each.transition, each.command, tuple(each.args.items()), each.amounts)
                  for each in aside),
        )  # fmt: skip
        number = self._call_numbers.get(mark)
        if number is None:
            number = self._call_numbers[mark] = len(self.calls)
            places = tuple(kind.places[each.machine, each.id] for each in aside)
            self.calls.append(Open(kind.number, tuple(aside), places, asked, partial, origin))
        return number

    def adopted(self, other: Memo, number: int) -> int:
        """A call that another memo of the same entities has numbered, as this one numbers it."""
        call = other.calls[number]
        origin = self.follow_up(other.follow_ups[call.origin]) if call.origin >= 0 else -1
        return self._call(self.kinds[call.kind], list(call.steps), call.asked, call.partial, origin)

    def answers(self, number: int, forms: Forms) -> list[Effect]:
        """What every answer of the provider does to a call. `forms` are at all places of its kind."""
        call = self.calls[number]
        kind = self.kinds[call.kind]
        around = {}
        for place in call.places:
            entity = self.kinds[self.of[kind.reach[place]]].forms[forms[place]]
            around[entity.ref] = entity
        effects = []
        for outcome, how in outcomes(call.asked, partial=call.partial, text=own_text(kind.member.id)):
            plan = resolve(
                self.machines, "call", list(call.steps), around, meant(outcome, partial=call.partial), call.asked
            )
            if isinstance(plan, str):
                self.seen.unanswerable(kind.machine, call.steps[0], plan, outcome)
                continue
            done = self._effect(kind, forms, plan, outcome, how)
            if how == "unavailable" and call.origin >= 0:
                done = [attrs.evolve(effect, then=(*effect.then, (0, call.origin))) for effect in done]
            effects += done
        return effects

    # Follow-ups

    def follow_up(self, request: Request) -> int:
        """The number of a queued command, its arguments as they come out of the queue."""
        machine = self.machines[request.machine]
        args = typed(machine, machine.commands[request.command], request.args, CURRENCY)
        request = attrs.evolve(request, args=args)
        mark = (request.machine, request.id, request.command, tuple(request.args.items()))
        number = self._follow_numbers.get(mark)
        if number is None:
            number = self._follow_numbers[mark] = len(self.follow_ups)
            self.follow_ups.append(request)
        return number

    def followed(self, kind: Kind, number: int, forms: Forms) -> list[Effect]:
        """What a queued command does when its time has come. Refused for good, it is gone; else it may wait."""
        request = self.follow_ups[number]
        answer = decide(self.machines, request, self.around(kind, forms))
        if isinstance(answer, Refusal):
            patient = kind.machine.commands[request.command].patient
            waits = answer.waits or (patient and answer.by_amounts)
            self.seen.follow_up(request, "waits" if waits else "refused")
            return [] if waits else [Effect((), label=number)]
        self.seen.follow_up(request, "taken")
        return self._effects(kind, forms, request, answer, number)


def outcomes(asked: int | None, *, partial: bool, text: str) -> Iterable[tuple[Outcome, str]]:
    """Everything a provider may answer in the end. That the answer is not known yet is a call that stays open."""
    confirmed = Outcome(Result.CONFIRMED, reference=text, number=text)
    yield confirmed, "confirmed"
    yield DECLINED, "declined"
    yield UNAVAILABLE, "unavailable"
    if partial and asked is not None:
        for less in range(asked - 1, 0, -1):
            yield attrs.evolve(confirmed, amount=less), "short"


class _Looked(dict[Ref, Entity]):
    """Entities, and which of them were asked for."""

    def __init__(self, entities: Mapping[Ref, Entity]) -> None:
        super().__init__(entities)
        self.looked: set[Ref] = set()

    def get(self, ref: Ref, default: Any = None) -> Any:
        self.looked.add(ref)
        return super().get(ref, default)

    def values(self) -> Any:
        self.looked.update(self)
        return super().values()


def _kinds(world: World) -> tuple[list[Kind], list[int]]:
    """The kinds of a world, and the kind of each member."""
    members = world.members
    named = {each.id: number for number, each in enumerate(members)}
    linked = [
        {str(facts[fact]) for facts in member.facts for fact in world.machines[member.machine].links if facts[fact]}
        for member in members
    ]
    chosen = {type_.machine for each in members for type_ in _link_arguments(world.machines[each.machine])}
    kinds: list[Kind] = []
    of: list[int] = []
    for number, member in enumerate(members):
        machine = world.machines[member.machine]
        free = member.machine not in chosen and not any(member.id in each for each in linked)
        twin = next((each for each in kinds if free and _alike(each.member, member)), None)
        if twin is None:
            reach = _reach(number, linked, named, members, world)
            places = {(members[each].machine, members[each].id): place for place, each in enumerate(reach)}
            twin = Kind(len(kinds), machine, member, reach, places)
            kinds.append(twin)
        of.append(twin.number)
    return kinds, of


def _alike(one: Member, other: Member) -> bool:
    return one.machine == other.machine and one.facts == other.facts


def _reach(
    number: int, linked: Sequence[set[str]], named: Mapping[str, int], members: Sequence[Member], world: World
) -> tuple[int, ...]:
    """An entity and all that its facts and the arguments of its commands can name, and theirs."""
    found = [number]
    for each in found:
        wanted = [named[id] for id in sorted(linked[each])]
        for type_ in _link_arguments(world.machines[members[each].machine]):
            wanted += [other for other, member in enumerate(members) if member.machine == type_.machine]
        found += [other for other in dict.fromkeys(wanted) if other not in found]
    return tuple(found)


def _link_arguments(machine: Machine) -> list[Any]:
    return [type_ for each in machine.commands.values() for type_ in each.arguments.values() if type_.kind == "link"]


def _tracked(machine: Machine, world: World) -> tuple[str, ...]:
    """The outside accounts that this world's invariants speak of: only they are part of a form."""
    names = {name for each in world.invariants(machine) for name in each.always.names}
    return tuple(name for name in machine.outside if name in names)

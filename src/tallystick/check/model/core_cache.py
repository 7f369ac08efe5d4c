"""What the real core answers, remembered: each question is asked once, and is then a look-up of small numbers.

The search meets the same card in the same state millions of times, beside other payments each time. What a command does
depends only on the entity that gets it and on those that this one can reach. So the answers of `decide`, `set_aside`,
`complete` and `resolve` are kept under the numbers of these entities. There is no second semantics here: what is not
remembered is computed by the core itself.

A *snapshot* is an entity as it stands: its state, accounts and facts, what is in flight, the outside accounts that
invariants ask about, and the provider's half of it (`halves`). Snapshots are numbered in the order in which they are
met. Entities of one machine with the same links are interchangeable: they play one *role*, and share its snapshots and
answers. The first member of a role stands for all of them. A *slot* is a position among the entities that one can
reach; it has slot 0 itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from tallystick.check.expressions import read_at_the_answer
from tallystick.check.model.halves import NO_HALF, Booked, Halves, KeptHalf, OpenCall
from tallystick.check.model.inputs import BEFORE, link_arguments, moments, own_text
from tallystick.check.model.monitor import Monitor
from tallystick.check.model.worlds import Member, World
from tallystick.check.wording import CURRENCY
from tallystick.core.arguments import in_minor_units, typed
from tallystick.core.decide import decide, with_read
from tallystick.core.entity import Entity, InFlight, Intent, Plan, Ref, Request
from tallystick.core.refusal import Refusal
from tallystick.core.resolve import complete, create, meant, resolve, set_aside
from tallystick.definition.machine import Machine, Row
from tallystick.provider.protocol import Outcome, Reason, Result
from tallystick.provider.verbs import EFFECTS

Snapshots = tuple[int, ...]  # numbers of snapshots, by slot

DECLINED = Outcome(Result.DECLINED, reason=Reason.OTHER)
UNAVAILABLE = Outcome(Result.UNAVAILABLE)


@attrs.frozen
class Effect:
    """What one step does."""

    changes: tuple[tuple[int, int], ...]  # slot, the snapshot that it has then
    call: int = -1  # that is opened
    then: tuple[tuple[int, int], ...] = ()  # slot, follow-up that is queued
    label: Any = None  # the command, the outcome, or the number of the follow-up
    now: str = BEFORE  # when a follow-up is done


@attrs.define
class Role:
    """Interchangeable entities: their machine, their snapshots, and what the first of them can reach."""

    number: int
    machine: Machine
    member: Member  # the first
    reach: tuple[int, ...]  # members by slot, the entity itself first
    slots: Mapping[Ref, int]
    snapshots: list[Entity] = attrs.field(factory=list)
    outside: list[tuple[int, ...]] = attrs.field(factory=list)  # amounts on outside accounts, by snapshot
    halves: list[KeptHalf] = attrs.field(factory=list)  # the provider's half, by snapshot
    numbers: dict[Any, int] = attrs.field(factory=dict)  # of snapshots
    requests: dict[str, list[Request]] = attrs.field(factory=dict)  # by state
    alone: dict[int, tuple[list[Effect], list[Request]]] = attrs.field(factory=dict)  # by snapshot
    shared: dict[int, dict[tuple[int, ...], dict[Snapshots, list[Effect]]]] = attrs.field(
        factory=dict
    )  # request, slots


class CoreCache:
    """The answers of the core in one world."""

    def __init__(self, world: World, monitor: Monitor) -> None:
        self.world = world
        self.machines = world.machines
        self.roles, self.role_of = _roles(world)  # role_of: the number of a member's role
        self.calls: list[OpenCall] = []
        self.follow_ups: list[Request] = []
        self.tracked = [_tracked(role.machine, world) for role in self.roles]  # outside accounts in snapshots, by role
        self._monitor = monitor
        self._halves = Halves(world.machines, monitor, on=not world.by_hand)
        self._call_numbers: dict[Any, int] = {}
        self._read: dict[tuple[str, str], list[str]] = {}  # at the answer, by machine and transition
        self._follow_up_numbers: dict[Any, int] = {}

    # Snapshots

    def created(self, role: Role, facts: Mapping[str, object]) -> int:
        """The snapshot of an entity that was just made."""
        entity = create(role.machine, role.member.id, CURRENCY, facts).entities[0]
        return self.snapshot(role, entity, (0,) * len(self.tracked[role.number]), NO_HALF)

    def snapshot(self, role: Role, entity: Entity, outside: tuple[int, ...], half: KeptHalf) -> int:
        """The number of an entity as it stands."""
        mark = (
            entity.state, tuple(entity.accounts.values()), tuple(entity.facts.values()),
            entity.calls, entity.changing, outside, half,
        )  # fmt: skip
        number = role.numbers.get(mark)
        if number is None:
            number = role.numbers[mark] = len(role.snapshots)
            role.snapshots.append(entity)
            role.outside.append(outside)
            role.halves.append(half)
        return number

    def _entities(self, role: Role, snapshots: Snapshots, slots: Iterable[int]) -> dict[Ref, Entity]:
        """The entities in these slots, as the core wants them."""
        found = (self._role_at(role, slot).snapshots[snapshots[slot]] for slot in slots)
        return {entity.ref: entity for entity in found}

    def _role_at(self, role: Role, slot: int) -> Role:
        return self.roles[self.role_of[role.reach[slot]]]

    # Commands

    def commanded(self, role: Role, snapshots: Snapshots) -> list[Effect]:
        """What every command that a caller may give does here."""
        if snapshots[0] not in role.alone:
            role.alone[snapshots[0]] = self._alone(role, snapshots)
        effects, others = role.alone[snapshots[0]]
        if not others:
            return effects
        return effects + [effect for each in others for effect in self._shared(role, snapshots, each)]

    def _alone(self, role: Role, snapshots: Snapshots) -> tuple[list[Effect], list[Request]]:
        """What the entity answers by itself, and the requests on which others have a say."""
        around = _Looked(self._entities(role, snapshots, range(len(role.reach))))
        entity = role.snapshots[snapshots[0]]
        effects: list[Effect] = []
        others: list[Request] = []
        for request in self._requests(role, entity.state):
            if role.machine.commands[request.command].linked:
                others.append(request)
                continue
            read = with_read(role.machine, entity, request.command, request.args, {}, request.now)
            rows = self._asked(role, entity, request.command, read)
            if not any(row.fires(entity.accounts, entity.facts, read, entity.state) for row in rows):
                continue  # the core would refuse it, and write a sentence that nobody reads
            around.looked.clear()
            answer = decide(self.machines, request, around)
            if around.looked <= {entity.ref}:
                effects += self._effects(role, snapshots, request, answer, -1)
            else:
                others.append(request)
        return effects, others

    def _asked(self, role: Role, entity: Entity, command: str, args: Mapping[str, object]) -> tuple[Row, ...]:
        """The rows of a command, whose guards are about to be asked."""
        rows = role.machine.table[entity.state, command]
        for row in rows:
            self._monitor.guard(role.machine, row.name, entity, args)
        return rows

    def _requests(self, role: Role, state: str) -> list[Request]:
        if state not in role.requests:
            role.requests[state] = list(self.world.requests(role.member, state))
        return role.requests[state]

    def _shared(self, role: Role, snapshots: Snapshots, request: Request) -> list[Effect]:
        """The answer is the same wherever those at which the core looked are the same, whatever the others are."""
        answers = role.shared.setdefault(id(request), {})
        for slots, known in answers.items():
            effects = known.get(tuple([snapshots[slot] for slot in slots]))
            if effects is not None:
                return effects
        around = _Looked(self._entities(role, snapshots, range(len(role.reach))))
        if role.machine.commands[request.command].linked:
            entity = role.snapshots[snapshots[0]]
            read = with_read(role.machine, entity, request.command, request.args, around, request.now)
            self._asked(role, entity, request.command, read)
        answer = decide(self.machines, request, around)
        slots = tuple(sorted(role.slots[ref] for ref in around.looked))
        effects = self._effects(role, snapshots, request, answer, -1)
        answers.setdefault(slots, {})[tuple([snapshots[slot] for slot in slots])] = effects
        return effects

    def _effects(
        self, role: Role, snapshots: Snapshots, request: Request, answer: Intent | Refusal, origin: int
    ) -> list[Effect]:
        """`origin`: the follow-up that the request is, or -1."""
        if isinstance(answer, Refusal):
            self._monitor.refused(answer, request)
            return []
        label = request if origin < 0 else origin
        if answer.asked is None:
            return self._effect(role, snapshots, complete(self.machines, answer), label, "done")
        self._monitor.called(answer, request)
        plan, aside = set_aside(self.machines, answer, "call")
        amount = answer.asked.args.get("amount")
        partial = any(step.partial for step in aside)
        told = {name: value for name, value in answer.asked.args.items() if value is not None}
        told = {name: told[name] for name in sorted(EFFECTS[answer.asked.verb].reads & told.keys())}
        aside = [self._as_answered(each) for each in aside]
        of = role.slots[answer.asked.entity.ref], answer.asked.verb, told
        call = self._call(role, aside, amount if isinstance(amount, int) else None, partial, of, origin)
        return self._effect(role, snapshots, plan, label, "asked", call)

    def _effect(
        self,
        role: Role,
        snapshots: Snapshots,
        plan: Plan,
        label: Any,
        how: str,
        call: int = -1,
        *,
        booked: Booked | None = None,
    ) -> list[Effect]:
        """A plan in numbers; nothing if it would pass the bounds of the world. `booked`: what a yes has done."""
        changes: list[tuple[int, int]] = []
        halves = self._halves.after(plan, self._standing(role, snapshots, plan), booked)
        for entity, entry in zip(plan.entities, plan.entries, strict=True):
            slot = role.slots[entity.ref]
            its, number = self._role_at(role, slot), snapshots[slot]
            outside, tracked = its.outside[number], self.tracked[its.number]
            if tracked and entry.postings:
                now = dict(zip(tracked, outside, strict=True))
                for source, target, amount in entry.postings:
                    if source in now:
                        now[source] -= amount
                    if target in now:
                        now[target] += amount
                outside = tuple(now.values())
            if sum(entity.accounts.values()) > self.world.most or any(abs(x) > self.world.most for x in outside):
                return []
            self._monitor.stepped(its.machine, its.snapshots[number], entity, entry, label)
            changes.append((slot, self.snapshot(its, entity, outside, halves[len(changes)])))
        self._monitor.happened(plan, how)
        then = tuple((role.slots[each.machine, each.id], self.follow_up(each)) for each in plan.then)
        return [Effect(tuple(changes), call, then, label)]

    def _standing(self, role: Role, snapshots: Snapshots, plan: Plan) -> list[tuple[Entity, KeptHalf]]:
        """Those of a plan, as they stand before it, each with the provider's half of it."""
        at = ((self._role_at(role, slot), snapshots[slot]) for slot in (role.slots[each.ref] for each in plan.entities))
        return [(its.snapshots[number], its.halves[number]) for its, number in at]

    # Calls

    def _as_answered(self, step: InFlight) -> InFlight:
        """A step of a call with only those arguments on which it still depends what an answer does."""
        read = self._read.get((step.machine, step.transition))
        if read is None:
            row = self.machines[step.machine].rows[step.transition]
            read = self._read[step.machine, step.transition] = read_at_the_answer(row.transition)
        return attrs.evolve(step, args={name: step.args[name] for name in read if name in step.args})

    def _call(
        self, role: Role, aside: Sequence[InFlight], asked: int | None, partial: bool,
        of: tuple[int, str, Mapping[str, object]], origin: int,
    ) -> int:  # fmt: skip
        mark = (
            role.number, asked, partial, origin, of[:2], tuple(of[2].items()),
            tuple((each.machine, each.id, each.transition, each.command, tuple(each.args.items()), each.amounts)
                  for each in aside),
        )  # fmt: skip
        number = self._call_numbers.get(mark)
        if number is None:
            number = self._call_numbers[mark] = len(self.calls)
            slots = tuple(role.slots[each.machine, each.id] for each in aside)
            self.calls.append(OpenCall(role.number, tuple(aside), slots, asked, partial, of, origin))
        return number

    def adopted_call(self, other: CoreCache, number: int) -> int:
        """The number here of a call of another cache with the same entities."""
        call = other.calls[number]
        origin = self.follow_up(other.follow_ups[call.origin]) if call.origin >= 0 else -1
        return self._call(self.roles[call.role], call.steps, call.asked, call.partial, call.of, origin)

    def answered(self, number: int, snapshots: Snapshots) -> list[Effect]:
        """What every answer of the provider to a call does. `snapshots`: in all slots of its role."""
        call = self.calls[number]
        role = self.roles[call.role]
        around = self._entities(role, snapshots, call.slots)
        effects = []
        slot, verb, _ = call.of
        card = self._role_at(role, slot)
        half = card.halves[snapshots[slot]]
        text = self._halves.reference(verb, card.member.id, half) or own_text(role.member.id)
        for outcome, how in _outcomes(call.asked, partial=call.partial, text=text):
            plan = resolve(
                self.machines, "call", list(call.steps), around, meant(outcome, partial=call.partial), call.asked
            )
            if isinstance(plan, str):
                self._monitor.unanswerable(call.steps[0], plan, outcome)
                continue
            booked = None
            if outcome.result is Result.CONFIRMED:
                booked = self._halves.booked(call, outcome, plan, half)
            done = self._effect(role, snapshots, plan, outcome, how, booked=booked)
            if how == "unavailable" and call.origin >= 0:
                done = [attrs.evolve(effect, then=(*effect.then, (0, call.origin))) for effect in done]
            effects += done
        return effects

    # Follow-ups

    def follow_up(self, request: Request) -> int:
        """The number of a queued command, its arguments as they come out of the queue."""
        machine = self.machines[request.machine]
        args = typed(machine, machine.commands[request.command], in_minor_units(request.args), CURRENCY)
        request = attrs.evolve(request, args=args, due=None, after=0)
        mark = (request.machine, request.id, request.command, tuple(request.args.items()))
        number = self._follow_up_numbers.get(mark)
        if number is None:
            number = self._follow_up_numbers[mark] = len(self.follow_ups)
            self.follow_ups.append(request)
        return number

    def followed(self, role: Role, number: int, snapshots: Snapshots) -> list[Effect]:
        """What a queued command does when its time has come. If it is refused it waits, or is gone for good."""
        request = self.follow_ups[number]
        times = moments(self.machines, request.machine, request.command)
        return [each for now in times for each in self._followed(role, number, snapshots, now)]

    def _followed(self, role: Role, number: int, snapshots: Snapshots, now: str) -> list[Effect]:
        request = attrs.evolve(self.follow_ups[number], now=now)
        answer = decide(self.machines, request, self._entities(role, snapshots, range(len(role.reach))))
        if isinstance(answer, Refusal):
            patient = role.machine.commands[request.command].patient
            waits = answer.waits or (patient and answer.by_amounts)
            self._monitor.followed(request, "waits" if waits else "refused")
            return [] if waits else [Effect((), label=number, now=now)]
        self._monitor.followed(request, "taken")
        return [attrs.evolve(each, now=now) for each in self._effects(role, snapshots, request, answer, number)]


def _outcomes(asked: int | None, *, partial: bool, text: str) -> Iterable[tuple[Outcome, str]]:
    """Everything a provider may answer in the end. That the answer is not known yet is a call that stays open."""
    confirmed = Outcome(Result.CONFIRMED, reference=text, number=text)
    yield confirmed, "confirmed"
    yield DECLINED, "declined"
    yield UNAVAILABLE, "unavailable"
    if partial and asked is not None:
        for less in range(asked - 1, 0, -1):
            yield attrs.evolve(confirmed, amount=less), "in_part"


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


def _roles(world: World) -> tuple[list[Role], list[int]]:
    """The roles of a world, and the role of each member."""
    members = world.members
    named = {each.id: number for number, each in enumerate(members)}
    linked = [
        {str(facts[fact]) for facts in member.facts for fact in world.machines[member.machine].links if facts[fact]}
        for member in members
    ]
    chosen = {machine for each in members for machine in link_arguments(world.machines[each.machine])}
    roles: list[Role] = []
    role_of: list[int] = []
    for number, member in enumerate(members):
        free = member.machine not in chosen and not any(member.id in each for each in linked)
        alike = (each for each in roles if (each.member.machine, each.member.facts) == (member.machine, member.facts))
        role = next(alike, None) if free else None
        if role is None:
            reach = _reach(number, linked, named, world)
            slots = {(members[each].machine, members[each].id): slot for slot, each in enumerate(reach)}
            role = Role(len(roles), world.machines[member.machine], member, reach, slots)
            roles.append(role)
        role_of.append(role.number)
    return roles, role_of


def _reach(number: int, linked: Sequence[set[str]], named: Mapping[str, int], world: World) -> tuple[int, ...]:
    """An entity and all that its facts and the arguments of its commands can name, and theirs."""
    found = [number]
    for each in found:
        wanted = [named[id] for id in sorted(linked[each])]
        for machine in link_arguments(world.machines[world.members[each].machine]):
            wanted += [other for other, member in enumerate(world.members) if member.machine == machine]
        found += [other for other in dict.fromkeys(wanted) if other not in found]
    return tuple(found)


def _tracked(machine: Machine, world: World) -> tuple[str, ...]:
    """The outside accounts of which this world's invariants speak: only they are part of a snapshot."""
    names = {name for each in world.invariants(machine) for name in each.always.names}
    return tuple(name for name in machine.outside if name in names)

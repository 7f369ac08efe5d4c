"""The shortest way into a state, told twice: in amounts for a person, and as lines that `tallystick run` replays.

The search keeps only who was first reached from whom. Here the steps between are found again, on entities with their
real names, and every one is taken by the core anew, outside of all that was remembered; the lines of the replay are a
rehearsal (`tallystick run FILE --provider scripted`), which says what the provider replies and when what waits is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from tallystick import money
from tallystick.check.memo import CURRENCY, Effect
from tallystick.check.search import CALLS, MASK, Search
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Entry, InFlight, Intent, Plan, Ref, Request
from tallystick.core.refusal import Refusal, shown
from tallystick.core.resolve import complete, create, resolve, set_aside
from tallystick.definition.expression import MONEY, Type
from tallystick.provider.protocol import Outcome, Result

FOLLOWS = ">"  # in the key of a follow-up, between the key of its cause and its command


@attrs.frozen
class Tale:
    """How it came to this. `entities`: as they are at the end; `ids`: what the members of the state are called here."""

    story: tuple[str, ...]
    replay: tuple[Mapping[str, object], ...]
    entities: Mapping[Ref, Entity]
    ids: tuple[str, ...]


@attrs.frozen
class Step:
    """One step on the way: a command, the end of a call, or a follow-up; `item` is the call or the follow-up."""

    kind: str
    member: int
    effect: Effect
    item: int = -1


@attrs.define
class _Flying:
    """A call that is open: what it set aside, and the command that opened it."""

    item: int
    key: str
    what: str
    steps: list[InFlight]
    asked: int | None
    origin: tuple[int, str] | None  # the follow-up that opened it


def tale(search: Search, number: int, last: Request | None = None, member: int = 0) -> Tale:
    """The shortest way to a state of the graph, and `last`, a command of a member that is not taken there."""
    root, steps, state = _path(search, number)
    ids = tuple(search.world.members[each].id for each in search.names(state))
    teller = _Teller(search, root, steps)
    at = 0
    while at < len(steps):
        at += teller.tell(at)
    if last is not None:
        teller.finally_(attrs.evolve(last, id=ids[member]))
    return Tale(tuple(teller.story), tuple(teller.replay), teller.entities, ids)


# The way


def _path(search: Search, number: int) -> tuple[int, list[Step], int]:
    """The root, the steps from it, and where they lead, for entities that keep their names on the way."""
    states, parents = search.graph.states, search.graph.parents
    numbers = [number]
    while parents[numbers[-1]] >= 0:
        numbers.append(parents[numbers[-1]])
    root = state = states[numbers.pop()]
    steps = []
    for wanted in reversed(numbers):
        state, step = next(
            (after, step) for after, step in around(search, state) if search.ordered(after) == states[wanted]
        )
        steps.append(step)
    return root, steps, state


def around(search: Search, state: int) -> Iterator[tuple[int, Step]]:
    """Every step that can be taken from a state, and where it leads: as the search sees it, but with its name."""
    for member in range(len(search.world.members)):
        yield from _steps(search, state, state, "command", member, search.commanded(member, state))
    for call in dict.fromkeys(search.calls.bags[state >> CALLS & MASK]):
        calls = state >> CALLS & MASK
        less = state + ((search.calls.take(calls, call) - calls) << CALLS)
        yield from _steps(search, state, less, "answer", search.actor(call), search.answers(call, state), call)
    for item in dict.fromkeys(search.queues.bags[state & MASK]):
        less = state + search.queues.take(state & MASK, item) - (state & MASK)
        yield from _steps(search, state, less, "follow", search.actor(item), search.followed(item, state), item)


def _steps(
    search: Search, state: int, less: int, kind: str, member: int, effects: list[Effect], item: int = -1
) -> Iterator[tuple[int, Step]]:
    for effect in effects:
        after = search.applied(less, search.change(member, state, effect))
        if after is not None:
            yield after, Step(kind, member, effect, item)


# The telling


class _Teller:
    def __init__(self, search: Search, root: int, steps: list[Step]) -> None:
        self._search = search
        self._machines = search.memo.machines
        self._steps = steps
        self._flying: list[_Flying] = []
        self._queue: list[tuple[int, str]] = []  # follow-up, key
        self._count = 0
        self.story: list[str] = []
        self.replay: list[Mapping[str, object]] = []
        self.entities: dict[Ref, Entity] = {}
        for member, each in enumerate(search.world.members):
            facts = search.kind(member).forms[search.form(root, member)].facts
            entity = create(self._machines[each.machine], each.id, CURRENCY, facts).entities[0]
            self.entities[entity.ref] = entity
            self.replay.append(self._creation(entity))

    def _around(self, request: Request, entities: Mapping[Ref, Entity] | None = None) -> dict[Ref, Entity]:
        """Whom a request can reach: itself, whom its arguments and facts name, and whom theirs do.

        The cards of this small world share one number; the real ones that do are the balances of one card.
        """
        world = self.entities if entities is None else entities
        arguments = self._machines[request.machine].commands[request.command].arguments
        named = [(request.machine, request.id)]
        named += [
            (each.machine, str(request.args.get(name))) for name, each in arguments.items() if each.kind == "link"
        ]
        found: dict[Ref, Entity] = {}
        for ref in named:  # which grows
            if ref in world and ref not in found:
                found[ref] = world[ref]
                links = self._machines[ref[0]].links
                named += [(machine, str(found[ref].facts[fact])) for fact, machine in links.items()]
        return found

    def tell(self, at: int) -> int:
        """Tell the step at a place, with the answer to its call if that comes next. Gives how many were told."""
        step = self._steps[at]
        if step.kind == "answer":
            self._late(step)
            return 1
        key, request, origin = self._asked(step)
        said = self._said(request) + (" (queued)" if origin else "")
        intent = decide(self._machines, request, self._around(request))
        if isinstance(intent, Refusal):
            self.story.append(f"{said} is refused for good: {intent.why}")
            self._line(key, request, origin)
            return 1
        if intent.asked is None:
            plan = complete(self._machines, intent)
            self._take(plan, key)
            self.story.append(f"{said}{self._became(plan)}")
            self._line(key, request, origin)
            return 1
        return self._call(at, key, request, origin, said, intent)

    def _call(
        self, at: int, key: str, request: Request, origin: tuple[int, str] | None, said: str, intent: Intent
    ) -> int:
        step = self._steps[at]
        item = self._search.call_item(step.member, step.effect.call)
        assert intent.asked is not None
        amount = intent.asked.args.get("amount")
        before = dict(self.entities)
        plan, aside = set_aside(self._machines, intent, key)
        self._take(plan, key)
        flying = _Flying(item, key, self._said(request), aside, amount if isinstance(amount, int) else None, origin)
        answer = self._answer(at, item)
        outcome: Outcome | None = self._steps[answer].effect.label if answer is not None else None
        if outcome is None or answer != at + 1:
            self._flying.append(flying)
            self._line(key, request, origin, _lost(outcome))
            self.story.append(f"{said}, no answer yet{self._became(plan)}")
            return 1
        ended = self._end(flying, outcome)
        self._line(key, request, origin, _reply(outcome))
        if outcome.result is Result.CONFIRMED:  # shown as if it were one step, without the detour over in_doubt
            again = decide(self._machines, request, self._around(request, before))
            assert isinstance(again, Intent)
            ended = complete(self._machines, again, outcome)
            how = f", confirmed for {money.to_text(outcome.amount, CURRENCY)}" if outcome.amount is not None else ""
        else:
            how = f", {outcome.result.value}"
        self.story.append(f"{said}{how}{self._became(ended)}")
        return 2

    def _late(self, step: Step) -> None:
        flying = next(each for each in self._flying if each.item == step.item)
        outcome = step.effect.label
        self._flying.remove(flying)
        plan = self._end(flying, outcome)
        self.replay.append({"do": "resolve", "key": flying.key, "result": outcome.result.value})
        part = f" for {money.to_text(outcome.amount, CURRENCY)}" if outcome.amount is not None else ""
        self.story.append(f"the answer to '{flying.what}': {outcome.result.value}{part}{self._became(plan)}")

    def _end(self, flying: _Flying, outcome: Outcome) -> Plan:
        plan = resolve(self._machines, flying.key, flying.steps, self.entities, outcome, flying.asked)
        assert isinstance(plan, Plan)
        self._take(plan, flying.key)
        if outcome.result is Result.UNAVAILABLE and flying.origin is not None:
            self._queue.append(flying.origin)
        return plan

    def finally_(self, request: Request) -> None:
        """A command that is refused, or should be."""
        self._count += 1
        intent = decide(self._machines, request, self._around(request))
        why = f" is refused: {intent.why}" if isinstance(intent, Refusal) else ""
        self.story.append(f"{self._said(request)}{why}")
        self._line(f"step {self._count}", request, None)

    # What is said

    def _asked(self, step: Step) -> tuple[str, Request, tuple[int, str] | None]:
        """Key and request of a step, and the follow-up that it is, if it is one."""
        id = self._search.world.members[step.member].id
        if step.kind == "follow":
            origin = next(each for each in self._queue if each[0] == step.item)
            self._queue.remove(origin)
            return origin[1], attrs.evolve(self._search.follow_up(step.item), id=id), origin
        self._count += 1
        return f"step {self._count}", attrs.evolve(step.effect.label, id=id), None

    def _answer(self, at: int, item: int) -> int | None:
        """The step that answers the call opened at a place: of calls that look alike, the first ends first."""
        before = sum(each.item == item for each in self._flying)
        for number in range(at + 1, len(self._steps)):
            if self._steps[number].kind == "answer" and self._steps[number].item == item:
                if not before:
                    return number
                before -= 1
        return None

    def _take(self, plan: Plan, key: str) -> None:
        self.entities |= {each.ref: each for each in plan.entities}
        keys: list[str] = []
        for each in plan.then:
            own = f"{key}{FOLLOWS}{each.command}"
            own = own if own not in keys else f"{own}{len(keys) + 1}"
            keys.append(own)
            self._queue.append((self._search.item(each), own))

    def _said(self, request: Request) -> str:
        kinds = self._machines[request.machine].commands[request.command].arguments
        args = [_argument(name, kinds[name], value) for name, value in request.args.items() if _given(value)]
        return " ".join([request.id, request.command, *args])

    def _became(self, plan: Plan) -> str:
        """Where the first entity is now, and what has moved, its and everybody's."""
        first, *others = plan.entries
        state = f" → {first.to_state}" if first.to_state != first.from_state else ""
        told = [
            _moves(first),
            *(f"{each.entity} {each.command}{_arrow(each)} {_moves(each)}".strip() for each in others),
        ]
        moved = "; ".join(each for each in told if each)
        return f"{state}: {moved}" if moved else state

    # What is replayed

    def _creation(self, entity: Entity) -> Mapping[str, object]:
        machine = self._machines[entity.machine]
        facts = {
            name: _plain(fact.type, entity.facts[name])
            for name, fact in machine.facts.items()
            if entity.facts[name] is not None and not fact.later
        }
        return {
            "key": f"create {entity.id}", "machine": entity.machine, "id": entity.id, "command": "create",
            "args": {"currency": CURRENCY, **facts},
        }  # fmt: skip

    def _line(self, key: str, request: Request, origin: tuple[int, str] | None, reply: object = None) -> None:
        told: dict[str, object] = {"provider": reply} if reply is not None else {}
        if origin is not None:
            self.replay.append({"do": "follow", "key": key, **told})
            return
        command = self._machines[request.machine].commands[request.command]
        kinds = command.arguments
        args = {name: _plain(kinds[name], value) for name, value in request.args.items() if _given(value)}
        told |= {"by": "somebody", "reason": "to see what happens"} if command.signed else {}
        said = {"key": key, "machine": request.machine, "id": request.id, "command": request.command, "args": args}
        self.replay.append({**said, **told})


def _given(value: object) -> bool:
    return value is not None and value is not False


def _arrow(entry: Entry) -> str:
    return f" → {entry.to_state}" if entry.to_state != entry.from_state else ""


def _moves(entry: Entry) -> str:
    return ", ".join(f"{source} → {target} {money.to_text(part, CURRENCY)}" for source, target, part in entry.postings)


def _argument(name: str, type_: Type, value: object) -> str:
    return name if value is True else f"{name} {shown(value, type_, CURRENCY)}"


def _plain(type_: Type, value: object) -> object:
    return money.to_text(value, CURRENCY) if type_.kind == MONEY.kind and isinstance(value, int) else value


def _reply(outcome: Outcome) -> object:
    """How the provider replies, in the words of a rehearsal; that it confirms goes without saying."""
    if outcome.result is Result.CONFIRMED:
        return {"confirmed": money.to_text(outcome.amount, CURRENCY)} if outcome.amount is not None else None
    return outcome.result.value


def _lost(outcome: Outcome | None) -> object:
    """The reply to a call that is answered later: it was done, or it was not."""
    if outcome is None or outcome.result is not Result.CONFIRMED:
        return "lost_before"
    return {"lost_after": money.to_text(outcome.amount, CURRENCY)} if outcome.amount is not None else "lost_after"

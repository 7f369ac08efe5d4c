"""The shortest way into a state, told twice: in words and amounts for a person, and as lines for `tallystick run`.

The search only keeps from which state each was first reached. Here the steps between are found again, on entities with
their real ids, and the core takes each of them again, without the cache. The lines are a rehearsal
(`tallystick run FILE --provider scripted`): they say what the provider replies, and when what waits is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from tallystick.check.model.core_cache import Effect
from tallystick.check.model.inputs import ON
from tallystick.check.model.search import CALLS, MASK, Search
from tallystick.check.wording import CURRENCY, amount
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Entry, InFlight, Intent, Plan, Ref, Request
from tallystick.core.refusal import Refusal, shown
from tallystick.core.resolve import complete, create, resolve, set_aside
from tallystick.definition.expression import MONEY, Type
from tallystick.provider.protocol import Outcome, Result

PASSES = 100 * 86400  # seconds from the beginning of a rehearsal to that time
FOLLOWS = ">"  # in the key of a follow-up, between the key of its cause and its command
Origin = tuple[int, str]  # a follow-up in the queue, and its key


@attrs.frozen
class Story:
    """How the world came into a state."""

    lines: tuple[str, ...]
    replay: tuple[Mapping[str, object], ...]
    entities: Mapping[Ref, Entity]  # as they are at the end
    ids: tuple[str, ...]  # what the members of the state are called in the story


@attrs.frozen
class Step:
    """One step on the way."""

    kind: str  # command, answer (to a call) or follow (a follow-up is done)
    member: int  # who acts
    effect: Effect
    item: int = -1  # the call or the follow-up


@attrs.define
class _OpenCall:
    """A call that is not answered yet: what it set aside, and the command that opened it."""

    item: int
    key: str
    command: str  # in words
    steps: list[InFlight]
    asked: int | None
    origin: Origin | None  # the follow-up that opened it


def tell(search: Search, number: int, last: Request | None = None, member: int = 0) -> Story:
    """The shortest way to a state of the graph. `last`: a command that a member gets there, and that is not taken."""
    root, steps, state = _path(search, number)
    ids = tuple(search.world.members[each].id for each in search.names(state))
    teller = _Teller(search, root, steps)
    at = 0
    while at < len(steps):
        at += teller.tell(at)
    if last is not None:
        teller.tell_last(attrs.evolve(last, id=ids[member]))
    return Story(tuple(teller.lines), tuple(teller.replay), teller.entities, ids)


# The way


def _path(search: Search, number: int) -> tuple[int, list[Step], int]:
    """The root, the steps from it, and where they lead, for entities that keep their ids on the way."""
    states, parents = search.graph.states, search.graph.parents
    numbers = [number]
    while parents[numbers[-1]] >= 0:
        numbers.append(parents[numbers[-1]])
    root = state = states[numbers.pop()]
    steps = []
    for wanted in reversed(numbers):
        state, step = next(
            (after, step) for after, step in next_steps(search, state) if search.ordered(after) == states[wanted]
        )
        steps.append(step)
    return root, steps, state


def next_steps(search: Search, state: int) -> Iterator[tuple[int, Step]]:
    """Every step that can be taken from a state, and where it leads before twins are put in order."""
    for member in range(len(search.world.members)):
        yield from _steps(search, state, state, "command", member, search.commanded(member, state))
    calls, queue = state >> CALLS & MASK, state & MASK
    for call in dict.fromkeys(search.calls.items[calls]):
        less = state + ((search.calls.take(calls, call) - calls) << CALLS)
        yield from _steps(search, state, less, "answer", search.actor(call), search.answered(call, state), call)
    for item in dict.fromkeys(search.queues.items[queue]):
        less = state + search.queues.take(queue, item) - queue
        yield from _steps(search, state, less, "follow", search.actor(item), search.followed(item, state), item)


def _steps(
    search: Search, state: int, less: int, kind: str, member: int, effects: list[Effect], item: int = -1
) -> Iterator[tuple[int, Step]]:
    """`less`: the state without the call or the follow-up that ends with the step."""
    for effect in effects:
        after = search.applied(less, search.change(member, state, effect))
        if after is not None:
            yield after, Step(kind, member, effect, item)


# The telling


class _Teller:
    def __init__(self, search: Search, root: int, steps: list[Step]) -> None:
        self._search = search
        self._machines = search.world.machines
        self._steps = steps
        self._open: list[_OpenCall] = []
        self._queue: list[Origin] = []
        self._count = 0
        self._late = False  # the clock has come to the time that facts and arguments have
        self.lines: list[str] = []
        self.replay: list[Mapping[str, object]] = []
        self.entities: dict[Ref, Entity] = {}
        for member, each in enumerate(search.world.members):
            facts = search.role(member).snapshots[search.snapshot(root, member)].facts
            entity = create(self._machines[each.machine], each.id, CURRENCY, facts).entities[0]
            self.entities[entity.ref] = entity
            self.replay.append(self._creation(entity))

    def _around(self, request: Request, entities: Mapping[Ref, Entity]) -> dict[Ref, Entity]:
        """Whom a request can reach: itself, whom its arguments and facts name, and whom theirs do.

        The cards of this small world share one number; the real ones that do are the balances of one card.
        """
        arguments = self._machines[request.machine].commands[request.command].arguments
        named = [(request.machine, request.id)]
        named += [
            (each.machine, str(request.args.get(name))) for name, each in arguments.items() if each.kind == "link"
        ]
        found: dict[Ref, Entity] = {}
        for ref in named:  # which grows
            if ref in entities and ref not in found:
                found[ref] = entities[ref]
                links = self._machines[ref[0]].links
                named += [(machine, str(found[ref].facts[fact])) for fact, machine in links.items()]
        return found

    def tell(self, at: int) -> int:
        """Tell the step at a place, with the answer to its call if that comes next. Gives how many were told."""
        step = self._steps[at]
        if step.kind == "answer":
            self._late_answer(step)
            return 1
        key, request, origin = self._request(step)
        said = self._in_words(request) + (" (queued)" if origin else "")
        intent = decide(self._machines, request, self._around(request, self.entities))
        if not isinstance(intent, Refusal) and intent.asked is not None:
            return self._call(at, key, request, origin, said, intent)
        self._line(key, request, origin)
        if isinstance(intent, Refusal):
            self.lines.append(f"{said} is refused for good: {intent.why}")
        else:
            plan = complete(self._machines, intent)
            self._apply(plan, key)
            self.lines.append(f"{said}{_became(plan)}")
        return 1

    def _call(self, at: int, key: str, request: Request, origin: Origin | None, said: str, intent: Intent) -> int:
        step = self._steps[at]
        assert intent.asked is not None
        asked = intent.asked.args.get("amount")
        before = dict(self.entities)
        plan, aside = set_aside(self._machines, intent, key)
        self._apply(plan, key)
        item = self._search.item(step.member, step.effect.call)
        words = self._in_words(request)
        call = _OpenCall(item, key, words, aside, asked if isinstance(asked, int) else None, origin)
        answer = self._answer(at, item)
        outcome: Outcome | None = self._steps[answer].effect.label if answer is not None else None
        if outcome is None or answer != at + 1:
            self._open.append(call)
            self._line(key, request, origin, _late_reply(outcome))
            self.lines.append(f"{said}, no answer yet{_became(plan)}")
            return 1
        ended = self._end(call, outcome)
        self._line(key, request, origin, _reply(outcome))
        if outcome.result is Result.CONFIRMED:  # shown as if it were one step, without the detour over in_doubt
            again = decide(self._machines, request, self._around(request, before))
            assert isinstance(again, Intent)
            ended = complete(self._machines, again, outcome)
            how = f", confirmed for {amount(outcome.amount)}" if outcome.amount is not None else ""
        else:
            how = f", {outcome.result.value}"
        self.lines.append(f"{said}{how}{_became(ended)}")
        return 2

    def _late_answer(self, step: Step) -> None:
        call = next(each for each in self._open if each.item == step.item)
        outcome = step.effect.label
        self._open.remove(call)
        plan = self._end(call, outcome)
        self.replay.append({"do": "resolve", "key": call.key, "result": outcome.result.value})
        part = f" for {amount(outcome.amount)}" if outcome.amount is not None else ""
        self.lines.append(f"the answer to '{call.command}': {outcome.result.value}{part}{_became(plan)}")

    def _end(self, call: _OpenCall, outcome: Outcome) -> Plan:
        plan = resolve(self._machines, call.key, call.steps, self.entities, outcome, call.asked)
        assert isinstance(plan, Plan)
        self._apply(plan, call.key)
        if outcome.result is Result.UNAVAILABLE and call.origin is not None:
            self._queue.append(call.origin)
        return plan

    def tell_last(self, request: Request) -> None:
        """Tell a command that is refused, or should be."""
        self._count += 1
        intent = decide(self._machines, request, self._around(request, self.entities))
        why = f" is refused: {intent.why}" if isinstance(intent, Refusal) else ""
        self.lines.append(f"{self._in_words(request)}{why}")
        self._line(f"step {self._count}", request, None)

    def _request(self, step: Step) -> tuple[str, Request, Origin | None]:
        """Key and request of a step, and the follow-up that it is, if it is one."""
        id = self._search.world.members[step.member].id
        if step.kind == "follow":
            origin = next(each for each in self._queue if each[0] == step.item)
            self._queue.remove(origin)
            return origin[1], attrs.evolve(self._search.follow_up(step.item), id=id, now=step.effect.now), origin
        self._count += 1
        return f"step {self._count}", attrs.evolve(step.effect.label, id=id), None

    def _answer(self, at: int, item: int) -> int | None:
        """The step that answers the call opened at a place: of calls that look alike, the first ends first."""
        before = sum(each.item == item for each in self._open)
        answers = (
            number
            for number in range(at + 1, len(self._steps))
            if self._steps[number].kind == "answer" and self._steps[number].item == item
        )
        return next((number for nth, number in enumerate(answers) if nth == before), None)

    def _apply(self, plan: Plan, key: str) -> None:
        self.entities |= {each.ref: each for each in plan.entities}
        keys: list[str] = []
        for each in plan.then:
            own = f"{key}{FOLLOWS}{each.command}"
            own = own if own not in keys else f"{own}{len(keys) + 1}"
            keys.append(own)
            self._queue.append((self._search.follow_up_item(each), own))

    def _in_words(self, request: Request) -> str:
        types = self._machines[request.machine].commands[request.command].arguments
        given = [(name, value) for name, value in request.args.items() if _given(value)]
        args = [name if value is True else f"{name} {shown(value, types[name], CURRENCY)}" for name, value in given]
        return " ".join([request.id, request.command, *args])

    # What is replayed

    def _creation(self, entity: Entity) -> Mapping[str, object]:
        machine = self._machines[entity.machine]
        facts = {
            name: _as_json(fact.type, entity.facts[name])
            for name, fact in machine.facts.items()
            if entity.facts[name] is not None and not fact.later
        }
        return {
            "key": f"create {entity.id}", "machine": entity.machine, "id": entity.id, "command": "create",
            "args": {"currency": CURRENCY, **facts},
        }  # fmt: skip

    def _line(self, key: str, request: Request, origin: Origin | None, reply: object = None) -> None:
        more: dict[str, object] = {"provider": reply} if reply is not None else {}
        if request.now == ON and not self._late:
            self._late = True
            self.replay.append({"do": "wait", "seconds": PASSES})
        if origin is not None:
            self.replay.append({"do": "follow", "key": key, **more})
            return
        command = self._machines[request.machine].commands[request.command]
        types = command.arguments
        args = {name: _as_json(types[name], value) for name, value in request.args.items() if _given(value)}
        more |= {"by": "somebody", "reason": "to see what happens"} if command.signed else {}
        line = {"key": key, "machine": request.machine, "id": request.id, "command": request.command, "args": args}
        self.replay.append({**line, **more})


def _became(plan: Plan) -> str:
    """Where the first entity is now, and what has moved, its and everybody's."""
    first, *others = plan.entries
    told = [_moves(first), *(f"{each.entity} {each.command}{_arrow(each)} {_moves(each)}".strip() for each in others)]
    moved = "; ".join(each for each in told if each)
    return f"{_arrow(first)}: {moved}" if moved else _arrow(first)


def _arrow(entry: Entry) -> str:
    return f" → {entry.to_state}" if entry.to_state != entry.from_state else ""


def _moves(entry: Entry) -> str:
    return ", ".join(f"{source} → {target} {amount(part)}" for source, target, part in entry.postings)


def _given(value: object) -> bool:
    return value is not None and value is not False


def _as_json(type_: Type, value: object) -> object:
    return amount(value) if type_.kind == MONEY.kind and isinstance(value, int) else value


def _reply(outcome: Outcome) -> object:
    """How the provider replies, in the words of a rehearsal; that it confirms goes without saying."""
    if outcome.result is Result.CONFIRMED:
        return {"confirmed": amount(outcome.amount)} if outcome.amount is not None else None
    return outcome.result.value


def _late_reply(outcome: Outcome | None) -> object:
    """The reply to a call that is answered later: it was done, or it was not."""
    if outcome is None or outcome.result is not Result.CONFIRMED:
        return "lost_before"
    return {"lost_after": amount(outcome.amount)} if outcome.amount is not None else "lost_after"

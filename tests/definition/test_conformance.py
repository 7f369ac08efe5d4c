"""Our table and the `transitions` library, side by side on long walks through each machine.

`transitions.Machine` is the reference: the same guards as its conditions, the same moves as its effects, its own
dispatch. A walk goes where it has gone least: the rarest transition is its goal, the graph says the way, so that
after some thousand steps each was taken from each of its states, and every kind of refusal met.

Each machine walks alone (`standing_alone`): whom it would drive and what the provider would say is not the library's
business. What the two must agree on is who answers a command, when, and what is on every account afterwards.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
import transitions

from core_world import MACHINES
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Request
from tallystick.core.fast_path import fast_path
from tallystick.core.refusal import Code, Refusal
from tallystick.core.resolve import complete, create
from tallystick.definition.expression import Type
from tallystick.definition.machine import Machine, Machines, to_transitions
from tallystick.provider.protocol import Outcome, Result
from tallystick.testing.fuzzing.conformance_walk import standing_alone

STEPS = 4000
MOST = 20  # cents: small, so that amounts meet


def pairs(machine: Machine) -> list[tuple[str, str]]:
    """Every transition from every state it may leave."""
    return [(state, name) for name, each in machine.transitions.items() for state in each.sources]


TIMES = [f"2030-01-0{day}T00:00:00.000Z" for day in range(1, 5)]


class Model:
    """What the library moves: it keeps `state`, and our guards and effects look at the rest."""

    state: str

    def __init__(self, entity: Entity) -> None:
        self.accounts, self.facts = dict(entity.accounts), dict(entity.facts)


class Walk:
    """One machine, twice: ours, and as the library runs it."""

    def __init__(self, machine: Machine, seed: int) -> None:
        self.random = Random(seed)
        self.machine = standing_alone(machine)
        self.machines = Machines([self.machine])
        self.reference = to_transitions(machine)
        self.taken: Counter[tuple[str, str]] = Counter()  # state, transition
        self.aimed: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[Code] = Counter()
        self.pairs = pairs(machine)
        self.far = {state: self.distances(state) for state in machine.states}
        self.goal, self.patience = self.pairs[0], 0
        self.begin()

    def begin(self) -> None:
        facts = {
            name: self.value(fact.type) if not fact.later else fact.default for name, fact in self.machine.facts.items()
        }
        (self.entity,) = create(self.machine, "x", "BRL", facts).entities
        self.model = Model(self.entity)
        self.reference.add_model(self.model, initial=self.entity.state)

    def value(self, type_: Type) -> object:
        random = self.random
        if type_.optional and random.random() < 0.4:
            return None
        match type_.kind:
            case "money":
                near = random.choice(self.amounts()) + random.choice((-1, 0, 0, 0, 1))
                return random.choice([random.randint(-1, MOST), near])
            case "flag":
                return random.random() < 0.5
            case "choice":
                return random.choice(type_.choices)
            case "time":
                return random.choice(TIMES)
        return random.choice(["x", "y"])

    def amounts(self) -> list[int]:
        entity: Entity | None = getattr(self, "entity", None)
        known = (
            [*entity.accounts.values(), *(each for each in entity.facts.values() if type(each) is int)]
            if entity
            else []
        )
        return [*known, 0]

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.step()

    def step(self) -> None:
        """One step towards the rarest transition, or aside; now and then any command with any arguments."""
        if self.patience == 0 or self.entity.state not in self.far[self.goal[0]]:
            self.aim()
        self.patience -= 1
        state, random, far = self.entity.state, self.random, self.far[self.goal[0]]
        if random.random() < 0.25:
            command = random.choice(list(self.machine.commands))
            self.both(command, self.arguments(command))
        elif state == self.goal[0] and self.fire(self.goal[1]):
            self.patience = 0
        else:
            exits = [name for from_, name in self.pairs if from_ == state]
            nearer = [name for name in exits if far.get(self.leads(state, name), 99) < far[state]]
            self.fire(random.choice(nearer if nearer and random.random() < 0.6 else exits))

    def aim(self) -> None:
        """The rarest transition of all is the next goal; where no way leads to it from here, a new entity's."""
        self.goal = min(self.pairs, key=lambda pair: (self.taken[pair] + self.aimed[pair], self.random.random()))
        self.aimed[self.goal] += 1
        self.patience = 20
        if self.entity.state not in self.far[self.goal[0]] or self.random.random() < 0.3:
            self.reference.remove_model(self.model)
            self.begin()

    def fire(self, name: str) -> bool:
        """The transition by name, with arguments that its guard likes, if some are found."""
        command = self.machine.transitions[name].commands[0]
        for _ in range(20):
            args = self.arguments(command)
            if self.machine.rows[name].fires(self.entity.accounts, self.entity.facts, args, self.entity.state):
                self.both(command, args)
                return True
        return False

    def leads(self, state: str, name: str) -> str:
        return self.machine.transitions[name].target or state

    def distances(self, goal: str) -> dict[str, int]:
        """How many transitions each state is away from `goal`, where there is a way at all."""
        far, edge = {goal: 0}, {goal}
        while edge := {state for state, name in self.pairs if self.leads(state, name) in edge} - far.keys():
            far |= dict.fromkeys(edge, max(far.values()) + 1)
        return far

    def arguments(self, command: str) -> dict[str, Any]:
        args: dict[str, Any] = {
            name: self.value(type_) for name, type_ in self.machine.commands[command].arguments.items()
        }
        if self.machine.commands[command].timed:
            args["now"] = self.random.choice(TIMES)
        for name, *_ in self.machine.commands[command].linked:  # never below zero on an account
            args[name] = abs(int(str(self.value(Type("money")))))
        if (
            args.get("allow_partial") and "available" in self.entity.accounts
        ):  # what is cut to `upto` is cut before the effect
            most = self.entity.facts.get("use_limit")
            args["amount"] = min(args["amount"], self.entity.accounts["available"], *([] if most is None else [most]))
        return args

    def both(self, command: str, args: dict[str, Any]) -> None:
        before = self.entity
        request = Request(self.machine.name, "x", command, args, str(args.get("now", "")))
        answer = decide(self.machines, request, {before.ref: before})
        try:
            theirs: bool | None = self.model.trigger(command, **args)  # type: ignore[attr-defined]  # the library puts it there
        except transitions.MachineError:
            theirs = None  # the state has no such transition
        if isinstance(answer, Refusal):
            self.refused[answer.code] += 1
            assert (answer.code, theirs) in {(Code.NOT_NOW, None), (Code.GUARD, False)}, answer
        else:
            assert theirs is True, f"the library refuses {command}({args}) in {before}"
            self.taken[before.state, answer.steps[0].row.name] += 1
            outcome = Outcome(Result.CONFIRMED, reference=f"R{self.taken.total()}", number="6006490281")
            (self.entity,) = complete(self.machines, answer, outcome).entities
            self.model.facts = dict(self.entity.facts)  # what becomes of facts is ours alone
        assert self.model.state == self.entity.state
        assert self.model.accounts == self.entity.accounts


# A machine that reads its parts does not run without them.
ALONE = [machine for machine in MACHINES.values() if not machine.reads_parts]


@pytest.mark.parametrize("seed", [1, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("machine", ALONE, ids=lambda machine: machine.name)
def test_side_by_side(machine: Machine, seed: int) -> None:
    walk = Walk(machine, seed)
    wanted = set(pairs(machine))
    for _ in range(30):
        walk.steps(STEPS)
        if set(walk.taken) == wanted:
            break
    assert set(walk.taken) == wanted, "a transition was never taken, or taken where it cannot be"
    assert set(walk.refused) == {Code.GUARD, Code.NOT_NOW}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.name)
def test_the_table_is_read_from_the_library(machine: Machine) -> None:
    """Nothing is added on the way, and nothing lost: triggers, sources, destinations, in their order."""
    reference = to_transitions(machine)
    theirs = [
        (state, command, [each.dest for each in registered])
        for command, event in reference.events.items()
        for state, registered in event.transitions.items()
    ]
    ours = [(state, command, [row.target for row in rows]) for (state, command), rows in machine.table.items()]
    assert sorted(theirs) == sorted(ours)
    assert list(reference.states) == list(machine.states)
    assert reference.initial == machine.start


def test_a_model_of_that_ecosystem_runs_on_it() -> None:
    machine = MACHINES["payment"]
    (entity,) = create(
        machine, "p", "BRL", {"order": "o", "card": "c", "hold_id": None, "redemption_id": None}
    ).entities
    model: Any = Model(entity)
    to_transitions(machine).add_model(model, initial=entity.state)
    assert model.authorize(amount=100, pin=None, allow_partial=False, until=None, now=TIMES[0])
    assert not model.settle(amount=101, last=False, keep_hold=False, invoice=None, until=None)
    assert model.settle(amount=40, last=False, keep_hold=False, invoice=None, until=None)
    assert (model.state, model.accounts) == (
        "partially_settled",
        {"held": 0, "uncovered": 60, "redeemed": 40, "in_doubt": 0},
    )
    with pytest.raises(transitions.MachineError, match="Can't trigger event authorize from state partially_settled"):
        model.authorize(amount=1, pin=None, allow_partial=False, until=None, now=TIMES[0])


def test_the_walk_would_notice() -> None:
    """A guard turned round on one side, and the two part. The rows decide where the fast paths say nothing."""
    walk = Walk(MACHINES["payment"], seed=1)
    row = walk.machine.rows["settle_all"]
    fires = row.fires
    row.fires = lambda v, f, a, s: not fires(v, f, a, s)
    walk.machine.fast_paths.update(dict.fromkeys(walk.machine.table, lambda *_: None))
    with pytest.raises(AssertionError):
        walk.steps(STEPS)


def test_the_walk_would_notice_a_wrong_fast_path() -> None:
    walk = Walk(MACHINES["payment"], seed=1)
    usual = fast_path(walk.machine, "authorized", "settle")

    def wrong(*given: Any) -> Any:
        step = usual(*given)
        if step is not None:
            step.after = {**step.after, "held": step.after["held"] + 1}
        return step

    walk.machine.fast_paths["authorized", "settle"] = wrong
    with pytest.raises(AssertionError):
        walk.steps(STEPS)

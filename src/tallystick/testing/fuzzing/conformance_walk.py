"""A page and the library `transitions`, side by side on a long walk.

The machine walks without the others: whom it would drive and what a provider would answer is not the library's
business. Both have to agree on who answers a command, when, and what stands on every account afterwards. The walk goes
where it has been least.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import attrs

from tallystick.core.decide import decide
from tallystick.core.entity import Entity, Intent, Request
from tallystick.core.refusal import Code, Refusal
from tallystick.core.resolve import complete, create
from tallystick.definition.machine import Machine, Machines
from tallystick.testing.fuzzing import boundaries
from tallystick.testing.fuzzing.conformance import Reference
from tallystick.testing.fuzzing.world import CURRENCY

STEPS = 2000
LIFE = 60  # steps after which the next entity begins


def side_by_side(machine: Machine, *, seed: int = 0, steps: int = STEPS) -> str | None:
    """Where the two part, as a sentence; None if they never do."""
    walk = _Walk(standing_alone(machine), Reference(_uncut(machine)), Random(seed))  # noqa: S311  # a walk, no secret
    for step in range(steps):
        if step % LIFE == 0 or machine.states[walk.entity.state].final:
            walk.begin()
        found = walk.step()
        if found is not None:
            return found
    return None


def standing_alone(machine: Machine) -> Machine:
    """The same guards, moves and facts; but it drives and asks nobody, and every command may be given."""
    return attrs.evolve(
        machine,
        commands={name: attrs.evolve(each, driven=False) for name, each in machine.commands.items()},
        transitions={
            name: attrs.evolve(each, drives=(), ask=None, partial=None, upto=(), otherwise=None, then=())
            for name, each in machine.transitions.items()
        },
    )


def _uncut(machine: Machine) -> Machine:
    """The same; but amounts are not cut to what is there, as they are not if nobody is asked."""
    uncut = {name: attrs.evolve(each, upto=()) for name, each in machine.transitions.items()}
    return attrs.evolve(machine, transitions=uncut)


class _Walk:
    def __init__(self, machine: Machine, reference: Reference, random: Random) -> None:
        self.machine, self.reference, self.random = machine, reference, random
        self.machines = Machines([machine])
        self.taken: Counter[tuple[str, str]] = Counter()  # state, transition
        self.begin()

    def begin(self) -> None:
        facts = {}
        for name, fact in self.machine.facts.items():
            if fact.later:
                facts[name] = fact.default
            elif fact.type.kind in ("money", "count"):
                facts[name] = self.random.choice([1, 10, 100, *([None] if fact.type.optional else [])])
            else:
                facts[name] = self.random.choice(boundaries.choices(fact.type, lambda _: ["x", "y"]))
        (self.entity,) = create(self.machine, "x", CURRENCY, facts).entities

    def step(self) -> str | None:
        """One command, to both."""
        wanted = self.rarest() if self.random.random() < 0.8 else None
        command, args = wanted or self.anything()
        before = self.entity
        intent = decide(self.machines, Request(before.machine, before.id, command, args), {before.ref: before})
        self.reference.put(before.state, before.accounts, before.facts)
        names = self.reference.answers(command, args)
        where = f"{before.state} with {dict(before.accounts)} and {command} {args}"
        if isinstance(intent, Refusal):
            if names and intent.code in (Code.NOT_NOW, Code.GUARD):
                return f"{where}: we refuse it ({intent.why}); the library would fire {' and '.join(names)}"
            return None
        return self.both(intent, command, args, names, where)

    def both(self, intent: Intent, command: str, args: dict[str, object], names: list[str], where: str) -> str | None:
        ours = intent.steps[0].row.name
        if names != [ours]:
            return f"{where}: we fire {ours}; the library {' and '.join(names) or 'nothing'}"
        self.taken[self.entity.state, ours] += 1
        self.reference.fire(command, args)
        (self.entity,) = complete(self.machines, intent).entities
        model = self.reference.model
        if (self.entity.state, self.entity.accounts) != (model.state, model.accounts):
            came = f"we come to {self.entity.state} {self.entity.accounts}"
            return f"{where}: {came}; the library to {model.state} {model.accounts}"
        return None

    def rarest(self) -> tuple[str, dict[str, object]] | None:
        """The transition that was taken least, of those that some arguments would fire here."""
        state = self.entity.state
        rows = [row for row in self.machine.rows.values() if state in row.transition.sources]
        self.random.shuffle(rows)
        for row in sorted(rows, key=lambda row: self.taken[state, row.name]):
            command = self.random.choice(row.transition.commands)
            for _ in range(16):
                args = self.arguments(command)
                if row.fires(self.entity.accounts, self.entity.facts, args, state):
                    return command, args
        return None

    def anything(self) -> tuple[str, dict[str, object]]:
        command = self.random.choice(list(self.machine.commands))
        return command, self.arguments(command)

    def arguments(self, command: str) -> dict[str, object]:
        entity: Entity = self.entity
        args: dict[str, object] = {}
        for name, type_ in self.machine.commands[command].seen.items():
            if type_.kind in ("money", "count"):
                amounts = boundaries.amounts(self.machines, entity, command, name, {}, args)
                args[name] = self.random.choice([*amounts, *([None] if type_.optional else [])])
            else:
                args[name] = self.random.choice(boundaries.choices(type_, lambda _: ["x", "y"]))
        return args

"""Where to go next: the way to a transition, planned on the declared graph, and arguments that its guard accepts.

A random walk rarely pays a card down to the cent, or replaces one twice. So each walk has goals. A goal is a transition
out of one of its states, and what the provider replies to it. The walk takes a step towards the first of them:

    another state is needed         one transition along the shortest way there, now and then another
    the linked entity refuses       a step of that one, towards a state that answers
    an account has too little       a step that fills it
    only another machine may do it  a step of one that drives it; one is made first, if there is none
    nothing of the kind is left     a new one, with facts that its guards accept

The dice decide every choice, and nothing else does: the same dice, the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice, product

import attrs

from tallystick.core.decide import decide
from tallystick.core.entity import CREATE, Entity, Intent, Ref, Request
from tallystick.core.refusal import Code, Refusal
from tallystick.core.resolve import complete
from tallystick.definition.declared import TOTAL, Drive
from tallystick.definition.expression import NOW, Type
from tallystick.definition.machine import Machine, Machines, Row
from tallystick.money import LIMIT
from tallystick.testing.fuzzing import boundaries
from tallystick.testing.fuzzing.coverage import Goal
from tallystick.testing.fuzzing.dice import Dice, pick, rarely, rotated
from tallystick.testing.fuzzing.parts import Parts
from tallystick.testing.fuzzing.world import CURRENCY

DEEPEST = 5  # steps that are needed for one another
TRIES = 24  # arguments looked at for one transition
SAME_SHARES = 6  # arguments looked at beside the same shares
LOOKS = 14  # transitions looked at for one step
MOST = 8  # entities of one machine
ROOMY = range(10, 10**7)  # amounts that leave something to do for those who come after


FAULTS = (Code.AMBIGUOUS, Code.OVERDRAWN, Code.NOT_EMPTY, Code.TWICE)  # refusals that no page should need


def faulty(refusal: Refusal) -> bool:
    """Whether a refusal says that the page is at fault, or that of an entity it drives."""
    return refusal.code in FAULTS or (refusal.cause is not None and faulty(refusal.cause))


@attrs.frozen
class WantedCommand:
    """A command to give."""

    machine: str
    id: str | None  # None: whatever is created next
    command: str
    args: Mapping[str, object]


class Guide:
    """Knows the graphs. What it says depends only on the world it is shown and on the dice."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        self._ways = {name: _distances(machine) for name, machine in machines.items()}
        self._drivers = _drivers(machines)

    def step(
        self, world: Mapping[Ref, Entity], goal: Goal, dice: Dice, *, fresh: bool = False, by: Ref | None = None,
        waiting: Collection[Ref] = (), now: str,
    ) -> WantedCommand | None:  # fmt: skip
        """A command that leads to the goal or reaches it. `fresh`: for a new entity; `by`: for this one, if it can.

        `waiting`: the entities for which a follow-up is queued; `now`: the time.
        """
        return _Plan(self, world, dice, Parts(self.machines, world, waiting, now)).towards(goal, fresh, by)

    def any_command(
        self, world: Mapping[Ref, Entity], names: Sequence[str], dice: Dice, now: str
    ) -> WantedCommand | None:
        """Any command of any entity, sensible or not."""
        refs = [ref for ref in world if ref[0] in names]
        if not refs:
            return None
        entity = world[pick(dice, refs)]
        machine = self.machines.at(entity.machine, entity.machine_version)
        command = pick(dice, list(machine.commands))
        plan = _Plan(self, world, dice, Parts(self.machines, world, now=now))
        args = next(plan.arguments(machine, entity, command, {}), None)
        if args is None:
            return None
        return WantedCommand(entity.machine, entity.id, command, _given(machine, command, args))

    def ways(self, machine: str, target: str) -> Mapping[str, int]:
        """How far each state is from `target`, where there is a way."""
        return self._ways[machine].get(target, {})

    def drivers(self, machine: str, command: str) -> list[tuple[Machine, Row, Drive]]:
        return self._drivers.get((machine, command), [])


@attrs.define
class _Plan:
    guide: Guide
    world: Mapping[Ref, Entity]
    dice: Dice
    parts: Parts
    _looked: set[tuple[Ref, str, Ref | None]] = attrs.field(factory=set)  # in vain, or it would be over
    _amounts: dict[tuple[object, ...], list[int]] = attrs.field(factory=dict)

    def towards(self, goal: Goal, fresh: bool, by: Ref | None) -> WantedCommand | None:
        machine = self.guide.machines[goal.machine]
        row = machine.rows[goal.transition]
        ways = self.guide.ways(goal.machine, goal.state)
        mine = {ref: each for ref, each in self.world.items() if ref[0] == goal.machine}
        able = {ref: each for ref, each in mine.items() if each.state in ways}
        if not able or (fresh and len(mine) < MOST):
            return self.creation(machine, row, {}) if len(mine) < 2 * MOST else None
        nearest = min(ways[each.state] for each in able.values())
        entity = pick(self.dice, [each for each in able.values() if ways[each.state] <= nearest + 1])
        if by in able and not rarely(self.dice, 8):
            entity = able[by]
        if entity.state == goal.state:
            return self.fire(machine, entity, row, DEEPEST)
        return self.approach(machine, entity, [goal.state], DEEPEST)

    def approach(self, machine: Machine, entity: Entity, states: Sequence[str], deep: int) -> WantedCommand | None:
        """A step of this entity towards one of these states."""
        if not deep:
            return None
        ways = [self.guide.ways(machine.name, state) for state in states]
        far = min((way[entity.state] for way in ways if entity.state in way), default=None)
        if far is None:
            return None
        leaving = [row for row in machine.rows.values() if entity.state in row.transition.sources]
        nearer = [row for row in leaving if any(way.get(row.target or "", far) < far for way in ways)]
        for row in rotated(self.dice, nearer):
            wanted = self.fire(machine, entity, row, deep - 1)
            if wanted is not None:
                return wanted
        return None

    def fire(self, machine: Machine, entity: Entity, row: Row, deep: int) -> WantedCommand | None:
        """This transition of this entity, or a step that it needs first."""
        commands = [each for each in row.transition.commands if not machine.commands[each].driven]
        if not commands:
            return self.drive(machine, entity, row, deep)
        command = pick(self.dice, commands)
        parted = entity.state == machine.start and any(then.each for then in row.transition.then)
        if parted and self.dice.below(3):
            more = self.one_more_part(machine, entity, row, 3)
            if more is not None:
                return more
        args = self.accepted(machine, entity, row, command, {}, roomy=deep < DEEPEST)
        if args is not None:
            return WantedCommand(entity.machine, entity.id, command, args)
        return self.needed(machine, entity, row, deep) if deep else None

    def drive(self, machine: Machine, entity: Entity, row: Row, deep: int) -> WantedCommand | None:
        """A step of another machine that drives this transition."""
        drivers = [each for command in row.transition.commands for each in self.guide.drivers(machine.name, command)]
        for theirs, driver, drive in rotated(self.dice, drivers) if deep else ():
            linked = {drive.link: entity.id}
            those = [each for ref, each in self.world.items() if ref[0] == theirs.name
                     and (drive.by_argument or each.facts.get(drive.link) == entity.id)]  # fmt: skip
            given = linked if drive.by_argument else {}
            for each in rotated(self.dice, those):
                if each.state in driver.transition.sources:
                    command = pick(self.dice, driver.transition.commands)
                    args = self.accepted(theirs, each, driver, command, given, entity, row, roomy=deep < DEEPEST)
                    if args is not None:
                        return WantedCommand(each.machine, each.id, command, args)
                wanted = self.approach(theirs, each, driver.transition.sources, deep - 1)
                if wanted is not None:
                    return wanted
            if len([1 for ref in self.world if ref[0] == theirs.name]) < MOST:
                return self.creation(theirs, driver, {} if drive.by_argument else linked)
        return self.needed(machine, entity, row, deep) if deep and drivers else None

    # What comes first

    def needed(self, machine: Machine, entity: Entity, row: Row, deep: int) -> WantedCommand | None:
        """Why it does not fire, and a step that changes that."""
        for drive in row.transition.drives:
            theirs = self.guide.machines[drive.machine]
            answering = sorted({state for state, command in theirs.table if command == drive.command})
            linked = self.linked(entity, drive)
            if linked is None:
                return self.creation(theirs, None, {})
            if linked.state not in answering:
                return self.approach(theirs, linked, answering, deep - 1)
            for other in theirs.table[linked.state, drive.command]:
                wanted = self.filled(theirs, linked, other, deep)
                if wanted is not None:
                    return wanted
        return self.parted(machine, entity, row, deep) or self.filled(machine, entity, row, deep)

    def parted(self, machine: Machine, entity: Entity, row: Row, deep: int) -> WantedCommand | None:
        """A step of a part: there is none, or it does not do its share, or has not what the guard looks for."""
        more = self.one_more_part(machine, entity, row, 1)
        if more is not None or deep < 2:
            return more
        for name in rotated(self.dice, list(machine.parts)):
            theirs = self.guide.machines[name]
            follow = {then.command for then in row.transition.then if then.each == name}
            wanted = {f"{name}.{account}": account for account in theirs.accounts}
            accounts = {wanted[each] for each in row.transition.reads if each in wanted}
            useful = [each for each in theirs.rows.values() if follow & set(each.transition.commands)
                      or any(move.target in accounts for move in each.transition.moves)]  # fmt: skip
            for part in rotated(self.dice, self.parts.of(entity, name)):
                for other in rotated(self.dice, useful):
                    if part.state not in other.transition.sources:
                        step = self.approach(theirs, part, other.transition.sources, deep - 1)
                    elif follow & set(other.transition.commands):
                        step = self.needed(theirs, part, other, deep - 1)
                    else:
                        step = self.fire(theirs, part, other, deep - 1)
                    if step is not None:
                        return step
        return None

    def one_more_part(self, machine: Machine, entity: Entity, row: Row, most: int) -> WantedCommand | None:
        """A new part of an entity whose transition does something with its parts, if it has fewer than `most`."""
        for name in dict.fromkeys(then.each for then in row.transition.then):
            if name is not None and len(self.parts.of(entity, name)) < most and len(self._ids(name)) < 2 * MOST:
                return self.creation(self.guide.machines[name], None, {machine.parts[name]: entity.id})
        return None

    def linked(self, entity: Entity, drive: Drive) -> Entity | None:
        if not drive.by_argument:
            return self.world.get((drive.machine, str(entity.facts.get(drive.link))))
        able = [each for ref, each in self.world.items() if ref[0] == drive.machine]
        return pick(self.dice, able) if able else None

    def filled(self, machine: Machine, entity: Entity, row: Row, deep: int) -> WantedCommand | None:
        """A step that puts something on an account that the guard looks at, or takes it off; or sets a fact."""
        names = set(row.transition.guard.names) if row.transition.guard else set()
        names |= {move.source for move in row.transition.moves}
        accounts, facts = names & entity.accounts.keys(), names & machine.facts.keys()
        others = [each for each in machine.rows.values() if entity.state in each.transition.sources and each is not row]
        filling = [each for each in others if any(move.target in accounts for move in each.transition.moves)]
        taking = [each for each in others if any(move.source in accounts for move in each.transition.moves)]
        setting = [each for each in others if facts & each.transition.sets.keys()]
        first, second = (taking, filling) if rarely(self.dice, 4) else (filling, taking)
        for other in [*rotated(self.dice, first), *rotated(self.dice, setting), *rotated(self.dice, second)]:
            wanted = self.fire(machine, entity, other, deep - 2) if deep > 1 and not other.final else None
            if wanted is not None:
                return wanted
        return None

    # Arguments and facts

    def accepted(
        self, machine: Machine, entity: Entity, row: Row, command: str, given: Mapping[str, object],
        driven: Entity | None = None, theirs: Row | None = None, *, roomy: bool,
    ) -> Mapping[str, object] | None:  # fmt: skip
        """Arguments with which the core would fire this transition, and drive that other one if there is one."""
        look = entity.ref, row.name, driven.ref if driven is not None else None
        if look in self._looked or len(self._looked) >= LOOKS:
            return None
        self._looked.add(look)
        roomy = roomy and not rarely(self.dice, 6)
        for tried, args in enumerate(self.arguments(machine, entity, command, given, roomy=roomy)):
            if tried >= TRIES:
                break
            if not row.fires(entity.accounts, entity.facts, args, entity.state):
                continue
            intent = decide(self.guide.machines, Request(*entity.ref, command, args, self.parts.now), self.world)
            if isinstance(intent, Refusal):
                if faulty(intent):  # the checks have to see this
                    return _given(machine, command, args)
            elif intent.steps[0].row is row and self.willing(intent):
                steps = {(step.entity.ref, step.row.name) for step in intent.steps}
                if driven is None or theirs is None or (driven.ref, theirs.name) in steps:
                    return _given(machine, command, args)
        return None

    def willing(self, intent: Intent) -> bool:
        """Whether each part would do its share; the engine refuses the whole if one would not."""
        if not any(then.each for then in intent.steps[0].row.transition.then):
            return True
        for request in complete(self.guide.machines, intent).then:
            if request.machine != intent.steps[0].entity.machine:
                left_out = self.guide.machines[request.machine].commands[request.command].left_out()
                asked = attrs.evolve(request, args={**left_out, **request.args}, now=self.parts.now)
                if isinstance(decide(self.guide.machines, asked, self.world), Refusal):
                    return False
        return True

    def arguments(
        self, machine: Machine, entity: Entity, command: str, given: Mapping[str, object], *, roomy: bool = False
    ) -> Iterator[dict[str, object]]:
        """Arguments of every type, amounts from where guards turn, and what the command reads of its parts.

        None, if an argument links to what is not there.
        """
        declared = machine.commands[command]
        read = self.parts.read(entity, declared) if declared.reads else {}
        shared = [name for name, type_ in declared.arguments.items() if type_.kind == "shares"]
        if not shared:
            yield from self._arguments(machine, entity, command, given, read, roomy)
        for name in shared:
            totals = [each for each in self.amounts(entity, command, f"{name}.{TOTAL}", read) if 0 < each < LIMIT]
            found = self.parts.shares(entity, command, name, rotated(self.dice, totals)[:8], self.dice.below)
            for shares in rotated(self.dice, found):
                chosen = {**read, f"{name}.{TOTAL}": sum(amount for _, amount in shares)}
                several = self._arguments(machine, entity, command, {**given, name: shares}, chosen, roomy)
                yield from islice(several, SAME_SHARES)

    def _arguments(
        self, machine: Machine, entity: Entity, command: str, given: Mapping[str, object], read: Mapping[str, object],
        roomy: bool,
    ) -> Iterator[dict[str, object]]:  # fmt: skip
        columns = []
        totals = [value for name, value in read.items() if name.endswith(f".{TOTAL}")]
        for name, type_ in machine.commands[command].arguments.items():
            if name in given:
                values: list[object] = [given[name]]
            elif type_.kind in ("money", "count"):
                found = rotated(self.dice, self.amounts(entity, command, name, read))
                values = [*totals, *found, *([None] if type_.optional else [])]
                if roomy:
                    halves = {value // 2 for value in entity.accounts.values()}
                    values.sort(key=lambda value: (value not in ROOMY, value not in halves))
            else:
                values = rotated(self.dice, boundaries.choices(type_, self._ids, self.fresh))
            columns.append([(name, value) for value in values])
        for row in product(*sorted(columns, key=len, reverse=bool(totals))):
            yield {**dict(row), **read}

    def amounts(self, entity: Entity, command: str, argument: str, read: Mapping[str, object]) -> list[int]:
        key = entity.ref, command, argument, tuple(read.values())
        if key not in self._amounts:
            self._amounts[key] = boundaries.amounts(self.guide.machines, entity, command, argument, self.world, read)
        return self._amounts[key]

    @property
    def fresh(self) -> int:
        """A number that was not used before: every step makes it larger."""
        return 1 + sum(each.revision for each in self.world.values())

    def _ids(self, machine: str) -> list[str]:
        return [ref[1] for ref in self.world if ref[0] == machine]

    def creation(self, machine: Machine, row: Row | None, given: Mapping[str, object]) -> WantedCommand | None:
        """A new entity of this machine, with facts that the guard accepts; or first, one that it has to link to."""
        for fact, target in machine.links.items():
            required = not machine.facts[fact].type.optional and not machine.facts[fact].later
            if fact not in given and required and (not self._ids(target) or rarely(self.dice, 3)):
                return self.creation(self.guide.machines[target], None, {}) if target != machine.name else None
        conjuncts = row.conjuncts if row is not None else ()
        hidden = {
            name for command in (row.transition.commands if row else ()) for name in machine.commands[command].arguments
        }
        known_facts = (machine.facts.keys() | {NOW}) - hidden
        asked = [test for part, test in conjuncts if part.names and part.names <= known_facts]
        chosen: dict[str, object] = {}
        for _ in range(8):
            chosen = {name: given[name] if name in given else self._fact(machine.facts[name].type)
                      for name, fact in machine.facts.items() if not fact.later}  # fmt: skip
            known = dict.fromkeys(machine.facts) | chosen
            if all(test({}, known, {NOW: self.parts.now}, machine.start, None) for test in asked):
                break
        return WantedCommand(machine.name, None, CREATE, {**chosen, "currency": CURRENCY})

    def _fact(self, type_: Type) -> object:
        if type_.kind in ("money", "count"):
            return pick(self.dice, [1, 2, 3, 10, 100, 5000, *([None, None] if type_.optional else [])])
        found = boundaries.choices(type_, self._ids, self.fresh) or [None]
        return None if type_.kind == "time" and None in found and rarely(self.dice, 2) else pick(self.dice, found)


def _given(machine: Machine, command: str, args: Mapping[str, object]) -> dict[str, object]:
    """The arguments alone, without what the command reads of its parts."""
    return {name: args[name] for name in machine.commands[command].arguments}


def _distances(machine: Machine) -> dict[str, dict[str, int]]:
    """For each state, how many transitions each other is away from it."""
    steps = {(state, row.target or state) for row in machine.rows.values() for state in row.transition.sources}
    found = {}
    for goal in machine.states:
        far, edge = {goal: 0}, {goal}
        while edge := {state for state, to in steps if to in edge} - far.keys():
            far |= dict.fromkeys(edge, max(far.values()) + 1)
        found[goal] = far
    return found


def _drivers(machines: Machines) -> dict[tuple[str, str], list[tuple[Machine, Row, Drive]]]:
    found: dict[tuple[str, str], list[tuple[Machine, Row, Drive]]] = {}
    for machine in machines.values():
        for row in machine.rows.values():
            for drive in row.transition.drives:
                found.setdefault((drive.machine, drive.command), []).append((machine, row, drive))
    return found

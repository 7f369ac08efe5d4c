"""The core: what a command would do, as values. It knows no clock, no randomness and no I/O.

A guard that asks for the time gets the moment that came with the request. It stands in the entry like an argument, so
what was decided then can be decided again.

A command takes at most three pure steps. Each step takes entities as they are. It gives new ones, and the entries that
say what happened. The engine writes both in one transaction.

    decide      (request, world) → Intent: which transitions would fire, with which amounts; or a Refusal
    then, without a provider or with a local one,
    complete    (intent, outcome) → Plan: every transition fires
    or, before and after the call to a provider that may never answer,
    set_aside   (intent, call id) → Plan: each amount moves source → in_doubt; no state changes
    resolve     (call, outcome) → Plan: in_doubt → target if confirmed, in_doubt → source if not

All amounts of a transition are computed from the values before it. Then all its moves happen together. A transition may
drive one of a linked entity. Both are steps of one intent, and happen together or not at all.

If the provider may confirm less (`partial`), every move of these steps is of that one argument. The reader of pages
checks that. So the confirmed part moves on, and the rest moves back.

Calls in flight. Several transitions that keep the state may be in flight at the same time, because each has set its own
value aside. A transition that changes the state is alone, and `changing` names it. Meanwhile a command that might
change the state too is refused as in doubt, before its guard is asked. If the transition may lead to a final state,
every command is refused so. Nothing becomes final while one of its calls is open.
"""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.core import refusal
from tallystick.core.entity import Asked, Entity, Intent, Ref, Request, Step
from tallystick.core.fast_path import fast_path
from tallystick.core.refusal import Code, Refusal
from tallystick.definition.expression import MONEY, NOW
from tallystick.definition.machine import Machine, Machines, Row
from tallystick.money import LIMIT


def decide(machines: Machines, request: Request, world: Mapping[Ref, Entity]) -> Intent | Refusal:
    """Which transitions `request` would fire. `world` has the entity and all that it links to."""
    intent = Intent([], now=request.now)
    answer = _step(machines, request.machine, request.id, request.command, request.args, world, intent, None)
    return answer if isinstance(answer, Refusal) else intent


def _step(
    machines: Machines,
    name: str,
    id: str,
    command: str,
    args: Mapping[str, object],
    world: Mapping[Ref, Entity],
    intent: Intent,
    driver: Entity | None,
) -> Step | Refusal:
    entity = world.get((name, id))
    if entity is None:
        return refusal.missing(name, id, command)
    machine = machines.at(name, entity.machine_version)
    args = with_read(machine, entity, command, args, world, intent.now)
    path = machine.fast_paths.get((entity.state, command)) or fast_path(machine, entity.state, command)
    step = path(entity, args, intent, driver)
    if step is not None:
        return step if step.row.alone else _driving(machines, machine, step, world, intent)
    row = _answering(machine, entity, command, args, driver)
    if isinstance(row, Refusal):
        return row
    step = Step(entity, row, command, args)
    intent.steps.append(step)
    if not row.local:
        _ask(step, intent)
        refused = _drive(machines, machine, step, world, intent)
        if refused is not None:
            return refused
    step.amounts = row.amounts(entity.accounts, entity.facts, step.args, entity.state)
    return _unsound(machine, step, intent) or step


def with_read(
    machine: Machine, entity: Entity, command: str, args: Mapping[str, object], world: Mapping[Ref, Entity], now: str
) -> Mapping[str, object]:
    """The arguments with what the command reads of the clock, and of those to which its entity links."""
    declared = machine.commands.get(command)
    if declared is None or not (declared.linked or declared.timed):
        return args
    found = dict(args)
    if declared.timed:
        found[NOW] = now or args.get(NOW)
        if not found[NOW]:
            raise ValueError(f"{machine.name}.{command} asks for the time; whoever has it decided has to say it")
    for name, fact, linked, account in declared.linked:
        other = world.get((linked, str(entity.facts[fact])))
        found[name] = other.standing(account) if other is not None else args.get(name, 0)  # alone: what somebody says
    return found


def _answering(
    machine: Machine, entity: Entity, command: str, args: Mapping[str, object], driver: Entity | None
) -> Row | Refusal:
    """The one transition that answers, if one does."""
    pair = (entity.state, command)
    rows = machine.table.get(pair)
    if rows is None:
        return refusal.by_page(entity, machine, command, args) or refusal.not_now(entity, machine, command)
    if driver is None and machine.commands[command].driven:
        why = "only another machine drives it, by a transition of its own"
        return refusal.of(entity, machine, command, Code.DRIVEN_ONLY, why)
    if driver is not None and driver.currency != entity.currency:
        why = f"it is in {entity.currency}, {driver.machine} {driver.id!r} in {driver.currency}"
        return refusal.of(entity, machine, command, Code.CURRENCY, why)
    if entity.calls:
        blocked = _in_the_way(machine, entity, command, rows)
        if blocked is not None:
            return blocked
    if pair in machine.refused:
        refused = refusal.by_page(entity, machine, command, args)
        if refused is not None:
            return refused
    firing = [row for row in rows if row.fires(entity.accounts, entity.facts, args, entity.state)]
    if len(firing) != 1:
        if firing:
            why = f"the guards of {' and '.join(row.name for row in firing)} are true at once; the machine is at fault"
            return refusal.of(entity, machine, command, Code.AMBIGUOUS, why)
        return refusal.by_guard(entity, machine, command, rows, args)
    if entity.calls and firing[0].ends:
        why = f"{entity.calls} call(s) to the provider are not answered yet, and {firing[0].name} may be the end of it"
        return refusal.of(entity, machine, command, Code.IN_DOUBT, why)
    return firing[0]


def _in_the_way(machine: Machine, entity: Entity, command: str, rows: tuple[Row, ...]) -> Refusal | None:
    """The refusal of a command that must wait, because an open call will change the state.

    It comes before the guards: these would look at amounts that are only set aside for the moment.
    """
    if entity.changing is None:
        return None
    if not machine.rows[entity.changing].ends and not any(row.changes for row in rows):
        return None
    why = f"{entity.changing} was sent to the provider and its answer is not known yet"
    return refusal.of(entity, machine, command, Code.IN_DOUBT, why)


def _driving(
    machines: Machines, machine: Machine, step: Step, world: Mapping[Ref, Entity], intent: Intent
) -> Step | Refusal:
    """A step that is well by itself, with all that it drives."""
    args = step.args
    refused = _drive(machines, machine, step, world, intent)
    if refused is None and step.args is not args:  # what it drives has cut the amount
        step.amounts = step.row.amounts(step.entity.accounts, step.entity.facts, step.args, step.entity.state)
        refused = _unsound(machine, step, intent)
    return refused or step


def _ask(step: Step, intent: Intent) -> None:
    """Reduce the amount to `upto`, and prepare the call."""
    entity, row, values = step.entity, step.row, (step.entity.accounts, step.entity.facts)
    if row.transition.partial is not None:
        step.partial = row.transition.partial
        if row.cut is not None:
            most, wanted = row.cut(*values, step.args, entity.state, None), step.args[step.partial]
            if most < wanted:  # type: ignore[operator]  # the reader saw that it is money
                step.args = {**step.args, step.partial: most}
    if row.ask is not None and intent.asked is None:  # if several do it alike, one asks for all
        verb, given = row.ask
        arguments = {name: value(*values, step.args, entity.state, None) for name, value in given}
        intent.asked = Asked(entity, verb, arguments)


def _drive(
    machines: Machines, machine: Machine, step: Step, world: Mapping[Ref, Entity], intent: Intent
) -> Refusal | None:
    """Decide for every entity that is driven, or does it alike."""
    entity, row, values = step.entity, step.row, (step.entity.accounts, step.entity.facts)
    for drive, given in row.drives:
        id = (step.args if drive.by_argument else entity.facts)[drive.link]
        if id is None:
            return refusal.of(entity, machine, step.command, Code.LINKED, f"it has no {drive.link} to {drive.command}")
        if any(other.entity.ref == (drive.machine, id) for other in intent.steps):
            why = f"{drive.machine} {id!r} would be driven twice by one command"
            return refusal.of(entity, machine, step.command, Code.TWICE, why)
        arguments = {name: value(*values, step.args, entity.state, None) for name, value in given}
        arguments = _filled(machines, world.get((drive.machine, str(id))), drive.command, arguments)
        driven = _step(machines, drive.machine, str(id), drive.command, arguments, world, intent, entity)
        if isinstance(driven, Refusal):
            return refusal.of(entity, machine, step.command, Code.LINKED, driven.why, cause=driven)
        if driven.partial is not None:
            step.partial = drive.arguments[driven.partial].source.strip()
            step.args = {**step.args, step.partial: driven.args[driven.partial]}
    return _alike(machines, machine, step, world, intent) if row.transition.alike else None


def _alike(
    machines: Machines, machine: Machine, step: Step, world: Mapping[Ref, Entity], intent: Intent
) -> Refusal | None:
    """Decide the same command for every entity with the same unique fact, if its state answers it."""
    value = step.entity.facts.get(str(machine.unique))
    for other in sorted(world.values(), key=lambda each: each.ref) if value is not None else []:
        if other.machine != machine.name or other.facts.get(str(machine.unique)) != value:
            continue
        if any(each.entity.ref == other.ref for each in intent.steps):
            continue
        answer = _step(machines, other.machine, other.id, step.command, step.args, world, intent, None)
        if isinstance(answer, Refusal) and answer.code is not Code.NOT_NOW:
            return refusal.of(step.entity, machine, step.command, Code.LINKED, answer.why, cause=answer)
    return None


def _filled(machines: Machines, driven: Entity | None, command: str, given: dict[str, object]) -> dict[str, object]:
    """Add the arguments that were left out, by the driven entity's own version: flags false, optionals none."""
    declared = machines.at(driven.machine, driven.machine_version).commands.get(command) if driven else None
    if declared is None or given.keys() == declared.arguments.keys():  # another version may take others
        return given
    kinds = declared.arguments.items()
    return {name: given.get(name, False if type_.kind == "flag" else None) for name, type_ in kinds}


def _unsound(machine: Machine, step: Step, intent: Intent) -> Refusal | None:
    """The last check, after all guards: nothing negative, nothing too large, nothing left in a final state."""
    entity, row = step.entity, step.row
    after = step.after = row.post(entity.accounts, step.amounts)
    if (after and min(after.values()) < 0) or (step.amounts and min(step.amounts) < 0):
        return _overdrawn(machine, step, after)
    if sum(after.values()) > LIMIT:
        why = f"it would carry more than {LIMIT} minor units"
        return refusal.of(entity, machine, step.command, Code.TOO_MUCH, why)
    if intent.asked is not None and min(_sources(machine, step).values(), default=0) < 0:
        return _overdrawn(machine, step, _sources(machine, step))
    if row.final or (row.target is None and machine.states[entity.state].final):
        left = _left(machine, step, row.target or entity.state, after)
        if left is not None:
            return left
    if row.ends and row.transition.otherwise:
        return _left(machine, step, row.transition.otherwise, entity.accounts)
    return None


def _left(machine: Machine, step: Step, state: str, accounts: Mapping[str, int]) -> Refusal | None:
    """The refusal of a step that would leave value where nothing can fetch it any more."""
    left = {name: accounts[name] for name in machine.holding if accounts[name]}
    if not left:
        return None
    text = ", ".join(f"{name} {refusal.shown(value, MONEY, step.entity.currency)}" for name, value in left.items())
    why = f"{state} is final, but would still hold {text}"
    return refusal.of(step.entity, machine, step.command, Code.NOT_EMPTY, why)


def _overdrawn(machine: Machine, step: Step, after: Mapping[str, int]) -> Refusal:
    entity = step.entity
    values = {**after, **{f"move {index + 1}": amount for index, amount in enumerate(step.amounts)}}
    low = ", ".join(
        f"{name} {refusal.shown(value, MONEY, entity.currency)}" for name, value in values.items() if value < 0
    )
    return refusal.of(entity, machine, step.command, Code.OVERDRAWN, f"it would leave less than nothing: {low}")


def _sources(machine: Machine, step: Step) -> dict[str, int]:
    """The accounts once every amount is set aside and none has arrived."""
    left = dict(step.entity.accounts)
    for (source, _), amount in zip(step.row.lines, step.amounts, strict=True):
        if source in left:
            left[source] -= amount
    return left

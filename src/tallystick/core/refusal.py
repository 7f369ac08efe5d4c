"""A refusal: the machine says no, nothing changed, and this is why.

It is a value, not an exception. It has the state, the command, and every transition that might have answered: its guard
in words, the actual numbers, and which part of the guard failed. `explain` adds what would be taken instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import attrs

from tallystick import money
from tallystick.core.notebook import named, table
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.expression import MONEY, Expression, Type
from tallystick.definition.machine import Machine, Row
from tallystick.masks import mask, quoted

if TYPE_CHECKING:
    from tallystick.core.entity import Entity


class Code(StrEnum):
    """Why, as a stable word, in the order in which the core looks."""

    NO_SUCH_ENTITY = "no_such_entity"  # the entity does not exist
    EXISTS_ALREADY = "exists_already"  # an entity of that id exists
    DRIVEN_ONLY = "driven_only"  # only another machine's transition may give this command
    NOT_NOW = "not_now"  # the state does not answer this command
    GUARD = "guard"  # the state answers the command, but not with these numbers
    AMBIGUOUS = "ambiguous"  # two guards are true at once: a fault of the machine
    IN_DOUBT = "in_doubt"  # an open call may end this entity or change its state
    OVERDRAWN = "overdrawn"  # an account would fall below zero
    TOO_MUCH = "too_much"  # an account would pass 10^15 minor units
    NOT_EMPTY = "not_empty"  # a final state would hold value
    CURRENCY = "currency"  # two currencies would meet
    LINKED = "linked"  # the entity it drives refuses
    TWICE = "twice"  # one entity would be driven twice by one command
    TAKEN = "taken"  # another entity has that card number, or another unique fact
    MOVED_ON = "moved_on"  # its key was used before, but by now it would be another transition
    PIN_NEEDED = "pin_needed"  # the card's PIN was not given, and nobody vouches
    TOO_EARLY = "too_early"  # it cannot have happened when it is said to have
    PROVIDER = "provider"  # a local provider did not do its part


class Candidate(NamedTuple):
    """A transition that might have answered."""

    transition: str  # its name
    guard: str  # as written
    prose: str  # the guard in words
    failed: str  # the part that is not true
    values: Mapping[str, str]  # the actual numbers, as a person reads them


@attrs.frozen
class Refusal:
    """Why the machine says no. Nothing changed."""

    code: Code  # the reason as a stable word
    machine: str  # of the entity that refuses
    id: str = attrs.field(repr=quoted)  # of that entity
    state: str | None  # that it is in; None if it does not exist
    command: str  # that it refuses
    why: str  # the whole sentence, with the actual numbers
    candidates: tuple[Candidate, ...] = ()  # the transitions that might have answered
    allowed: tuple[str, ...] = ()  # commands that it would take now, with some arguments: see `explain`
    cause: Refusal | None = None  # what the driven entity said
    calls: tuple[str, ...] = ()  # ids of the open calls that are in its way
    over: bool = attrs.field(default=False, repr=False)  # by its page, a follow-up has nothing to do any more
    doubts: bool = attrs.field(default=False, repr=False)  # it is about amounts, and some of them are in doubt

    @property
    def waits(self) -> bool:
        """Whether only an open call is in the way, so that the same command may be done later."""
        return self.code is Code.IN_DOUBT or (self.cause is not None and self.cause.waits)

    @property
    def done_with(self) -> bool:
        """Whether a follow-up that is refused so has nothing to do any more."""
        return self.over or (self.cause is not None and self.cause.done_with)

    @property
    def missing(self) -> Refusal | None:
        """The refusal at its root, if that is about something that does not exist."""
        if self.cause is not None:
            return self.cause.missing
        return self if self.code is Code.NO_SUCH_ENTITY else None

    @property
    def by_amounts(self) -> bool:
        """Whether the state would answer, but a guard is not true: its own, or that of a driven entity."""
        return self.code is Code.GUARD or (self.cause is not None and self.cause.by_amounts)

    def __str__(self) -> str:
        return self.why

    def _repr_html_(self) -> str:
        """For a notebook."""
        needed = tuple(
            "; ".join(
                [f"{each.transition} needs {each.prose}", *(f"{name} is {it}" for name, it in each.values.items())]
            )
            for each in self.candidates
        )
        return table(
            f"{named(self.machine, self.id)} refuses {self.command}",
            [("why", self.why), ("state", self.state), ("code", self.code.value), ("needed", needed),
             ("it would take", ", ".join(self.allowed)), ("in its way", self.calls)],
        )  # fmt: skip


UNANSWERED = "this state does not answer it"


def shown(value: object, type_: Type, currency: str) -> str:
    """A value as a person reads it: amounts in units of the currency, card numbers masked, secrets never."""
    match type_.kind:
        case "secret":
            return "•••"
        case _ if value is None:
            return "none"
        case "money" if isinstance(value, int):
            return money.to_text(value, currency)
        case "number":
            return mask(str(value))
        case "flag":
            return "yes" if value else "no"
        case "time":
            return str(value).removesuffix("Z").removesuffix(".000").replace("T", " ") + " UTC"
    return str(value)


def missing(machine: str, id: str, command: str) -> Refusal:
    why = f"there is no {machine} {quoted(id)}; create it first"
    return Refusal(Code.NO_SUCH_ENTITY, machine, id, None, command, why, allowed=("create",))


def unaided(machine: str, id: str, command: str, why: str) -> Refusal:
    """A local provider did not confirm. It answers inside the transaction, so nothing is written."""
    return Refusal(Code.PROVIDER, machine, id, None, command, why)


def of(entity: Entity, machine: Machine, command: str, code: Code, because: str, **more: object) -> Refusal:
    """A refusal of `command` by `entity`."""
    why = f"{machine.name} {entity.id!r} is {entity.state} and refuses {command}: {because}"
    refusal = Refusal(code, machine.name, entity.id, entity.state, command, why)
    return attrs.evolve(refusal, **more) if more else refusal  # type: ignore[arg-type]


def answered(machine: Machine, state: str) -> tuple[str, ...]:
    """The commands that a state answers to a caller, in the order of the page; with some arguments, perhaps."""
    commands = machine.commands.values()
    return tuple(each.name for each in commands if not each.driven and (state, each.name) in machine.table)


def not_now(entity: Entity, machine: Machine, command: str) -> Refusal:
    """The state does not answer the command. While the state itself is in doubt, that is the reason."""
    changing = machine.rows[entity.changing] if entity.changing is not None else None
    if changing is None:
        pair = (entity.state, command)
        why = machine.on_purpose.get(pair, UNANSWERED)
        return of(entity, machine, command, Code.NOT_NOW, why, over=pair in machine.over)
    sent = f"{changing.name} was sent to the provider and its answer is not known yet"
    then = (changing.target, changing.transition.otherwise)
    if any((state, command) in machine.table for state in then):
        return of(entity, machine, command, Code.IN_DOUBT, sent)
    return of(entity, machine, command, Code.NOT_NOW, f"{UNANSWERED}, nor will the next one; {sent}")


def by_page(entity: Entity, machine: Machine, command: str, args: Mapping[str, object]) -> Refusal | None:
    """The refusal that the page declares for these values: its sentence, and the numbers it looked at."""
    for each in machine.refused.get((entity.state, command), ()):
        if each.guard is None or not each.fires(entity.accounts, entity.facts, args, entity.state, None):
            continue
        values = _values(entity, machine, command, args, each.guard)
        numbers = ", ".join(f"{name} {value}" for name, value in values.items())
        candidates = tuple(
            _candidate(entity, machine, command, row, args) for row in machine.table.get((entity.state, command), ())
        )
        beside = _beside(entity, machine, values)
        why = f"{each.says.removesuffix('.')} (here {numbers}{beside})" if numbers else each.says
        doubts = _doubts(entity, machine, values)
        return of(entity, machine, command, Code.GUARD, why, candidates=candidates, doubts=doubts, over=each.over)
    return None


def by_guard(
    entity: Entity, machine: Machine, command: str, rows: tuple[Row, ...], args: Mapping[str, object]
) -> Refusal:
    """No guard is true: which part of which guard fails, and the numbers it looked at."""
    candidates = tuple(_candidate(entity, machine, command, row, args) for row in rows)
    failing: dict[str, list[str]] = {}
    values: dict[str, str] = {}
    for candidate in candidates:
        failing.setdefault(candidate.failed, []).append(candidate.transition)
        values |= candidate.values
    needs = "; ".join(
        f"{' and '.join(names)} need{'' if len(names) > 1 else 's'} '{part}'" for part, names in failing.items()
    )
    numbers = ", ".join(f"{name} {value}" for name, value in sorted(values.items()))
    why = f"{needs} (here {numbers}{_beside(entity, machine, values)})"
    doubts = _doubts(entity, machine, values)
    return of(entity, machine, command, Code.GUARD, why, candidates=candidates, doubts=doubts)


def _beside(entity: Entity, machine: Machine, values: Mapping[str, str]) -> str:
    """What else stands on the entity, if the reason looks at one of its accounts."""
    if not any(name in values for name in machine.columns):
        return ""
    others = [name for name in machine.columns if name not in values and entity.accounts[name]]
    shown_ = [f"{name.replace('_', ' ')} {shown(entity.accounts[name], MONEY, entity.currency)}" for name in others]
    return f"; beside that, {', '.join(shown_)}" if others else ""


def _doubts(entity: Entity, machine: Machine, values: Mapping[str, str]) -> bool:
    return bool(entity.accounts.get(IN_DOUBT)) and any(name in values for name in machine.columns)


def _candidate(entity: Entity, machine: Machine, command: str, row: Row, args: Mapping[str, object]) -> Candidate:
    guard = row.transition.guard
    failed = ""
    for part, true in row.conjuncts:
        if not true(entity.accounts, entity.facts, args, entity.state, None):
            failed = part.source
            break
    values = _values(entity, machine, command, args, guard) if guard else {}
    return Candidate(row.name, guard.source if guard else "", guard.prose if guard else "", failed, values)


def _values(
    entity: Entity, machine: Machine, command: str, args: Mapping[str, object], guard: Expression
) -> dict[str, str]:
    """What a guard looks at, as a person reads it."""
    found = {name: _value(entity, machine, command, args, name) for name in sorted(guard.names)}
    return {name: shown(value, type_, entity.currency) for name, (value, type_) in found.items()}


def _value(
    entity: Entity, machine: Machine, command: str, args: Mapping[str, object], name: str
) -> tuple[object, Type]:
    arguments = machine.commands[command].seen
    if name in arguments:
        return args.get(name), arguments[name]
    if name in machine.accounts or name == IN_DOUBT:
        return entity.accounts[name], MONEY
    if name in machine.facts:
        return entity.facts.get(name), machine.facts[name].type
    return entity.state, Type("text")

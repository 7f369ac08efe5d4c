"""The values with which the model tries things: facts at creation, and arguments of commands.

They take every value of a small domain: amounts from a little below zero up to a bound, every choice, yes and no, a
text or none. What is only passed on to the provider has one value, for no guard can tell.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product

from tallystick.check.expressions import expressions, numbers, texts
from tallystick.definition.declared import Command, Transition
from tallystick.definition.expression import Type
from tallystick.definition.machine import Machine, Machines

TEXT = "x"  # begins every text
# The clock stands before and on the one time that facts and arguments have; it may be set back between two commands
BEFORE, ON = "2026-01-01T00:00:01.000Z", "2026-04-11T00:00:00.000Z"
AFTER = "2026-05-01T00:00:00.000Z"  # an argument that has to be given may lie behind that: it may move a date
MOST_WAYS = 24  # to create one entity with every combination of facts; if there are more, each fact is varied alone
Facts = Mapping[str, object]
Ids = Mapping[str, list[str]]  # machine → the entities that a link may name
Written = Sequence[object]


def creation_facts(machine: Machine, links: Mapping[str, str], most: int) -> tuple[Facts, ...]:
    """The facts with which an entity may be created, in all combinations if these are not too many."""
    domains: dict[str, list[object]] = {}
    read, written = _read_by(machine.transitions.values()), _written(machine)
    read |= {name for each in machine.invariants.values() for name in each.always.names}
    for name, fact in machine.facts.items():
        if name in links or fact.type.kind == "link":
            domains[name] = [links.get(name)]
            if name in links and fact.type.optional:
                domains[name].append(None)
        elif fact.later:
            domains[name] = [fact.default]
        elif name not in read:
            domains[name] = [fact.default if fact.default is not None else _values(fact.type, most, {}, read=False)[0]]
        else:
            domain, first = _values(fact.type, most, {}, written=written), fact.default
            domains[name] = domain if first is None else [first, *(value for value in domain if value != first)]
    if math.prod(map(len, domains.values())) <= MOST_WAYS:
        return tuple(dict(zip(domains, way, strict=True)) for way in product(*domains.values()))
    return _varied_alone(domains)


def linked_facts(machine: Machine, links: Mapping[str, str], host: Machine) -> tuple[Facts, ...]:
    """As few ways as will do to create an entity to which `host` links: only choices that both know are varied."""
    known = {fact.type.choices for fact in host.facts.values() if fact.type.kind == "choice"}
    shared = [name for name, fact in machine.facts.items() if fact.type.kind == "choice" and fact.type.choices in known]
    first = creation_facts(machine, links, 1)[0]
    return tuple(
        {**first, **dict(zip(shared, way, strict=True))}
        for way in product(*(machine.facts[name].type.choices for name in shared))
    )


def arguments(
    machine: Machine, command: Command, transitions: Sequence[Transition], most: int, ids: Ids, text: str
) -> Iterator[dict[str, object]]:
    """Small arguments for a command that these transitions answer. `text`: for any text or number."""
    read, negated, written = _read_by(transitions), _negated(transitions), _written(machine)
    domains = []
    for name, type_ in command.arguments.items():
        used, least = name in read or type_.kind == "link", -most if name in negated else -1
        values = _values(type_, most, ids, least=least, read=used, text=text, written=written)
        domains.append([*values, AFTER] if type_.kind == "time" and not type_.optional else values)
    for way in product(*domains):
        yield dict(zip(command.arguments, way, strict=True))


def moments(machines: Machines, machine: str, command: str) -> tuple[str, ...]:
    """When a command is decided: at either time, if it or what it drives asks for the time."""
    return (BEFORE, ON) if _asks_time(machines, machine, command) else (BEFORE,)


def _asks_time(machines: Machines, machine: str, command: str) -> bool:
    drives = [each for row in machines[machine].transitions.values() if command in row.commands for each in row.drives]
    declared = machines[machine].commands[command]
    return declared.timed or any(_asks_time(machines, each.machine, each.command) for each in drives)


def link_arguments(machine: Machine) -> list[str]:
    """The machines that arguments of commands can name."""
    types = [type_ for each in machine.commands.values() for type_ in each.arguments.values()]
    return [type_.machine for type_ in types if type_.kind == "link"]


def own_text(id: str) -> str:
    """The text that an entity gives. It is its own, so that no two entities get the same unique fact."""
    return f"{TEXT}-{id}"


def _varied_alone(domains: Mapping[str, list[object]]) -> tuple[Facts, ...]:
    """The first value of every fact, and the last of every fact; and both with each fact varied alone."""
    bases = [{name: each[at] for name, each in domains.items()} for at in (0, -1)]
    ways = [{**base, name: value} for base in bases for name, each in domains.items() for value in each]
    return tuple(way for at, way in enumerate(ways) if way not in ways[:at])


def _values(
    type_: Type, most: int, ids: Ids, *, least: int = -1, read: bool = True, text: str = TEXT, written: Written = ()
) -> list[object]:
    """Small values of a type, amounts from `least` on. `read`: whether anything reads them; if not, one will do.

    `written`: the numbers and texts with which the page compares. Amounts stay small all the same, as a world has
    little money.
    """
    some: list[object]
    match type_.kind:
        case "money" | "count":
            some = [*range(1, most + 1), *range(0, least - 1, -1)] if read else [1]
            if type_.kind == "count" and read:
                near = {each + by for each in written if isinstance(each, int) for by in (0, 1)}
                some += sorted(near - set(some))
        case "flag":
            return [False, True] if read else [False]
        case "choice":
            some = list(type_.choices)
        case "link":
            some = list(ids.get(type_.machine, []))
        case "time":
            some = [ON]
        case "secret":
            return [None if type_.optional else TEXT]  # no guard may ask for it
        case "text" if read:
            some = list(dict.fromkeys([text, TEXT, *(each for each in written if isinstance(each, str))]))
        case _:
            some = [text]
    if type_.optional:
        return [None, *some] if read else [None]
    return some


@lru_cache(64)
def _written(machine: Machine) -> Written:
    """The numbers and texts with which a page compares."""
    return [*numbers(each.guard for each in machine.transitions.values() if each.guard), *texts(machine)]


def _read_by(transitions: Iterable[Transition]) -> frozenset[str]:
    """The names on which anything but the provider's part depends."""
    return frozenset(name for each in transitions for part in expressions(each, with_call=False) for name in part.names)


def _negated(transitions: Iterable[Transition]) -> frozenset[str]:
    """The names that stand with a minus before them somewhere: they are meant to be below zero, too."""
    return frozenset(
        name for each in transitions for part in expressions(each, with_call=False) for name in _minus(part.source)
    )


@lru_cache(1024)
def _minus(source: str) -> list[str]:
    return [
        node.operand.id
        for node in ast.walk(ast.parse(source.strip(), mode="eval"))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Name)
    ]

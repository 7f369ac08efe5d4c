"""The values that can make a difference to a guard: those on and beside its boundaries.

A guard compares sums of whole numbers with each other and with numbers written in it, and asks for choices, flags and
what may be missing. It can only change from true to false where two sides meet. Amounts are never compared with a
written number other than 0, so a few small amounts are enough; of times, as many as are compared. Counts also need the
written numbers, their sums and differences, and the neighbours of all these. Every choice, both flags and `none` are
tried.

This is no proof (that is the third level's job), but the real guard was asked with each of these values.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import attrs

from tallystick.check.expressions import deciding, texts
from tallystick.definition.declared import Transition
from tallystick.definition.expression import MONEY, Expression, Type
from tallystick.definition.machine import Machine

MOST_CASES = 20_000  # of one command in one state; if there would be more, fewer numbers or combinations are tried
SOME = 200  # solutions of a guard that no other case has made true
NUMERIC = ("money", "count")
Test = Callable[[Mapping[str, object]], bool]  # of values by name
SOME_TIMES = ("2001-01-01T00:00:00.000Z", "2002-02-02T00:00:00.000Z", "2003-03-03T00:00:00.000Z")
ValueClass = object  # "-", "0" or "+" for a number; any other value stands for itself


@attrs.frozen
class Variable:
    """Something that a guard or an amount looks at."""

    place: str  # v: an account, f: a fact, a: an argument; as in `Expression.code`
    name: str
    type: Type


def variables(
    machine: Machine, command: str, expressions: Iterable[Expression], moved: Collection[str]
) -> list[Variable]:
    """What the expressions of a command look at, and the accounts that it moves, in the order of the page."""
    arguments = machine.commands[command].seen
    names = {name for each in expressions for name in each.names} | set(moved)
    found = [Variable("v", name, MONEY) for name in machine.columns if name in names]
    found += [Variable("f", n, fact.type) for n, fact in machine.facts.items() if n in names and n not in arguments]
    return found + [Variable("a", name, type_) for name, type_ in arguments.items() if name in names]


def domains(wanted: list[Variable], numbers: list[int], known_texts: list[str]) -> list[list[object]]:
    """The values to try for each variable: as many numbers as keep the combinations below `MOST_CASES`."""
    numeric = sum(each.type.kind in NUMERIC for each in wanted)
    times = max(2, sum(each.type.kind == "time" for each in wanted))  # what is set here is compared elsewhere
    for top in (4, 3, 2, 1) if numeric > 3 else (3, 2, 1):
        found = [_domain(each, top, numbers, known_texts, times) for each in wanted]
        if math.prod(len(each) for each in found) <= MOST_CASES:
            break
    return found


def combinations_of(found: list[list[object]]) -> Iterator[tuple[object, ...]]:
    """One value of each. If these are too many: the first of all and the last of all, with any two of them varied."""
    if math.prod(map(len, found)) <= MOST_CASES:
        yield from itertools.product(*found)
        return
    for base in ([each[0] for each in found], [each[-1] for each in found]):
        for one, other in itertools.combinations(range(len(found)), 2):
            for value, beside in itertools.product(found[one], found[other]):
                yield tuple(value if at == one else beside if at == other else each for at, each in enumerate(base))


def solutions(
    wanted: list[Variable], numbers: list[int], known_texts: list[str], parts: list[tuple[frozenset[str], Test]]
) -> Iterator[tuple[object, ...]]:
    """Values with which a guard is true that needs many different amounts, such as `0 < a < b < c < d < e`.

    Each part of it is asked as soon as what it looks at has values. No more than `MOST_CASES` values are tried, and no
    more than `SOME` solutions given.
    """
    named = {name for names, _ in parts for name in names}
    top = 1 + 2 * sum(each.type.kind in NUMERIC and each.name in named for each in wanted)
    found = [_domain(each, top, numbers, known_texts)[: None if each.name in named else 1] for each in wanted]
    given: dict[str, object] = {}
    asked = [[test for names, test in parts if each.name in names and names <= {one.name for one in wanted[: at + 1]}]
             for at, each in enumerate(wanted)]  # fmt: skip
    tries, solved, waiting = 0, 0, [iter(found[0])] if found else []
    while waiting and tries < MOST_CASES and solved < SOME:
        at = len(waiting) - 1
        value = next(waiting[-1], waiting)
        if value is waiting:
            waiting.pop()
            continue
        tries += 1
        given[wanted[at].name] = value
        if not all(test(given) for test in asked[at]):
            continue
        if at + 1 < len(wanted):
            waiting.append(iter(found[at + 1]))
        else:
            solved += 1
            yield tuple(given[each.name] for each in wanted)


def _domain(variable: Variable, top: int, numbers: list[int], known_texts: list[str], times: int = 2) -> list[object]:
    """`times`: as many moments are compared with each other."""
    type_ = variable.type
    none: list[object] = [None] if type_.optional else []
    match type_.kind:
        case "money" | "count" if variable.place == "v" or "." in variable.name:  # a sum or a number of parts
            return list(range(top + 1))
        case "money":
            return [*none, *range(-min(top, 2), top + 1)]
        case "count":
            return [*none, *sorted({*range(-1, top + 1), *_neighbours(numbers)})]
        case "flag":
            return [False, True]
        case "choice":
            return [*none, *type_.choices]
        case "time":
            return [*none, *SOME_TIMES[:times]]
    return [*none, "a", "b", *known_texts]


def _neighbours(numbers: list[int]) -> Iterator[int]:
    """The written numbers, their sums and differences, and the numbers beside all these."""
    signed = {*numbers, *(-each for each in numbers)}
    sums = {one + other for one in signed for other in signed} if len(numbers) < 4 else set()
    for each in signed | sums:
        yield from (each - 1, each, each + 1)


# Classes of values


def class_of(value: object) -> ValueClass:
    """The class of a value: a number is less than, equal to or more than nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "-" if value < 0 else "+" if value else "0"
    return value


def classes_at_creation(machine: Machine, name: str) -> list[ValueClass]:
    """The classes of values that a fact may have when an entity is made."""
    fact = machine.facts[name]
    if fact.later:
        return [class_of(fact.default)]
    domain = _domain(Variable("f", name, fact.type), 1, [], texts(machine))
    return list(dict.fromkeys(class_of(value) for value in domain))


# Which facts matter


def tracked_facts(machine: Machine) -> frozenset[str]:
    """The facts that decide something or are handed on to a call, and the facts that are copied to those."""
    transitions = list(machine.transitions.values())
    tracked = {name for each in transitions for part in deciding(each) for name in _facts(machine, each.commands, part)}
    tracked |= {name for each in transitions for name in handed_on(machine, each)}
    for refusal in machine.refuse:
        tracked |= set(_facts(machine, refusal.commands, refusal.guard)) if refusal.guard else set()
    while True:
        copied = {name for each in transitions for fact, value in each.sets.items() if fact in tracked
                  for name in _facts(machine, each.commands, value)}  # fmt: skip
        if copied <= tracked:
            return frozenset(tracked)
        tracked |= copied


def handed_on(machine: Machine, transition: Transition) -> set[str]:
    """The facts that a transition hands on to a call or a drive, and that are none until a transition sets them."""
    expressions = [each for drive in transition.drives for each in drive.arguments.values()]
    expressions += transition.ask.arguments.values() if transition.ask else ()
    names = {name for each in expressions for name in _facts(machine, transition.commands, each)}
    return {name for name in names if machine.facts[name].later and machine.facts[name].type.optional}


def _facts(machine: Machine, commands: Iterable[str], part: Expression) -> set[str]:
    """The facts that an expression looks at; an argument hides the fact of its name."""
    hidden = {name for command in commands for name in machine.commands[command].arguments}
    return {name for name in part.names if name in machine.facts and name not in hidden}

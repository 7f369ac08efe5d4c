"""Whether a page books what it asks the provider for: the same amounts, on both halves.

The provider has two numbers for a card, and each verb changes them in its way (`provider.EFFECTS`): what is available,
and what is held. No page says which of its accounts those are. So they are found: each is *available*, *held* or
*ours*, such that every transition that asks moves as much here as there. A voucher has both inside. An escrow takes
from a card that stands outside. Amounts are sums of names, so this holds for all of them. If no such reading exists, a
transition asks for something else than it books.

A page that asks for value to come and for value to go keeps the provider's books. What it moves without asking has to
leave what is available and held as they are. Two things are excused, because they record what others were seen to do:
an outside account from which value comes when a caller says so, without asking, and which nothing that asks touches;
and a command that a person signs, or that only such commands drive.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

import attrs

from tallystick.definition.declared import Ask, Transition
from tallystick.definition.expression import Expression
from tallystick.definition.machine import Machine, Machines
from tallystick.provider.verbs import EFFECTS

AVAILABLE, HELD, OURS = "available", "held", "ours"
Sums = Counter[str]  # a sum of names: how often each is in it; "" stands for the number 1
Reading = Mapping[str, str]  # account → AVAILABLE or HELD; those left out are ours
Delta = Mapping[str, Sums]  # account → what it gains


@attrs.frozen
class Agreement:
    """How the accounts of a page are those of the provider; and which transitions do not fit."""

    machine: Machine
    reading: Reading
    apart: tuple[Transition, ...]  # they ask for something else than they book
    seen: frozenset[str]  # outside accounts of what others do
    excused: frozenset[str]  # transitions that book without asking, and may
    names: frozenset[str]  # what it names when it asks: "hold", "transaction"

    def forgets(self, verb: str, args: Mapping[str, object]) -> str:
        """What a call does not name that others of this page name, as a sentence; nothing if it is in order."""
        names = EFFECTS[verb].names
        return f"{verb} names no {names}" if names in self.names and not args.get(names) else ""

    def wanted(self, transition: Transition) -> bool:
        """Whether what it moves has to be what the provider does."""
        if transition.drives or (transition.ask and transition.ask.verb not in EFFECTS):
            return False
        return asks(transition) or (transition.name not in self.excused and bool(self.reading))

    def moved(self, postings: Iterable[tuple[str, str, int]]) -> tuple[int, int]:
        """What postings do to what is available and to what is held, by this reading."""
        found = {AVAILABLE: 0, HELD: 0, OURS: 0}
        for source, target, amount in postings:
            if not {source, target} & self.seen:
                found[self.reading.get(source, OURS)] -= amount
                found[self.reading.get(target, OURS)] += amount
        return found[AVAILABLE], found[HELD]


def agreement(machines: Machines, machine: Machine) -> Agreement | None:
    """How a page agrees with the provider; None if it asks for no value."""
    asking = [each for each in machine.transitions.values() if asks(each) and not each.drives]
    if not asking or not machine.accounts:
        return None
    others = [each for each in machine.transitions.values() if not asks(each) and not each.drives]
    told = [each for each in others if not all(machine.commands[name].driven for name in each.commands)]
    from_ = {move.source for each in told for move in each.moves}
    touched = {name for each in asking for move in each.moves for name in (move.source, move.target)}
    seen = frozenset(set(machine.outside) & from_ - touched)
    signed = _signed(machines)
    excused = {each.name for each in others if any((machine.name, name) in signed for name in each.commands)}
    changes = [EFFECTS[each.ask.verb] for each in asking if each.ask]
    comes = any(1 in each.available.values() and not each.held for each in changes)
    goes = any(-1 in (*each.available.values(), *each.held.values()) for each in changes) or any(
        each.ask and each.ask.verb == "adjust" for each in asking
    )
    if not (comes and goes):
        excused |= {each.name for each in others}
    wanted = asking + [each for each in others if each.name not in excused]
    fitting, apart = _fitting(machine, wanted, seen)
    names = {EFFECTS[each.ask.verb].names for each in asking if each.ask and _named(each.ask)}
    return Agreement(machine, fitting, tuple(apart), seen, frozenset(excused), frozenset(names))


def _named(ask: Ask) -> bool:
    given = ask.arguments.get(EFFECTS[ask.verb].names)
    return given is not None and given.source.strip() != "none"


def asks(transition: Transition) -> bool:
    """Whether it asks the provider to move value."""
    return transition.ask is not None and EFFECTS[transition.ask.verb].moves


def change_asked(transition: Transition) -> tuple[Sums, Sums]:
    """What it asks for, as sums: of what is available, of what is held."""
    if transition.ask is None:
        return Sums(), Sums()
    effect, args = EFFECTS[transition.ask.verb], transition.ask.arguments
    total = [Sums(), Sums()]
    for of, sums in zip(total, (effect.available, effect.held), strict=True):
        for name, by in sums.items():
            _add(of, linear(args[name]) if name in args else Sums(), by)
    return total[0], total[1]


def change_booked(transition: Transition, but: frozenset[str] = frozenset()) -> dict[str, Sums]:
    """What each account gains; moves from or to accounts in `but` do not count."""
    found: dict[str, Sums] = {}
    for move in transition.moves:
        if not {move.source, move.target} & but:
            for name, by in ((move.source, -1), (move.target, 1)):
                _add(found.setdefault(name, Sums()), linear(move.amount), by)
    return found


# Finding a reading


def _fitting(machine: Machine, wanted: list[Transition], seen: frozenset[str]) -> tuple[Reading, list[Transition]]:
    """The reading under which most transitions fit, and those that do not."""
    best: tuple[Reading, list[Transition]] | None = None
    for domains in _domains(machine):
        for apart in ([], *([each] for each in wanted)):
            rest = [each for each in wanted if each not in apart]
            found = next(_readings(domains, [_constraint(each, seen) for each in rest]), None)
            if found is not None and (best is None or len(apart) < len(best[1])):
                best = found, apart
            if best is not None and len(best[1]) <= len(apart):
                break
        if best is not None and not best[1]:
            break
    if best is not None and (not best[1] or any(each != OURS for each in best[0].values())):
        return {name: each for name, each in best[0].items() if each != OURS}, best[1]
    return {}, wanted[:1]


def _domains(machine: Machine) -> Iterator[Mapping[str, tuple[str, ...]]]:
    """What an account may be: both inside, what is held inside and what is available outside, both outside."""
    inside, outside = tuple(machine.accounts), tuple(machine.outside)
    yield dict.fromkeys(inside, (AVAILABLE, HELD, OURS))
    yield dict.fromkeys(inside, (HELD, OURS)) | dict.fromkeys(outside, (AVAILABLE, OURS))
    yield dict.fromkeys(outside, (AVAILABLE, HELD, OURS))


@attrs.frozen
class _Constraint:
    delta: Delta
    available: Sums
    held: Sums


def _constraint(transition: Transition, seen: frozenset[str]) -> _Constraint:
    """What has to be equal, with what the guard says is equal put in."""
    known = _equalities(transition.guard)
    available, held = (_with(each, known) for each in change_asked(transition))
    booked = {name: _with(each, known) for name, each in change_booked(transition, seen).items()}
    return _Constraint({name: each for name, each in booked.items() if each}, available, held)


def _readings(domains: Mapping[str, tuple[str, ...]], wanted: list[_Constraint]) -> Iterator[Reading]:
    """Every reading that fits all, the constraints with the fewest accounts first."""

    def fit(at: int, chosen: dict[str, str]) -> Iterator[Reading]:
        if at == len(order):
            yield chosen
            return
        each = order[at]
        free = [name for name in each.delta if name not in chosen]
        for way in product(*(domains.get(name, (OURS,)) for name in free)):
            reading = chosen | dict(zip(free, way, strict=True))
            if all(
                _sum(each.delta, reading, of) == asked for of, asked in ((AVAILABLE, each.available), (HELD, each.held))
            ):
                yield from fit(at + 1, reading)

    order = sorted(wanted, key=lambda each: (len(each.delta), -len(each.available) - len(each.held)))
    yield from fit(0, {})


def _sum(delta: Delta, reading: Reading, of: str) -> Sums:
    total = Sums()
    for name, gained in delta.items():
        if reading.get(name) == of:
            _add(total, gained, 1)
    return total


def _signed(machines: Machines) -> set[tuple[str, str]]:
    """The commands that a person signs, and those driven by nothing else; by machine and name."""
    driving: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for machine in machines.values():
        for row in machine.transitions.values():
            for drive in row.drives:
                by = driving.setdefault((drive.machine, drive.command), set())
                by |= {(machine.name, command) for command in row.commands}
    commands = [(each.name, name, command) for each in machines.values() for name, command in each.commands.items()]
    own = {(machine, name) for machine, name, command in commands if command.signed}
    driven = {(machine, name) for machine, name, command in commands if command.driven}
    return own | {each for each in driven if driving.get(each) and driving[each] <= own}


# Sums of names


def linear(expression: Expression) -> Sums:
    """An amount as a sum of names. Amounts are nothing else."""
    return _linear(ast.parse(expression.code, mode="eval").body)


def _linear(node: ast.expr) -> Sums:
    total = Sums()
    match node:
        case ast.Constant(int(value)):
            _add(total, Sums({"": 1}), value)
        case ast.Constant(None):
            pass
        case ast.Subscript(_, ast.Constant(str(name))) | ast.Attribute(_, name):
            total[name] = 1
        case ast.UnaryOp(ast.USub(), operand):
            _add(total, _linear(operand), -1)
        case ast.BinOp(left, op, right):
            _add(total, _linear(left), 1)
            _add(total, _linear(right), 1 if isinstance(op, ast.Add) else -1)
        case _:
            raise TypeError(f"no sum: {ast.unparse(node)}")
    return total


def _add(total: Sums, other: Sums, by: int) -> None:
    """Add a sum; what is in it no times is left out."""
    for name, count in other.items():
        total[name] += by * count
        if not total[name]:
            del total[name]


def _equalities(guard: Expression | None) -> list[tuple[str, Sums]]:
    """Names that the guard makes equal to a sum, each to be put in after those before it."""
    found: list[tuple[str, Sums]] = []
    for part in (guard.parts or (guard,)) if guard else ():
        node = ast.parse(part.code, mode="eval").body
        if not isinstance(node, ast.Compare):
            continue
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            if isinstance(op, ast.Eq):
                try:
                    difference = _linear(left)
                    _add(difference, _linear(right), -1)
                except TypeError:
                    continue
                difference = _with(difference, found)
                name = next((name for name, count in difference.items() if name and abs(count) == 1), None)
                if name is not None:
                    by, total = -difference.pop(name), Sums()
                    _add(total, difference, by)
                    found.append((name, total))
    return found


def _with(sums: Sums, known: list[tuple[str, Sums]]) -> Sums:
    """A sum with what is known of its names put in."""
    total = Sums(sums)
    for name, equal in known:
        count = total.pop(name, 0)
        _add(total, equal, count)
    return total


def in_words(sums: Sums) -> str:
    """`+amount −release`, or `0`."""
    parts = [f"{'+' if count > 0 else '−'}{abs(count) if abs(count) != 1 or not name else ''}{name}"
             for name, count in sorted(sums.items(), reverse=True)]  # fmt: skip
    return " ".join(parts) or "±0"

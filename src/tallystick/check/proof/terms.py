"""Expressions of a page as terms of the solver, and the values they are about.

What is translated is the Python that the core runs (`Expression.code`). So a proof is about the guard that fires, and
not about a second reading of the page. Every value is a pair: whether it is there, and what it is. Amounts, counts
and times are integers without a bound, flags are Booleans. A text, a number or a link is an integer that stands for it,
and a choice is one of the integers that stand for its names: an expression can only ask of a text whether it equals
another.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from operator import ge, gt, le, lt
from typing import Any

import attrs
import z3

from tallystick.definition.expression import MONEY, NOW, Expression, Type
from tallystick.definition.machine import Machine

Term = Any  # z3's own classes have no types
YES, NO = z3.BoolVal(True), z3.BoolVal(False)
ZERO = z3.IntVal(0)


@attrs.frozen(eq=False)
class Value:
    """A value that may be missing."""

    term: Term  # what it is; means nothing if it is missing
    there: Term = YES


Places = Mapping[str, Any]  # v, f, a, o: name → Value; s: Value
NONE = Value(ZERO, NO)
_TEXTS: dict[str, int] = {}
_ORDER: Mapping[type[ast.cmpop], Any] = {ast.Lt: lt, ast.LtE: le, ast.Gt: gt, ast.GtE: ge}


def text(written: str) -> Value:
    """The text, as the integer that stands for it in this process."""
    return Value(z3.IntVal(_TEXTS.setdefault(written, len(_TEXTS) + 1)))


def text_of(number: int) -> str | None:
    """The text that an integer stands for; None: a text that no page names."""
    return next((written for written, each in _TEXTS.items() if each == number), None)


def evaluated(code: str, places: Places) -> Value:
    """The value of generated Python `code` over the places where its names live."""
    return _value(ast.parse(code, mode="eval").body, places)


def truth(guard: Expression | None, places: Places) -> Term:
    """That a guard is true; a guard that is not written always is."""
    return YES if guard is None else evaluated(guard.code, places).term


def _value(node: ast.expr, places: Places) -> Value:
    match node:
        case ast.Constant(None):
            return NONE
        case ast.Constant(bool(value)):
            return Value(z3.BoolVal(value))
        case ast.Constant(int(value)):
            return Value(z3.IntVal(value))
        case ast.Constant(str(value)):
            return text(value)
        case ast.Name(place):
            found: Value = places[place]
            return found
        case ast.Subscript(ast.Name(place), ast.Constant(name)) | ast.Attribute(ast.Name(place), name):
            named: Value = places[place][name]
            return named
        case ast.UnaryOp(ast.Not(), operand):
            return Value(z3.Not(_value(operand, places).term))
        case ast.UnaryOp(ast.USub(), operand):
            return Value(-_value(operand, places).term)
        case ast.BoolOp(op, values):
            parts = [_value(each, places).term for each in values]
            return Value(z3.And(parts) if isinstance(op, ast.And) else z3.Or(parts))
        case ast.BinOp(left, op, right):
            one, other = _value(left, places).term, _value(right, places).term
            return Value(one + other if isinstance(op, ast.Add) else one - other)
        case ast.Compare(left, ops, rights):
            chain = zip([left, *rights[:-1]], ops, rights, strict=True)
            return Value(z3.And([_compared(*each, places) for each in chain]))
    raise TypeError(f"no term for {ast.unparse(node)}")


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr, places: Places) -> Term:
    if isinstance(op, ast.In | ast.NotIn):
        one = _value(left, places)
        found = z3.Or([equal(one, _value(each, places)) for each in right.elts])  # type: ignore[attr-defined]
        return found if isinstance(op, ast.In) else z3.Not(found)
    one, other = _value(left, places), _value(right, places)
    if isinstance(op, ast.Eq | ast.NotEq):
        return equal(one, other) if isinstance(op, ast.Eq) else z3.Not(equal(one, other))
    return _ORDER[type(op)](one.term, other.term)


def equal(one: Value, other: Value) -> Term:
    """As in Python: what is missing equals what is missing, and nothing else."""
    if one.there is YES and other.there is YES and one.term.sort() == other.term.sort():
        return one.term == other.term
    missing = z3.And(z3.Not(one.there), z3.Not(other.there))
    if one.term.sort() != other.term.sort():  # one of them is `none`, or they are never equal
        return missing
    return z3.Or(missing, z3.And(one.there, other.there, one.term == other.term))


# Values of which nothing is known


def fresh(name: str, type_: Type) -> Value:
    """Any value of a type."""
    term = z3.Bool(name) if type_.kind == "flag" else z3.Int(name)
    return Value(term, z3.Bool(f"{name}?") if type_.optional else YES)


def typed(value: Value, type_: Type) -> Term:
    """That a value is of its type, as far as its sort does not say so: a choice is one of its names."""
    if type_.kind != "choice":
        return YES
    return z3.Or(z3.Not(value.there), *(value.term == text(choice).term for choice in type_.choices))


@attrs.frozen(eq=False)
class Entity:
    """An entity in a known state, with accounts and facts of which nothing is known."""

    machine: Machine
    state: str
    name: str  # with which its variables begin
    accounts: Mapping[str, Term]
    facts: Mapping[str, Value]

    def places(self, args: Mapping[str, Value], outcome: Mapping[str, Value] | None = None) -> Places:
        accounts = {name: Value(term) for name, term in self.accounts.items()}
        return {"v": accounts, "f": self.facts, "a": args, "s": text(self.state), "o": outcome or {}}

    def sound(self) -> Term:
        """What holds of every entity: nothing below zero, facts of their types."""
        return z3.And(
            *(term >= 0 for term in self.accounts.values()),
            *(typed(value, self.machine.facts[name].type) for name, value in self.facts.items()),
        )


def entity(machine: Machine, state: str, name: str = "") -> Entity:
    accounts = {each: z3.Int(f"{name}{each}") for each in machine.columns}
    facts = {each: fresh(f"{name}{each}", fact.type) for each, fact in machine.facts.items()}
    return Entity(machine, state, name, accounts, facts)


def arguments(machine: Machine, command: str, name: str = "") -> tuple[dict[str, Value], Term]:
    """Any arguments of a command, and that they are of their types."""
    types, linked = machine.commands[command].arguments, read_elsewhere(machine, command, name)
    args = {each: fresh(f"{name}{command}({each})", type_) for each, type_ in types.items()}
    known = [typed(args[each], type_) for each, type_ in types.items()]
    return args | linked, z3.And([YES, *known, *(each.term >= 0 for each in linked.values())])


def read_elsewhere(machine: Machine, command: str, name: str) -> dict[str, Value]:
    """What a command reads of those that its entity links to: any amount, for these go on by themselves; and `now`.

    There is one `now` for a command and all that it drives.
    """
    declared = machine.commands[command]
    found = {each: fresh(f"{name}{command}({each})", MONEY) for each, *_ in declared.linked}
    return found | ({NOW: Value(z3.Int(NOW))} if declared.timed else {})


def outcome(name: str) -> dict[str, Value]:
    """What the provider gives beside its yes."""
    given = dict.fromkeys(("reference", "request_id", "number"), "text") | {"has_pin": "flag"}
    return {each: fresh(f"{name}outcome.{each}", Type(kind, optional=True)) for each, kind in given.items()}

"""A term of the solver means what the compiled Python means: the same expression, the same values, the same answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
import z3
from hypothesis import given, settings

from expressions import ACCEPTED, NARROWED, SCOPE, A, F, V, amounts, counts, flags, read_if_not_idle, sums, values
from tallystick.check.proof import terms
from tallystick.check.proof.terms import Value
from tallystick.definition.expression import Expression, read

VARIABLES = {name: terms.fresh(name, each.type) for name, each in SCOPE.items()}
PLACES = dict.fromkeys("vfa", VARIABLES) | {"s": VARIABLES["state"]}

TIME = re.compile(r"\d{4}-\d\d-\d\dT.*Z")


def moment(text: str) -> int:
    """A time as a number, larger the later it is."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def constant(value: object) -> tuple[Any, bool]:
    match value:
        case bool():
            return z3.BoolVal(value), True
        case int():
            return z3.IntVal(value), True
        case str() if TIME.fullmatch(value):
            return z3.IntVal(moment(value)), True
        case str():
            return terms.text(value).term, True
    return z3.IntVal(0), False


def by_solver(expression: Expression, named: Mapping[str, object]) -> Value:
    """The term over variables, with every variable replaced by its value, worked out."""
    found = terms.evaluated(expression.code, PLACES)
    pairs = []
    for name, value in named.items():
        term, there = constant(value)
        variable = VARIABLES[name]
        if term.sort() == variable.term.sort():
            pairs.append((variable.term, term))
        pairs.append((variable.there, z3.BoolVal(there)))
    pairs = [(old, new) for old, new in pairs if not z3.is_true(old)]
    return Value(z3.simplify(z3.substitute(found.term, pairs)), z3.simplify(z3.substitute(found.there, pairs)))


def agrees(value: Value, python: object) -> bool:
    if not z3.is_true(value.there):
        return python is None
    match python:
        case bool():
            return z3.is_true(value.term) is python and z3.is_false(value.term) is not python
        case int():
            return bool(value.term.as_long() == python)
        case str() if TIME.fullmatch(python):
            return bool(value.term.as_long() == moment(python))
    return terms.text_of(value.term.as_long()) == python


@pytest.mark.parametrize("source", [source for source, *_ in ACCEPTED] + [source for source, _ in NARROWED])
def test_each_expression_of_the_tables(source: str) -> None:
    expression = read(source, SCOPE)
    named = {**V, **F, **A, "state": "open"}
    assert agrees(by_solver(expression, named), expression.compiled()(V, F, A, "open", None))


@settings(max_examples=300, deadline=None)
@given(source=flags | sums(amounts) | sums(counts), named=values)
def test_any_expression_and_any_values(source: str, named: dict[str, Any]) -> None:
    expression = read_if_not_idle(source)
    python = expression.compiled()(named, named, named, "open", None)
    assert agrees(by_solver(expression, named), python)


def test_what_is_missing_equals_what_is_missing_only() -> None:
    here, gone = terms.text("x"), terms.NONE
    for one, other, equal in (
        (here, here, True),
        (here, gone, False),
        (gone, gone, True),
        (here, terms.text("y"), False),
    ):
        assert z3.is_true(z3.simplify(terms.equal(one, other))) is equal


def test_a_text_is_told_by_its_name_and_one_that_no_page_names_is_not() -> None:
    assert terms.text_of(terms.text("electronic").term.as_long()) == "electronic"
    assert terms.text_of(-1) is None

"""How findings speak: lists, cases and states in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tallystick.check.cases import Case
from tallystick.core.refusal import shown

UNIT = "BRL"  # amounts are told in hundredths; what is found holds for every currency


def joined(words: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end


def told(case: Case, names: Collection[str]) -> str:
    """The values of a case as a person reads them: `amount 0.01, held 0.02 and last no`."""
    asked_first = sorted(case.values, key=lambda pair: "avf".index(pair[0].place))
    parts = [f"{each.name} {shown(value, each.type, UNIT)}" for each, value in asked_first if each.name in names]
    return joined(parts) if parts else "any values"

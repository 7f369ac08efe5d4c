"""How findings speak: lists in words, and amounts as people read them."""

from __future__ import annotations

from collections.abc import Iterable

CURRENCY = "BRL"  # of all amounts in findings: two decimals. What is found holds for every currency


def joined(words: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end


def amount(minor: int) -> str:
    """Minor units with two decimals. The solver's amounts may be larger than `Money` allows."""
    whole, cents = divmod(abs(minor), 100)
    return f"{'-' if minor < 0 else ''}{whole}.{cents:02}"

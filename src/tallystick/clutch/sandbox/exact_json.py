"""JSON both ways without losing a digit: numbers are `Decimal`, and `Decimal("10.00")` is printed `10.00`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring_ascii
from typing import Any

DEEPEST = 50  # levels of what is read


def dumps(value: Any) -> str:
    """Print compactly, keys in their given order."""
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < 30 else str(value)  # never a million zeros for 1e1000000
    if isinstance(value, dict):
        pairs = [f"{encode_basestring_ascii(str(key))}:{dumps(item)}" for key, item in value.items()]
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    raise TypeError(f"no JSON for {type(value).__name__}")


def loads(text: str | bytes) -> Any:
    """Read JSON; NaN and Infinity are not JSON. Raises: ValueError, also for what could not be printed again."""
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("too deep") from None
    except InvalidOperation:
        raise ValueError("a number has an exponent beyond all bounds") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [item for each in level for item in _parts(each)]
    if level:
        raise ValueError("too deep")
    return value


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")

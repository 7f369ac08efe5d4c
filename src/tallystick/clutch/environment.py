"""Settings from variables of the environment: `CLUTCH_` and the setting's name in capitals.

Text, numbers and yes or no are written as they are; a setting with parts is JSON: `CLUTCH_CARD_SETS='{"gift": "G1"}'`.
If a value cannot be, the error names the variable and says what would do. It never shows the value, which may be a
secret in the wrong place. A variable that names no setting is reported in the log, because it may be somebody else's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from tallystick.errors import Invalid, nearest

PREFIX = "CLUTCH_"
FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
WORDS: Mapping[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}

_log = logging.getLogger("tallystick.clutch")


class WrongValue(Exception):
    """A value is not of its type. Says what would do."""


def variable(name: str) -> str:
    """The variable of a setting."""
    return PREFIX + name.upper()


_field_types: dict[type[Any], Mapping[str, Any]] = {}


def field_types(made: type[Any]) -> Mapping[str, Any]:
    """The fields of a class with their types; worked out once, because that takes longer than the rest."""
    if made not in _field_types:
        _field_types[made] = get_type_hints(made)
    return _field_types[made]


def read_variables(settings: type[attrs.AttrsInstance], environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that the environment has, by name.

    Raises:
        Invalid: one of them cannot be.
    """
    wanted = field_types(settings)
    known = {variable(field.name): field.name for field in attrs.fields(settings)}
    found: dict[str, Any] = {}
    for each, text in environment.items():
        name = known.get(each)
        if name is not None and text:
            try:
                found[name] = _of_text(text, wanted[name])
            except WrongValue as unfit:
                raise Invalid(f"clutch: {each} has to be {unfit}") from None
        elif each.startswith(PREFIX) and text:
            _log.warning("%s is no setting of the Clutch adapter.%s", each, nearest(each, list(known)))
    return found


def _of_text(text: str, kind: Any) -> Any:
    """A variable's text as a setting of this type. Raises: WrongValue."""
    if str in _choices(kind) or get_origin(kind) is Literal:
        return _fitted(text, kind)
    if kind is bool:
        if text.lower() not in FLAGS:
            raise WrongValue("yes or no")
        return FLAGS[text.lower()]
    try:
        value = json.loads(text, parse_constant=_no_number)
    except ValueError:
        raise WrongValue(WORDS.get(kind, "JSON")) from None
    return _fitted(value, kind)


def _no_number(text: str) -> None:
    raise ValueError(text)  # NaN and Infinity, which JSON does not have


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _fitted(value: Any, kind: Any) -> Any:
    """A value of JSON as one of this type. Raises: WrongValue."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _fitted(value, next(each for each in inner if each is not NoneType))
    if origin is tuple:
        return _row(value, inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise WrongValue("a JSON object")
        return {key: _fitted(each, inner[1]) for key, each in value.items()}
    if attrs.has(kind):
        return _made(value, kind)
    return _plain(value, kind)


def _row(value: Any, inner: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise WrongValue("a JSON list")
    if inner[-1] is Ellipsis:
        return tuple(_fitted(each, inner[0]) for each in value)
    if len(value) != len(inner):
        raise WrongValue(f"a JSON list of {len(inner)}")
    return tuple(_fitted(each, one) for each, one in zip(value, inner, strict=True))


def _made(value: Any, kind: Any) -> Any:
    wanted = field_types(kind)
    if not isinstance(value, dict) or not set(value) <= set(wanted):
        raise WrongValue(f"a JSON object with some of {', '.join(wanted)}")
    try:
        return kind(**{name: _fitted(each, wanted[name]) for name, each in value.items()})
    except TypeError:
        needed = [field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING]
        raise WrongValue(f"a JSON object with {', '.join(needed)} at least") from None


def _plain(value: Any, kind: Any) -> Any:
    if get_origin(kind) is Literal or issubclass(kind, Enum):
        allowed = get_args(kind) or tuple(kind)
        if value not in allowed:
            raise WrongValue(f"one of {', '.join(map(str, allowed))}")
        return value if get_origin(kind) is Literal else kind(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise WrongValue(WORDS[kind])
    return value

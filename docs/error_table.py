"""The table of the errors in how-to/errors.md, made from the errors' own docstrings.

A docstring has a first sentence that says what happened, and a paragraph that says what it means for money, whether the
same key may be sent again, and the HTTP status.
"""

from __future__ import annotations

import inspect
import re

import tallystick
from machine_pages import table
from tallystick import TallystickError

ABSTRACT = {"TallystickError", "Answered"}  # to catch what is below them; nobody raises them


def errors() -> list[type[TallystickError]]:
    """All public errors that are raised, a class before what is made of it, in the order of the code."""
    found: list[type[TallystickError]] = []

    def walk(kind: type[TallystickError]) -> None:
        if kind.__name__ in tallystick.__all__ and kind.__name__ not in ABSTRACT:
            found.append(kind)
        for each in kind.__subclasses__():
            walk(each)

    for name in tallystick.__all__:
        getattr(tallystick, name)  # a class is there when its module is loaded
    walk(TallystickError)
    return found


def status(error: type[TallystickError]) -> int:
    """The HTTP status that an order service answers with."""
    (code,) = re.findall(r"HTTP (\d{3})", inspect.getdoc(error) or "")
    return int(code)


def parts(error: type[TallystickError]) -> tuple[str, str]:
    """What happened, and what it means: for money, and for the same key."""
    text = inspect.getdoc(error) or ""
    first, _, rest = text.partition("\n\n")
    if not rest:
        first, _, rest = text.partition(". ")
        first += "."
    said = re.sub(r"\s*HTTP \d{3}(?:: [^.]*)?\.", "", " ".join(rest.split()))
    return " ".join(first.split()), said


def rows() -> str:
    """The table."""
    return table(
        ("error", "HTTP", "what happened", "your money, and what to do"),
        ([f"`{each.__name__}`", str(status(each)), *parts(each)] for each in errors()),
    )

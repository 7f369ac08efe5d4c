"""How a value shows itself in a notebook: a small table in HTML. No card number is whole there, and no PIN is there."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from tallystick.masks import masked, redacted

Line = tuple[str, object]  # what it is, and its value; nothing is left out


def table(title: str, lines: Iterable[Line]) -> str:
    """A table of two columns. Texts are escaped, and long numbers in them hidden."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{_text(value)}</td></tr>'
        for name, value in lines
        if value not in (None, "", ())
    )
    return f"<table><caption>{escape(redacted(title))}</caption><tbody>{rows}</tbody></table>"


def named(machine: str, id: str) -> str:
    """An entity, as people may see it."""
    return f"{machine} {masked(id)}"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "<br>".join(map(_text, value))
    return escape(redacted(str(value)))

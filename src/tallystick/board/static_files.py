"""The files that pages need beside themselves: styles, the styles of the machines' pictures, and an icon."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

FILES = {"board.css": "text/css", "pictures.css": "text/css", "icon.svg": "image/svg+xml"}


@cache
def text_of(name: str) -> str:
    """The text of one of `FILES`."""
    if name == "pictures.css":
        from tallystick.diagram import STYLE

        return STYLE
    return (files("tallystick.board") / "static" / name).read_text(encoding="utf-8")

"""How a notebook shows a machine: as its brief picture.

The picture is asked for by name, as nothing in this room knows the one that draws it.
"""

from __future__ import annotations

from importlib import import_module


class Shown:
    """What a notebook shows as a picture."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(import_module("tallystick.diagram").draw(self))

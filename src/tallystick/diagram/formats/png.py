"""PNG: the SVG, drawn by resvg (`pip install 'tallystick[pictures]'`). It needs a font, no program."""

from __future__ import annotations

from tallystick.errors import Invalid


def to_png(svg: str, *, scale: int = 2) -> bytes:
    """An SVG as PNG, `scale` pixels for each of its own. Tooltips are lost.

    Raises:
        Invalid: the package that draws it is not installed.
    """
    try:
        import resvg_py
    except ImportError:
        raise Invalid("PNG needs resvg; install it with: pip install 'tallystick[pictures]'") from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=scale))

"""Texts and the signs between them, as SVG: what the picture, its legend and the charts below it share."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from tallystick.diagram.layout import BOLD, LARGE, SIZE
from tallystick.diagram.sketch import ASKS, MOVES, NO, STAYS
from tallystick.diagram.text_width import text_width

TIP = 9.0  # length of an arrow's head, in pixels
_PIECES = re.compile(f"[{ASKS}{STAYS}{NO}{MOVES}]|[^{ASKS}{STAYS}{NO}{MOVES}]+")

# Signs are drawn, because not every font has them: at (x, base line), about 12 pixels wide.
_SIGNS = {
    ASKS: ("ts-sign", "M{0} {3}L{2} {1}M{4} {1}H{2}V{5}"),
    STAYS: ("ts-sign", "M{2} {6}A4.5 4.5 0 1 1 {7} {1}M{7} {8}V{1}H{9}"),
    NO: ("ts-sign", "M{0} {3}L{2} {1}M{0} {1}L{2} {3}"),
    MOVES: ("ts-triangle", "M{0} {1}L{10} {6}L{0} {3}Z"),
}


def _sign(sign: str, x: float, y: float, look: str) -> str:
    kind, path = _SIGNS[sign]
    places = (x + 2, y - 9, x + 11, y, x + 5, y - 3, y - 4.5, x + 9, y - 12, x + 5.5, x + 10)
    drawn = path.format(*(f"{each:g}" for each in places))
    return f'<path class="{kind} {look}" d="{drawn}"/>'


def text_at(text: str, x: float, y: float, kind: str, look: str = "") -> str:
    """A line of text from x on, its signs drawn. Each piece has the width that it was given, whatever the font."""
    bold, size = kind in BOLD, LARGE if kind in ("title", "count") else SIZE
    looks = f"ts-{kind} {look}".strip()
    parts = []
    for piece in _PIECES.findall(text):
        wide = text_width(piece, size, bold=bold)
        if piece in _SIGNS:
            parts.append(_sign(piece, x, y, looks))
        elif piece.strip():
            skipped = text_width(" " * (len(piece) - len(piece.lstrip())), size, bold=bold)
            shown = text_width(piece.strip(), size, bold=bold)
            parts.append(
                f'<text class="{looks}" x="{x + skipped:.1f}" y="{y:g}" textLength="{shown:.1f}" '
                f'lengthAdjust="spacingAndGlyphs">{escape(piece.strip())}</text>'
            )
        x += wide
    return "".join(parts)


def width_of(text: str, kind: str) -> float:
    """The pixels that a text of this kind takes."""
    return text_width(text, LARGE if kind in ("title", "count") else SIZE, bold=kind in BOLD)


def head_at(tip: tuple[float, float], heading: str, look: str) -> str:
    """An arrow's head at a tip; `heading`: E, W, S or N."""
    x, y = tip
    dx, dy = {"E": (1, 0), "W": (-1, 0), "S": (0, 1), "N": (0, -1)}[heading]
    back = (x - dx * TIP, y - dy * TIP)
    wide = 5
    points = f"{x},{y} {back[0] + dy * wide:g},{back[1] + dx * wide:g} {back[0] - dy * wide:g},{back[1] - dx * wide:g}"
    return f'<polygon class="{look}" points="{points}"/>'

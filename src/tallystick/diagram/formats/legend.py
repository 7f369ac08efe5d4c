"""What stands below a picture: its signs and what they mean, then its words and what they mean, in lines."""

from __future__ import annotations

from tallystick.diagram.formats.signs import head_at, text_at, width_of
from tallystick.diagram.sketch import ASKS, MOVES, STAYS, Sign, Sketch

_ROW, _BETWEEN = 21, 20  # pixels of a line, and between two signs or words
_SAMPLE = {"asks": 18, "stays": 18, "holds": 14, "flow": 58, "traffic": 64}  # pixels of a sample; the others take 42


def foot(sketch: Sketch, wide: int, room: int = 0) -> tuple[str, int]:
    """The legend in lines of this width, and how high it is. Words that are not needed have to fit into `room`."""
    parts: list[str] = []
    x, y = 12.0, 16.0
    for sign in sketch.legend:
        needs = _sign_width(sign)
        if x + needs - _BETWEEN > wide - 12 and x > 12:
            x, y = 12.0, y + _ROW
        parts.append(_sample(sign, x, y) + text_at(sign.says, x + _SAMPLE.get(sign.sample, 42), y, "quiet"))
        x += needs
    for each in sketch.words:
        after = width_of(f"{each.word}: ", "name")
        needs = after + width_of(each.says, "quiet")
        begins = x + needs > wide - 12 and x > 12
        if not each.needed and (needs > wide - 24 or y + begins * _ROW + 14 > room):
            continue
        x, y = (12.0, y + _ROW) if begins else (x, y)
        parts.append(text_at(f"{each.word}:", x, y, "name") + text_at(each.says, x + after, y, "quiet"))
        x += needs + _BETWEEN
    return "".join(parts), int(y + 14)


def least_width(sketch: Sketch) -> float:
    """What signs in two lines need."""
    return sum(map(_sign_width, sketch.legend)) / 2 + 160


def _sign_width(sign: Sign) -> float:
    return _SAMPLE.get(sign.sample, 42) + width_of(sign.says, "quiet") + _BETWEEN


def _sample(sign: Sign, x: float, y: float) -> str:
    middle = y - 5
    signs = {
        "asks": (ASKS, "command", 0),
        "flow": (f"a {MOVES} b, c", "money", 0),
        "stays": (STAYS, "stays", 0),
        "traffic": ("9 · 5.00", "plain", 0),
    }
    if sign.sample in signs:
        text, kind, indent = signs[sign.sample]
        return text_at(text, x + indent, y, kind)
    if sign.sample == "holds":
        return f'<circle class="ts-coin" cx="{x + 5:g}" cy="{middle:g}" r="4"/>'
    if sign.sample == "final":
        return (
            f'<rect class="ts-box ts-end" x="{x + 4:g}" y="{middle - 8:g}" width="32" height="16" rx="4"/>'
            f'<rect class="ts-inner" x="{x + 7:g}" y="{middle - 5:g}" width="26" height="10" rx="2"/>'
        )
    if sign.sample in ("doubt", "here"):
        fill = 'fill="url(#ts-hatched)"' if sign.sample == "doubt" else 'class="ts-here"'
        plain = f'<rect class="ts-box" x="{x + 4:g}" y="{middle - 8:g}" width="32" height="16" rx="4"/>'
        return f'{plain}<rect {fill} x="{x + 4:g}" y="{middle - 8:g}" width="32" height="16" rx="4"/>'
    if sign.sample == "joins":
        joined = f"M{x + 10:g} {middle + 10:g}V{middle + 7:g}Q{x + 10:g} {middle:g} {x + 17:g} {middle:g}"
        return f'<path class="ts-wire" stroke-width="1.5" d="M{x + 2:g} {middle:g}H{x + 34:g}{joined}"/>'
    look = f"ts-{sign.sample}"
    head = head_at((int(x) + 38, int(middle)), "E", f"ts-head {look}")
    width = 4 if sign.sample in ("usual", "taken") else 1.5
    return f'<path class="ts-wire {look}" stroke-width="{width}" d="M{x + 2:g} {int(middle)}H{int(x) + 30}"/>{head}'

"""How wide a text is, without asking a font: the widths of Helvetica, which Arial and Liberation Sans share.

A writer passes the width on (`textLength`), so that a text fits its box whichever font is there.
"""

from __future__ import annotations

# Of the characters 32 to 126, in thousandths of the size.
_WIDTHS = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
]  # fmt: skip
_SIGNS = {"·": 278, "…": 1000, "×": 584, "−": 584, "≠": 549, "•": 350, "–": 556, "’": 222, "“": 333, "”": 333}
_OTHER = 800  # of any other character: signs, and letters of other scripts


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of a text in the units of `size`."""
    thousandths = sum(_WIDTHS[ord(each) - 32] if 32 <= ord(each) <= 126 else _SIGNS.get(each, _OTHER) for each in text)
    return thousandths * size * (1.07 if bold else 1.0) / 1000

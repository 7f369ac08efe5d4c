"""Charts as plain SVG: the same figures stand in a table below each, so a chart needs no legend and no script.

Widths and positions are attributes and colours are classes, because the page's policy lets no style stand in a line.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDE = 960  # pixels of every chart; it shrinks with the page
LABEL, VALUE, ROW = 250, 190, 30  # pixels for the names, for the amounts, and of a row
WIDEST, DATE = 60, 70  # pixels of a column of few, and of a date below it


def bars(rows: Sequence[tuple[str, int, str]]) -> str:
    """A bar for each: its name, its size, and the size in words. Sizes below zero go to the left."""
    low, high = min([0, *(size for _, size, _ in rows)]), max([0, *(size for _, size, _ in rows)])
    room = WIDE - LABEL - VALUE
    scale = room / ((high - low) or 1)
    zero = LABEL + -low * scale
    parts = []
    for at, (name, size, words) in enumerate(rows):
        y = at * ROW + 5
        width = abs(size) * scale
        left = zero if size >= 0 else zero - width
        kind = "bar" if size >= 0 else "bar two"
        parts.append(
            f"<g><title>{escape(name)}: {escape(words)}</title>"
            f'<text x="{LABEL - 10}" y="{y + 15}" text-anchor="end">{escape(_short(name))}</text>'
            f'<rect class="{kind}" x="{left:.1f}" y="{y}" width="{max(width, 1 if size else 0):.1f}" height="20"/>'
            f'<text x="{max(zero, left + width) + 8:.1f}" y="{y + 15}">{escape(words)}</text></g>'
        )
    high_px = len(rows) * ROW + 4
    axis = f'<path class="axis" d="M{zero:.1f} 0V{high_px}"/>'
    return _svg(high_px, axis + "".join(parts))


def columns(days: Sequence[tuple[str, int, str]], *, shown: int = 8) -> str:
    """A column for each day: its date, its size, and the size in words. Every so many days are named."""
    low, high = min([0, *(size for _, size, _ in days)]), max([1, *(size for _, size, _ in days)])
    height, left, below = 180, 8, 28
    scale = height / (high - low)
    step = min((WIDE - 2 * left) / max(len(days), 1), WIDEST)
    zero = 10 + high * scale
    every = max(1, -(-len(days) // shown))
    most = max(days, key=lambda day: day[1])[2] if days else ""
    parts = [
        f'<path class="axis" d="M{left} {zero:.1f}H{WIDE - left}M{left} 10H{WIDE - left}"/>'
        f'<text class="dim" x="{WIDE - left}" y="24" text-anchor="end">most: {escape(most)}</text>'
    ]
    for at, (name, size, words) in enumerate(days):
        x = left + at * step
        tall = abs(size) * scale
        y = zero - tall if size >= 0 else zero
        kind = "bar" if size >= 0 else "bar two"
        bar = (
            f'<rect class="{kind}" x="{x + step * 0.1:.1f}" y="{y:.1f}" width="{step * 0.8:.1f}" '
            f'height="{max(tall, 1 if size else 0):.1f}"/>'
        )
        said = name if at == 0 or name[:4] != days[at - every][0][:4] else name[5:]  # the year where it changes
        label = f'<text class="dim" x="{x + step * 0.1:.1f}" y="{height + below}">{escape(said)}</text>' * (
            at % every == 0 and x + DATE <= WIDE
        )
        parts.append(f"<g><title>{escape(name)}: {escape(words)}</title>{bar}{label}</g>")
    return _svg(height + below + 8, "".join(parts))


def _short(name: str) -> str:
    return name if len(name) <= 34 else f"{name[:33]}…"


def _svg(high: int, inner: str) -> str:
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="{}" height="{}" viewBox="0 0 {} {}" '
        'aria-hidden="true" focusable="false">{}</svg>'
    ).format(WIDE, high, WIDE, high, Markup(inner))  # noqa: S704  # every text in it was escaped

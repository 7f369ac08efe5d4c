"""Below one life: what stood on its accounts after each entry, as steps; and what it may do next, and why not the rest.

The chart has one column for each entry and not a scale of time, because a life has seconds in which all happens and
weeks in which nothing does. Columns in which something is in doubt are hatched.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from tallystick.diagram.figures import Life, LifeStep
from tallystick.diagram.formats.signs import text_at
from tallystick.diagram.layout import SIZE
from tallystick.diagram.sketch import spoken
from tallystick.diagram.text_width import text_width
from tallystick.money import Money

_MOST = 12  # entries; of a longer life, the last ones
_HIGH = 130  # pixels of the chart itself
_LEFT, _RIGHT = 110, 190
_LINES = ("ts-first", "ts-second", "ts-third", "ts-fourth")  # how the lines of accounts look; each has its own dashes


def chart(life: Life, wide: int) -> tuple[str, int]:
    """The step chart in SVG, and how high it is."""
    steps = life.steps[-_MOST:]
    accounts = [name for name in dict.fromkeys(name for step in life.steps for name in step.accounts)
                if name != "in_doubt" and any(step.accounts.get(name) for step in life.steps)]  # fmt: skip
    if not accounts:
        return "", 0
    most = max(amount.minor for step in steps for amount in step.accounts.values()) or 1
    column = (wide - _LEFT - _RIGHT) / len(steps)
    parts = [text_at("what stood where", 12, 18, "name")]
    left_out = len(life.steps) - len(steps)
    says = "one column for each entry, not to scale" + (f"; the first {left_out} are left out" if left_out else "")
    parts.append(text_at(says, 12 + text_width("what stood where", SIZE, bold=True) + 12, 18, "quiet"))
    parts += _columns(steps, column)
    scale = most / _HIGH
    base = 40 + _HIGH
    top = next(amount for step in steps for amount in step.accounts.values() if amount.minor == most or most == 1)
    parts.append(text_at(f"{top:,n}", _LEFT - 8 - text_width(f"{top:,n}", SIZE), 45, "quiet"))
    parts.append(text_at("0", _LEFT - 16, base + 5, "quiet"))
    parts.append(f'<path class="ts-axis" d="M{_LEFT} 40V{base}H{wide - _RIGHT}"/>')
    labels: list[float] = []
    for index, name in enumerate(accounts):
        heights = [base - _minor(step, name) / scale - 2 * index for step in steps]
        path = f"M{_LEFT} {heights[0]:.1f}" + "".join(
            f"{'' if at == 0 else f'V{height:.1f}'}H{_LEFT + column * (at + 1):.1f}"
            for at, height in enumerate(heights)
        )
        parts.append(f'<path class="ts-series {_LINES[index % len(_LINES)]}" d="{path}"/>')
        y = heights[-1] + 5
        while any(abs(y - other) < 17 for other in labels):
            y -= 17
        labels.append(y)
        last = steps[-1].accounts.get(name)
        x = wide - _RIGHT + 8
        look = _LINES[index % len(_LINES)]
        parts.append(f'<path class="ts-series {look}" d="M{x} {y - 5:.1f}h26"/>')
        parts.append(text_at(f"{spoken(name)} {last:,n}" if last is not None else spoken(name), x + 32, y, "quiet"))
    return "".join(parts), base + 48


def _columns(steps: Sequence[LifeStep], column: float) -> Iterator[str]:
    base = 40 + _HIGH
    day = ""
    for index, step in enumerate(steps):
        x = _LEFT + column * index
        if _doubtful(step):
            yield f'<rect fill="url(#ts-hatched)" x="{x:.1f}" y="40" width="{column:.1f}" height="{_HIGH}"/>'
            yield text_at("?", x + column / 2 - 4, 56, "name")
        yield f'<path class="ts-axis" d="M{x:.1f} {base}v5"/>'
        room = int(column / 7.4)
        name = spoken(step.command)
        yield text_at(name if len(name) <= room else f"{name[: max(room - 1, 1)]}…", x + 3, base + 19, "quiet")
        here = f"{step.at:%m-%d %H:%M}" if f"{step.at:%Y-%m-%d}" != day and room >= 11 else f"{step.at:%H:%M}"
        day = f"{step.at:%Y-%m-%d}"
        if room >= len(here):
            yield text_at(here, x + 3, base + 37, "quiet")


def _minor(step: LifeStep, account: str) -> int:
    amount: Money | None = step.accounts.get(account)
    return amount.minor if amount is not None else 0


def _doubtful(step: LifeStep) -> bool:
    return step.phase in ("asked", "unavailable") or _minor(step, "in_doubt") > 0


def next_steps(life: Life, wide: int) -> tuple[str, int]:
    """What it may do next, and for the rest why not; in SVG, and how high that is."""
    if not life.may:
        return "", 0
    allowed = [spoken(each.command) for each in life.may if each.allowed]
    reasons: dict[str, list[str]] = {}
    for each in life.may:
        if not each.allowed:
            reasons.setdefault(each.why, []).append(spoken(each.command))
    room = int((wide - 150) / 7.2)
    rows = [("it may", ", ".join(allowed) or "nothing any more")]
    rows += [("not now" if index == 0 else "", f"{', '.join(names)}: {why}") for index, (why, names) in
             enumerate(reasons.items())]  # fmt: skip
    parts, y = [], 18
    for head, text in rows:
        parts.append(text_at(head, 12, y, "name") if head else "")
        for line in textwrap.wrap(text, room):
            parts.append(text_at(line, 100, y, "quiet" if head != "it may" else "plain"))
            y += 20
    return "".join(parts), y + 4

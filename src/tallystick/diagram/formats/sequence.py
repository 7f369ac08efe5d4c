"""Several lives beside each other: who told whom what, from top to bottom.

Each entity has an upright line, and so has who gave the commands, and the provider. An arrow is an entry: from who
caused it to the entity. What asks the provider goes on to its line, and an answer comes back from there. Declined is
dashed, red and ✕; not answered is dashed and `?`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from tallystick.diagram.figures import Life, LifeStep
from tallystick.diagram.formats.signs import text_at
from tallystick.diagram.layout import SIZE
from tallystick.diagram.sketch import ASKS, DOUBT, MOVES, NO, spoken
from tallystick.diagram.text_width import text_width

_MOST = 24  # arrows; of longer lives, the last ones
_ROW = 34
CALLER, PROVIDER = "caller", "provider"
ANSWERS = ("confirmed", "declined", "unavailable")  # phases


@attrs.frozen
class _Arrow:
    source: str
    target: str
    text: str
    look: str = ""


def sequence(life: Life, wide: int) -> tuple[str, int]:
    """The sequence diagram in SVG, and how high it is."""
    lives = [life, *life.others]
    told = sorted(
        ((step.at, -order if step.phase in ANSWERS else order, f"{each.machine} {each.id}", step)
         for order, each in enumerate(lives) for step in each.steps),
        key=lambda row: row[:2],
    )  # fmt: skip
    drove = {(step.cause, step.at): name for _, _, name, step in told if step.cause}
    arrows = [arrow for at, _, name, step in told for arrow in _arrows(step, name, drove.get((name, at)))]
    named = {name for arrow in arrows for name in (arrow.source, arrow.target)}
    own = [f"{each.machine} {each.id}" for each in lives]
    others = sorted(named - {*own, CALLER, PROVIDER})  # who caused something and is not shown itself
    names = [name for name in (CALLER, *others, *own, PROVIDER) if name in named]
    shown = arrows[-_MOST:]
    far = (wide - 40) / max(len(names), 1)
    at = {name: int(20 + far * (index + 0.5)) for index, name in enumerate(names)}
    head = "from top to bottom, as the entries were written"
    head += f"; the first {len(arrows) - len(shown)} arrows are left out" if len(arrows) > len(shown) else ""
    parts = [text_at("who told whom", 12, 18, "name")]
    parts.append(text_at(head, 12 + text_width("who told whom", SIZE, bold=True) + 12, 18, "quiet"))
    bottom = 66 + _ROW * len(shown)
    for name in names:
        label = _shortened(spoken(name), int(far / 8.2))
        parts.append(text_at(label, at[name] - text_width(label, SIZE, bold=True) / 2, 44, "name"))
        parts.append(f'<path class="ts-life" d="M{at[name]} 52V{bottom}"/>')
    parts += [_drawn(arrow, at, 86 + _ROW * index) for index, arrow in enumerate(shown)]
    return "".join(parts), bottom + 14


def _arrows(step: LifeStep, name: str, driven: str | None) -> Iterator[_Arrow]:
    """The arrows of one entry; `driven`: the entity that did its part of it at the same moment."""
    text, moved = spoken(step.command), ": " + "; ".join(step.moved).replace("→", MOVES) if step.moved else ""
    if step.phase not in ANSWERS:
        yield _Arrow(step.cause or CALLER, name, text + ("" if step.asks else moved))
        if step.asks:
            yield _Arrow(name, PROVIDER, f"{spoken(step.asks)} {ASKS}{moved}")
        return
    answering = PROVIDER if step.asks else driven or PROVIDER
    if step.phase == "declined":
        yield _Arrow(answering, name, f"{NO} {text} declined", "ts-declined")
    elif step.phase == "unavailable":
        yield _Arrow(answering, name, f"{DOUBT} {text}: no answer", "ts-never")
    else:
        yield _Arrow(answering, name, f"{text}{moved}" if moved else f"{text} confirmed")


def _drawn(arrow: _Arrow, at: Mapping[str, int], y: int) -> str:
    begin, end = at[arrow.source], at[arrow.target]
    text = _shortened(arrow.text, int(abs(end - begin) / 7.2) - 2)
    way = 1 if end > begin else -1
    line = f'<path class="ts-wire {arrow.look}" stroke-width="1.5" d="M{begin} {y}H{end - 9 * way}"/>'
    points = f"{end},{y} {end - 9 * way},{y - 5} {end - 9 * way},{y + 5}"
    head = f'<polygon class="ts-head {arrow.look}" points="{points}"/>'
    return f"{line}{head}{text_at(text, min(begin, end) + 12, y - 5, 'plain', arrow.look)}"


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(room - 1, 1)]}…"

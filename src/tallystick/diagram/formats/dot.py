"""DOT, for Graphviz: the sketch from left to right, placed by Graphviz and not by `layout`."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.diagram.formats.mermaid import LEGEND
from tallystick.diagram.sketch import Box, Sketch, Text, Wire

_FONT = 'fontname="Helvetica,Arial,sans-serif"'
_HEAD = f"""\
  rankdir=LR; nodesep=0.35; ranksep=0.6; bgcolor="white";
  labelloc=t; labeljust=l; fontsize=13; {_FONT};
  node [shape=box, style="rounded,filled", fillcolor="white", color="#6a737d", fontsize=11, {_FONT}];
  edge [color="#6a737d", fontcolor="#1b1f24", fontsize=11, arrowsize=0.7, {_FONT}];"""
_START = '  "·start" [shape=circle, style=filled, fillcolor="#1b1f24", color="#1b1f24", width=0.12, label=""];'
_NEWLINE = "<BR/>"
_TONES = {
    "faint": 'color="#8b939c", fontcolor="#57606a"',
    "never": 'color="#8b939c", fontcolor="#57606a", style=dotted',
    "taken": 'color="#0f5e8c"',
    "here": 'fillcolor="#ffe9b0", penwidth=2.4',
    "doubt": 'color="#b3261e", penwidth=2.4',
    "added": 'color="#0a6245", penwidth=3',
    "removed": 'color="#b3261e", fontcolor="#b3261e", style=dotted',
    "changed": 'color="#8a5a00", penwidth=3, style=dashed',
}


def to_dot(sketch: Sketch) -> str:
    """The sketch as DOT."""
    legend = "; ".join(f"{LEGEND[sign.sample]}: {sign.says}" for sign in sketch.legend if sign.sample in LEGEND)
    texts = [f"<B>{_html(sketch.title)}</B>", *map(_html, (sketch.says, *sketch.notes, legend))]
    title = "".join(f"{text}<BR ALIGN='LEFT'/>" for text in texts if text)
    starts = [box.name for box in sketch.boxes if box.start]
    return "\n".join([
        f"digraph {_quoted(sketch.name)} {{",
        f"  label=<{title}>;",
        _HEAD,
        *([_START] if starts else []),
        *_nodes(sketch),
        *[f'  "·start" -> {_quoted(name)};' for name in starts],
        *[edge for wire in sketch.wires for edge in _edges(wire)],
        "}\n",
    ])  # fmt: skip


def _nodes(sketch: Sketch) -> Iterator[str]:
    grouped: dict[str, list[Box]] = {}
    for box in sketch.boxes:
        grouped.setdefault(box.group, []).append(box)
    for number, (group, boxes) in enumerate(grouped.items()):
        if group:
            yield f'  subgraph cluster_{number} {{ label={_quoted(group)}; fontsize=11; style="rounded,filled"; '
            yield '    color="#f3f4f6";'
        yield from map(_node, boxes)
        if group:
            yield "  }"


def _node(box: Box) -> str:
    looks = [f"label=<{_NEWLINE.join(map(_said, box.lines))}>", f"tooltip={_quoted(box.tip)}"]
    if box.usual:
        looks.append('color="#0f5e8c", penwidth=2.4, fillcolor="#e8f3fa"')
    if box.final:
        looks.append("peripheries=2")
    if box.lost:
        looks.append('color="#b3261e", style="rounded,dashed"')
    if box.tone in _TONES:
        looks.append(_TONES[box.tone])
    return f"  {_quoted(box.name)} [{', '.join(looks)}];"


def _edges(wire: Wire) -> Iterator[str]:
    """An edge for each source; the first one has all of the label."""
    for index, source in enumerate(wire.sources):
        lines = wire.label if index == 0 else wire.label[:1]
        looks = [f"label=<{_NEWLINE.join(map(_said, lines))}>"] if lines else []
        looks.append(f"tooltip={_quoted(wire.tip)}")
        looks += ["dir=both"] if wire.both else []
        looks += ['color="#0f5e8c", penwidth=4, weight=20'] if wire.usual else []
        looks += ['color="#b3261e", fontcolor="#b3261e", style=dashed'] if wire.declined else []
        looks += [_TONES[wire.tone]] if wire.tone in _TONES else []
        looks += [f"penwidth={wire.weight:g}"] if wire.weight != 1 else []
        yield f"  {_quoted(source)} -> {_quoted(wire.target)} [{', '.join(looks)}];"


def _said(line: Text) -> str:
    text = _html(line.text)
    if line.kind in ("name", "command", "count"):
        money = _said(Text(line.money, "money")) if line.money else ""
        return f"<B>{text}</B> {money}".rstrip()
    if line.kind in ("money", "flow", "holds"):
        sign = "● " if line.kind == "holds" else ""
        return f'<FONT COLOR="#0a6245"><I>{sign}{text}</I></FONT>'
    return text


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'

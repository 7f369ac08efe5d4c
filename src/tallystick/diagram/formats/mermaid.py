"""Mermaid: text that GitHub, GitLab and many editors draw.

A flow chart and not a state diagram, because only a flow chart has `linkStyle`, dashed lines and double lines. Every
state has a class. Lines and fills are of colours that can be seen on white and on black; texts are left to the theme,
so that a page in the dark stays readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tallystick.diagram.sketch import Box, Sketch, Text, Wire

# Words that Mermaid's grammar does not accept as a name (tried with Mermaid 11).
_TAKEN = {"end", "class", "click", "default", "style", "graph", "flowchart", "subgraph", "direction", "href", "call"}
_CLASSES = {
    "state": "fill:none,stroke:#808890",
    "usual": "fill:none,stroke:#2b87c8,stroke-width:3px",
    "lost": "fill:none,stroke:#d0463c,stroke-dasharray:5 3",
    "faint": "fill:none,stroke:#808890,stroke-dasharray:2 3",
    "here": "fill:#d9a520,fill-opacity:0.3,stroke:#d9a520,stroke-width:3px",
    "doubt": "fill:none,stroke:#d0463c,stroke-width:2px,stroke-dasharray:8 3",
    "added": "fill:none,stroke:#1f9d66,stroke-width:3px",
    "removed": "fill:none,stroke:#d0463c,stroke-dasharray:3 3",
    "changed": "fill:none,stroke:#c08a1e,stroke-width:3px,stroke-dasharray:9 3",
    "begin": "fill:#808890,stroke:#808890",
    "legend": "fill:none,stroke:none",
}
_LINKS = {
    "usual": "stroke:#2b87c8,stroke-width:4px",
    "declined": "stroke:#d0463c,stroke-width:2px,stroke-dasharray:6 4",
    "never": "stroke:#808890,stroke-width:1px,stroke-dasharray:2 4",
    "faint": "stroke:#808890,stroke-width:1px,stroke-dasharray:2 4",
    "added": "stroke:#1f9d66,stroke-width:3px",
    "removed": "stroke:#d0463c,stroke-width:2px,stroke-dasharray:3 3",
    "changed": "stroke:#c08a1e,stroke-width:3px,stroke-dasharray:9 3",
}
LEGEND = {
    "usual": "wide blue", "declined": "✕ dashed red", "final": "double line", "asks": "↗", "flow": "a ▸ b, c",
    "holds": "●", "stays": "↻", "never": "dotted", "traffic": "9 · 5.00", "doubt": "?", "here": "filled",
    "added": "wide green", "removed": "dotted red", "changed": "wide dashed",
}  # fmt: skip
"""How the signs of a legend look in formats that draw by words."""


def to_mermaid(sketch: Sketch) -> str:
    """The sketch as a Mermaid flow chart from left to right."""
    ids = _ids(sketch.boxes)
    lines = ["---", f"title: {_escaped(sketch.title)}", "---", "flowchart LR"]
    lines += [f'  begin((" ")):::begin --> {ids[box.name]}' for box in sketch.boxes if box.start]
    styled: dict[str, list[int]] = {}
    grouped: dict[str, list[Box]] = {}
    for box in sketch.boxes:
        grouped.setdefault(box.group, []).append(box)
    for number, (group, boxes) in enumerate(grouped.items()):
        lines += [f'  subgraph group{number}["{_escaped(group)}"]'] if group else []
        lines += [f"  {_node(box, ids[box.name])}" for box in boxes]
        lines += ["  end"] if group else []
    count = sum(box.start for box in sketch.boxes)
    for wire in sketch.wires:
        look = wire.tone if wire.tone in _LINKS else "declined" if wire.declined else "usual" if wire.usual else ""
        for index, source in enumerate(wire.sources):
            lines.append(
                f"  {ids[source]} {_link(wire, wire.label if index == 0 else wire.label[:1])} {ids[wire.target]}"
            )
            styled.setdefault(look, []).append(count)
            count += 1
    legend = [f"{LEGEND[sign.sample]}: {sign.says}" for sign in sketch.legend if sign.sample in LEGEND]
    lines.append(f'  legend["{"<br/>".join(map(_escaped, (*sketch.notes, *legend)))}"]:::legend')
    lines += [f"  classDef {name} {looks}" for name, looks in _CLASSES.items()]
    lines += [f"  linkStyle {','.join(map(str, links))} {_LINKS[look]}" for look, links in styled.items() if look]
    return "\n".join(lines) + "\n"


def _ids(boxes: Iterable[Box]) -> dict[str, str]:
    """A name that Mermaid accepts for each state. Mostly it is the state's own."""
    names = [box.name for box in boxes]
    used = {*names, *_TAKEN, "begin", "legend"}
    ids: dict[str, str] = {}
    for name in names:
        id = name
        while id in _TAKEN | {"begin", "legend"} or (id != name and id in used):
            id += "_"
        used.add(id)
        ids[name] = id
    return ids


def _node(box: Box, id: str) -> str:
    name = " ".join(line.text for line in box.lines if line.kind == "name")
    rest = [_said(line) for line in box.lines if line.kind != "name"]
    label = "<br/>".join([f"<b>{_escaped(name)}</b>", *rest])
    shape = f'["{label}"]' if box.tone == "card" else f'[["{label}"]]' if box.final else f'("{label}")'
    tones = box.tone if box.tone in _CLASSES else "lost" if box.lost else "usual" if box.usual else "state"
    return f"{id}{shape}:::{tones}"


def _link(wire: Wire, lines: Sequence[Text]) -> str:
    label = "<br/>".join(map(_said, lines))
    text = f'|"{label}"|' if label else ""
    arrow = "-.->" if wire.declined else "==>" if wire.usual else "-->"
    return f"{'<' if wire.both else ''}{arrow}{text}"


def _said(line: Text) -> str:
    text = _escaped(line.text)
    text += f" <i>{_escaped(line.money)}</i>" if line.money else ""
    return f"● <i>{text}</i>" if line.kind == "holds" else f"<i>{text}</i>" if line.kind in ("money", "flow") else text


def _escaped(text: str) -> str:
    """Mermaid's own entities, for the characters that end a label or mean something in it."""
    return "".join(f"#{ord(each)};" if each in '#;:<>"`{}&\\|[]()' else each for each in text)

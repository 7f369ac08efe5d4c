"""DOT, for Graphviz, from left to right.

The usual way is bold, a declined call is dashed, and final states have a double line. A transition is written out once,
on the usual way if it is part of it. From other states only its name and money are repeated.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from tallystick.diagram.model import Arrow, Diagram, Node, Step, first_drawn

WIDTH = 34  # characters in a line of a label
_FONT = 'fontname="Helvetica,Arial,sans-serif"'
_HEAD = f"""\
  rankdir=LR; nodesep=0.35; ranksep=0.5; bgcolor="white";
  labelloc=t; labeljust=l; fontsize=13; {_FONT};
  node [shape=box, style="rounded,filled", fillcolor="white", color="#8a8f98", fontsize=11, {_FONT}];
  edge [color="#8a8f98", fontcolor="#333333", fontsize=9, arrowsize=0.7, {_FONT}];
  "·start" [shape=circle, style=filled, fillcolor="#333333", color="#333333", width=0.18, label=""];"""
_LEGEND = (
    "<FONT POINT-SIZE='9' COLOR='#666666'>Bold: the usual way. Dashed: the provider declines. Double line: final. "
    "In a box: what it takes without leaving.</FONT>"
)
_USUAL = 'color="#14618c", penwidth=2.2'
_NEWLINE = "<BR ALIGN='LEFT'/>"
_GAP = f"{_NEWLINE}<FONT POINT-SIZE='4'> </FONT>{_NEWLINE}"
_STRAIGHT = "weight=12"
_DECLINED = 'color="#b3403a", style=dashed'


def to_dot(diagram: Diagram, *, loops: bool = False) -> str:
    """The diagram as DOT. `loops`: a transition that stays is an arrow to the same state, and not a line inside it."""
    whole = first_drawn(diagram)
    title = f"<B>{_html(diagram.name)}</B>  {_html(diagram.summary)}{_NEWLINE}{_LEGEND}{_NEWLINE}"
    starts = [node.name for node in diagram.nodes if node.start]
    return "\n".join([
        f"digraph {_quoted(diagram.name)} {{",
        f"  label=<{title}>;",
        _HEAD,
        *[_node(node, () if loops else node.stays) for node in diagram.nodes],
        *[f'  "·start" -> {_quoted(name)} [{_USUAL}, {_STRAIGHT}];' for name in starts],
        *[_arrow(arrow, whole) for arrow in _arrows(diagram, loops=loops)],
        "}\n",
    ])  # fmt: skip


def _arrows(diagram: Diagram, *, loops: bool) -> Iterator[Arrow]:
    yield from diagram.arrows
    if loops:
        for node in diagram.nodes:
            if node.stays:
                yield Arrow(node.name, node.name, node.stays, declined=False, usual=False)


def _node(node: Node, stays: tuple[Step, ...]) -> str:
    rows = [f'<TR><TD><B><FONT POINT-SIZE="13">{_html(node.name)}</FONT></B></TD></TR>']
    rows.append(f'<TR><TD><FONT COLOR="#555555">{_broken(node.says, 36, "<BR/>")}</FONT></TD></TR>')
    if stays:
        listed = "".join(_stay(step) for step in stays)
        rows.append(f'<HR/><TR><TD ALIGN="LEFT" BALIGN="LEFT"><FONT POINT-SIZE="9">{listed}</FONT></TD></TR>')
    label = f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="1" CELLPADDING="2">{"".join(rows)}</TABLE>>'
    looks = [f"label={label}"]
    if node.usual:
        looks.append(f'{_USUAL}, fillcolor="#eaf3f9"')
    if node.final:
        looks.append("peripheries=2")
    return f"  {_quoted(node.name)} [{', '.join(looks)}];"


def _stay(step: Step) -> str:
    money = f" &#160;{'; '.join(_html(each) for each in step.money)}" if step.money else ""
    return f"<B>{_html(step.title)}</B>{money}{_NEWLINE}"


def _arrow(arrow: Arrow, whole: Mapping[str, tuple[str, str]]) -> str:
    looks = [_DECLINED] if arrow.declined else [_USUAL, _STRAIGHT] if arrow.usual else []
    if arrow.declined:
        names = " or ".join(step.title for step in arrow.steps)
        label = f"<I>{_broken(f'{names} declined', WIDTH)}</I>"
    else:
        here = (arrow.source, arrow.target)
        label = _GAP.join(_text(step, brief=whole.get(step.name, here) != here) for step in arrow.steps)
    looks.append(f"label=<{label}{_GAP}>")
    return f"  {_quoted(arrow.source)} -> {_quoted(arrow.target)} [{', '.join(looks)}];"


def _text(step: Step, *, brief: bool) -> str:
    lines = [f"<B>{_html(step.title)}</B>"]
    if not brief and step.conditions:
        lines.append(f'<FONT COLOR="#666666">{_broken("; ".join(step.conditions), WIDTH)}</FONT>')
    lines += [f'<FONT COLOR="#14618c">{_html(each)}</FONT>' for each in step.money]
    if not brief:
        lines += [f"{call.does} {_html(call.what)}" for call in step.calls]
        lines += [f"then {_html(each)}" for each in step.follow_ups]
    return _NEWLINE.join(lines)


def _broken(text: str, width: int, newline: str = _NEWLINE) -> str:
    return newline.join(_html(line) for line in textwrap.wrap(text, width))


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

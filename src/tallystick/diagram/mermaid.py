"""Mermaid `stateDiagram-v2`: text that GitHub, GitLab and many editors draw.

Mermaid has no HTML tables and no dashed lines here, so it shows less than DOT. Commands, money and follow-ups are on
the arrows, and guards too if asked for. Transitions that stay are lines inside their state. The usual way and declined
states have colours. A transition is written out once, on the usual way if it is part of it. From other states only its
name is repeated.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from tallystick.diagram.model import Arrow, Diagram, Node, Step, first_drawn

WIDTH = 34  # characters in a line of a label
_BREAK = "<br/>"
# Words that Mermaid's grammar does not accept as the name of a state (tried with Mermaid 11).
_TAKEN = {
    "as", "choice", "class", "click", "default", "direction", "end", "fork", "hide", "join", "note", "root", "scale",
    "state", "style", "title",
}  # fmt: skip
_CLASSES = (
    "  classDef usual fill:#eaf3f9,stroke:#14618c,stroke-width:2px,color:#111",
    "  classDef declined fill:#fff,stroke:#b3403a,stroke-dasharray:4 3,color:#111",
)


def to_mermaid(diagram: Diagram, *, guards: bool = False, loops: bool = False, brief: bool = False) -> str:
    """The diagram as Mermaid. `guards`: in words on the arrows. `loops`: a transition that stays is an arrow.

    `brief`: only which command leads where, for a first look.
    """
    ids = _ids(diagram)
    lines = ["stateDiagram-v2", "  direction LR"]
    lines += [f"  [*] --> {ids[node.name]}" for node in diagram.nodes if node.start]
    for node in diagram.nodes:  # all of them before the first arrow: the layout starts from the first one named
        lines += _node(node, ids[node.name], () if loops or brief else node.stays)
    whole = first_drawn(diagram)
    for arrow in diagram.arrows:
        lines.append(_brief(arrow, ids) if brief else _arrow(arrow, ids, whole, guards=guards))
    if loops:
        for node in diagram.nodes:
            loop = Arrow(node.name, node.name, node.stays, declined=False, usual=False)
            lines += [_arrow(loop, ids, whole, guards=guards)] if node.stays else []
    lines += [f"  {ids[node.name]} --> [*]" for node in diagram.nodes if node.final]
    return "\n".join([*lines, *_coloured(diagram, ids)]) + "\n"


def _coloured(diagram: Diagram, ids: Mapping[str, str]) -> list[str]:
    declined = {arrow.target for arrow in diagram.arrows if arrow.declined}
    classes = {
        "usual": [ids[node.name] for node in diagram.nodes if node.usual],
        "declined": [ids[node.name] for node in diagram.nodes if node.name in declined and not node.usual],
    }
    named = [f"  class {','.join(states)} {name}" for name, states in classes.items() if states]
    return [*_CLASSES, *named]


def _ids(diagram: Diagram) -> dict[str, str]:
    """A name that Mermaid accepts for each state. Mostly it is the state's own."""
    ids: dict[str, str] = {}
    used = {node.name for node in diagram.nodes} | _TAKEN
    for node in diagram.nodes:
        id = node.name
        while id in _TAKEN or (id != node.name and id in used):
            id += "_"
        ids[node.name] = id
        used.add(id)
    return ids


def _node(node: Node, id: str, stays: tuple[Step, ...]) -> list[str]:
    lines = [f'  state "{_escaped(node.name)}" as {id}' if id != node.name or stays else f"  {id}"]
    for step in stays:
        money = f" – {', '.join(step.money)}" if step.money else ""
        lines.append(f"  {id} : {_escaped(f'{step.title}{money}')}")
    return lines


def _arrow(arrow: Arrow, ids: Mapping[str, str], whole: Mapping[str, tuple[str, str]], *, guards: bool) -> str:
    if arrow.declined:
        label = textwrap.wrap(f"{' or '.join(step.title for step in arrow.steps)} declined", WIDTH)
    else:
        here = (arrow.source, arrow.target)
        label = [
            line
            for step in arrow.steps
            for line in (_text(step, guards=guards) if whole.get(step.name, here) == here else [step.title])
        ]
    return f"  {ids[arrow.source]} --> {ids[arrow.target]} : {_BREAK.join(_escaped(line) for line in label)}"


def _brief(arrow: Arrow, ids: Mapping[str, str]) -> str:
    commands = dict.fromkeys(step.title.partition(" · ")[0].partition(" (")[0] for step in arrow.steps)
    label = "declined" if arrow.declined else ", ".join(map(_escaped, commands))
    return f"  {ids[arrow.source]} --> {ids[arrow.target]} : {label}"


def _text(step: Step, *, guards: bool) -> list[str]:
    conditions = textwrap.wrap(f"[{'; '.join(step.conditions)}]", WIDTH) if guards and step.conditions else []
    follow_ups = [f"then {each.partition('(')[0].partition(' when ')[0]}" for each in step.follow_ups]
    return [step.title, *conditions, *step.money, *follow_ups]


def _escaped(text: str) -> str:
    """Mermaid's own entities, for the characters that end a label or mean something in it."""
    return "".join(f"#{ord(each)};" if each in '#;:<>"`{}&\\' else each for each in text)

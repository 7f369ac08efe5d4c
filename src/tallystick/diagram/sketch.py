"""A picture before it has a format: boxes, wires between them, and what is written on both.

Everything that a writer of a format needs stands here, and no writer asks the machine again. What a reader can be
spared is gathered: transitions between the same two states are one wire; the same command from several states to one is
one *bus*; suspend and reinstate, which only go and come back, are one wire with two heads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import attrs

MOVES = "▸"  # money goes from an account to another
ASKS = "↗"  # the provider is asked
STAYS = "↻"  # the state stays
DOUBT = "?"
NO = "✕"  # declined
CHANGES = {"added": "+", "removed": "−", "changed": "≠"}  # the tones of what a new version changes, and their signs


@attrs.frozen
class Text:
    """A line of text and what it is: name, count, holds, stays, flow, more, command, money or note."""

    text: str
    kind: str
    money: str = ""  # that the commands of this line move, if the others of their edge move other money


@attrs.frozen
class Box:
    """A state."""

    name: str
    lines: tuple[Text, ...]
    start: bool = False
    final: bool = False
    usual: bool = False
    group: str = ""
    tip: str = ""
    tone: str = ""  # faint, here, doubt, added, removed, changed
    lost: bool = False  # where a declined call leads
    column: int | None = None  # where it stands, if the layout has no choice
    states: tuple[str, ...] = ()  # of a group that is drawn as one box: its states


@attrs.frozen
class Wire:
    """What leads from some states to one. With `both`, it leads back as well."""

    sources: tuple[str, ...]
    target: str
    label: tuple[Text, ...]  # two lines at most
    declined: bool = False
    usual: bool = False
    both: bool = False
    tip: str = ""
    tone: str = ""  # faint, never, taken, doubt, added, removed, changed
    weight: float = 1.0  # how wide it is drawn; 1 is thin
    steps: tuple[tuple[str, str, str], ...] = ()  # (source, transition, target) of all that is gathered in it
    commands: tuple[str, ...] = ()  # that lead there, with ↗ if they ask; the label may have room for some of them
    back: tuple[str, ...] = ()  # with `both`, those that lead back


@attrs.frozen
class Sign:
    """A row of the legend: a sample and what it means."""

    sample: str  # a tone, or usual, declined, final, asks, flow, holds, stays
    says: str


@attrs.frozen
class Word:
    """A word of the picture and what it means."""

    word: str
    says: str
    needed: bool  # or only shown where there is room


@attrs.frozen
class Sketch:
    """All of a picture."""

    name: str  # of the machine
    title: str
    says: str
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    usual: tuple[str, ...]
    legend: tuple[Sign, ...]
    notes: tuple[str, ...] = ()  # sentences below it: as of when, from which books
    words: tuple[Word, ...] = ()  # what its words mean, the most needed first

    @property
    def lines(self) -> list[Text]:
        """All that is written in boxes and on wires."""
        written = [*(box.lines for box in self.boxes), *(wire.label for wire in self.wires)]
        return [line for lines in written for line in lines]


def spoken(name: str) -> str:
    """A name of the page as people say it."""
    return name.replace("_", " ")


def parted(wires: Iterable[Wire], ways: Collection[tuple[str, str]]) -> list[Wire]:
    """The wires; one that stands for more than `ways` is parted, so that nothing looks taken that is not.

    `ways`: (source, target). One between groups of states stays whole.
    """
    found = []
    for wire in wires:
        if not {*wire.sources, wire.target} <= {name for source, _, target in wire.steps for name in (source, target)}:
            found.append(wire)
            continue
        for kept in (True, False):
            steps = tuple(step for step in wire.steps if ((step[0], step[2]) in ways) is kept)
            here = {(source, target) for source, _, target in steps}
            both = wire.both and any((target, source) in here for source, target in here)
            for target in dict.fromkeys(target for _, _, target in steps if not both or target == wire.target):
                sources = tuple(dict.fromkeys(source for source, _, to in steps if to == target))
                label = wire.label
                if wire.both and not both:
                    label = wire.label[:1] if target == wire.target else wire.label[1:]
                found.append(attrs.evolve(wire, sources=sources, target=target, label=label, both=both, steps=steps))
    return found


def listed(words: Iterable[str], width: int) -> str:
    """Words in one line of `width` characters; those that do not fit are counted: "hold, settle, 3 more"."""
    return _in_a_line(words, width, ", ")


def either(words: Iterable[str], width: int) -> str:
    """The same of words of which one is meant: "settle, cancel or close"."""
    return _in_a_line(words, width, " or ")


def _in_a_line(words: Iterable[str], width: int, last: str) -> str:
    every = list(dict.fromkeys(words))
    for shown in range(len(every), 0, -1):
        told = [*every[:shown], *([f"{len(every) - shown} more"] if shown < len(every) else [])]
        text = last.join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
        if len(text) <= width:
            return text
    return f"{every[0][: max(width - 1, 1)]}…" if every else ""

"""What a page is made of, before anybody makes HTML of it: a title, and blocks under each other.

A page is plain values. The same page is served, and written as a file. A cell of a table may be text, `Money`, a whole
number, a moment, a `Link` to another page, a `State`, a `Code` to be typed, or several of these in a tuple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import attrs

from tallystick.money import Money


@attrs.frozen
class Target:
    """Another page of the board, by its name and what it is asked."""

    page: str
    asked: tuple[tuple[str, str], ...] = ()  # by name, sorted; without what is left out


def target(page: str, **asked: object) -> Target:
    """What is None is left out."""
    return Target(page, tuple(sorted((name.strip("_"), str(each)) for name, each in asked.items() if each is not None)))


@attrs.frozen
class Link:
    text: str
    to: Target
    says: str = ""  # where the text alone is too short for who hears it


@attrs.frozen
class State:
    """A state or an outcome: a word with a mark."""

    word: str
    tone: str = ""  # good, wait, bad, end, or none


@attrs.frozen
class Code:
    """A name as machines use it, or a line to type."""

    text: str


One: TypeAlias = "str | int | Money | datetime | Link | State | Code | None"
Cell: TypeAlias = "One | tuple[One, ...]"


@attrs.frozen
class Table:
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    totals: Sequence[Sequence[Cell]] = ()
    empty: str = "Nothing."  # what is said in place of no rows
    more: Link | None = None  # the next rows
    marked: int | None = None  # the row that the page is about
    id: str | None = None  # to link to it


@attrs.frozen
class Tile:
    label: str
    figures: Sequence[Cell]  # the first is large
    note: str = ""
    to: Target | None = None
    tone: str = ""


@attrs.frozen
class Tiles:
    tiles: Sequence[Tile]


@attrs.frozen
class Facts:
    """Names and values, as a list."""

    facts: Sequence[tuple[str, Cell]]
    heading: str = ""


@attrs.frozen
class Heading:
    text: str
    id: str | None = None


@attrs.frozen
class Text:
    """Sentences."""

    text: Cell
    tone: str = ""


@attrs.frozen
class Picture:
    """An SVG that is ours, and what it shows, in words."""

    svg: str
    says: str
    links: Mapping[str, Target] = attrs.field(factory=dict)  # by state


@attrs.frozen
class ToType:
    """Lines for a terminal: what to do, and when."""

    lines: Sequence[tuple[str, str]]  # what it is for, and the line


@attrs.frozen
class Choice:
    """Links of which one is chosen, such as periods."""

    label: str
    links: Sequence[Link]
    chosen: int | None


@attrs.frozen
class Field:
    name: str
    label: str
    value: str = ""
    kind: str = "text"
    options: Sequence[tuple[str, str]] = ()


@attrs.frozen
class Form:
    """What a page can be asked. It is left out where a page is a file."""

    page: str
    fields: Sequence[Field]
    button: str
    hidden: Mapping[str, str] = attrs.field(factory=dict)


Block: TypeAlias = "Table | Tiles | Facts | Heading | Text | Picture | ToType | Choice | Form"


@attrs.frozen
class Page:
    title: str
    lead: str = ""  # what it shows, in a sentence or two
    blocks: Sequence[Block] = ()
    section: str = ""  # the page of the menu that it belongs to
    status: int = 200
    path: Sequence[Link] = ()  # the pages above it
    moved: Target | None = None  # the page to go to in place of it
    again: int | None = None  # seconds after which the browser asks again
    made: datetime | None = None  # when its figures were read; None: now

"""The rooms of the house and the imports between them, read from the code; and their picture, `rooms.svg`.

An arrow says that a room imports from another. An arrow is left out if longer ways of arrows say the same already.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/tallystick"

# Where each room stands in the picture, from the left, and what it does. The floors are those of pyproject.toml.
ROOMS = {
    "cli": (1, "the command line"),
    "testing": (2, "simulations, fuzzing, crashes"),
    "board": (0, "the books in a browser"),
    "fleet": (4, "workers on many machines"),
    "reports": (1, "figures that close"),
    "books": (1, "what an order system calls"),
    "check": (2, "what is wrong with a page"),
    "clutch": (3, "the adapter for Clutch"),
    "engine": (1, "one command, end to end"),
    "diagram": (0, "pictures of a machine"),
    "store": (1, "where everything is kept"),
    "core": (1, "what a command does"),
    "definition": (1, "the language of machines"),
    "provider": (1, "who performs calls"),
    "money": (1, "exact amounts"),
    "moment": (2, "times, in UTC"),
    "errors": (1, "what can go wrong"),
    "masks": (1, "card numbers, masked"),
}
WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 196, 44, 224, 70, 14  # of a box, from box to box, and around all of them


def files() -> dict[str, Path]:
    """Every file of the package by its module's name; an `__init__` by its package's."""
    named = {path: path.relative_to(PACKAGE.parent).with_suffix("").parts for path in PACKAGE.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): path for path, parts in named.items()}


def imports() -> dict[str, set[str]]:
    """What each file imports of ours, wherever it does: at its head, for types only, or inside a function."""
    known = files()
    return {name: set(_imported(path, known)) - {name} for name, path in known.items()}


def _imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.module in known:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in known else node.module


def floors() -> list[list[str]]:
    """The rooms of each floor, the highest first."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[room.strip() for room in layer.split("|")] for layer in layers if layer != "__main__"]


def arrows() -> dict[str, set[str]]:
    """The rooms that each room imports from, less those that it reaches by way of others."""
    direct: dict[str, set[str]] = {room: set() for floor in floors() for room in floor}
    for name, imported in imports().items():
        room = _room(name)
        for below in map(_room, imported):
            if room in direct and below in direct and room != below:
                direct[room].add(below)

    def reached(room: str) -> set[str]:
        return direct[room].union(*(reached(below) for below in direct[room]))

    return {room: below - set().union(*map(reached, below)) for room, below in direct.items()}


def _room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def picture() -> str:
    """The rooms as SVG: the floors from bottom to top, one box a room, and the arrows."""
    rows = {room: row for row, floor in enumerate(floors()) for room in floor}
    missing = sorted(rows.keys() ^ ROOMS.keys())
    if missing:
        raise SystemExit(f"docs/rooms.py does not say where {', '.join(missing)} stands and what it does")
    taken = {(ROOMS[room][0], row): room for room, row in rows.items()}
    across = 2 * MARGIN + WIDTH + ACROSS * max(column for column, _ in taken)
    down = 2 * MARGIN + HEIGHT + DOWN * max(row for _, row in taken)
    lines = [_arrow(room, below, rows, taken) for room, found in arrows().items() for below in sorted(found)]
    boxes = [_box(room, *_corner(room, rows)) for room in rows]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" width="{across}" height="{down}"'
        ' font-family="Helvetica, Arial, sans-serif" text-anchor="middle">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#8a8f98"/></marker></defs>',
        f'<rect width="{across}" height="{down}" fill="#fff"/>',
        '<g fill="none" stroke="#8a8f98" stroke-width="1.5" marker-end="url(#tip)">',
        *lines,
        "</g>",
        *boxes,
        "</svg>\n",
    ])  # fmt: skip


def _corner(room: str, rows: Mapping[str, int]) -> tuple[int, int]:
    return MARGIN + ACROSS * ROOMS[room][0], MARGIN + DOWN * rows[room]


def _box(room: str, x: int, y: int) -> str:
    middle = x + WIDTH // 2
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eaf3f9" stroke="#14618c"/>'
        f'<text x="{middle}" y="{y + 18}" font-size="14" font-weight="bold" fill="#111">{escape(room)}</text>'
        f'<text x="{middle}" y="{y + 34}" font-size="12" fill="#333">{escape(ROOMS[room][1])}</text>'
    )


def _arrow(room: str, below: str, rows: Mapping[str, int], taken: Mapping[tuple[int, int], str]) -> str:
    """A line with at most one bend, which passes through no other room: else one of them needs another column."""
    here, there, middle = ROOMS[room][0], ROOMS[below][0], ROOMS["engine"][0]
    top, bottom = rows[room], rows[below]
    (x1, y1), (x2, y2) = _corner(room, rows), _corner(below, rows)
    if here == there:
        cells = [(here, row) for row in range(top + 1, bottom)]
        path = f"M{x1 + WIDTH // 2},{y1 + HEIGHT} V{y2}"
    else:
        between = range(min(here, there), max(here, there) + 1)
        aside = [(column, top) for column in between if column != here] + [
            (there, row) for row in range(top + 1, bottom)
        ]
        down = [(here, row) for row in range(top + 1, bottom + 1)] + [
            (column, bottom) for column in between if column != there
        ]
        first, then = (aside, down) if here == middle else (down, aside)
        cells = then if any(cell in taken for cell in first) else first
        path = f"M{x1 + (WIDTH if there > here else 0)},{y1 + HEIGHT // 2} H{x2 + WIDTH // 2} V{y2}"
        if cells is down:
            path = f"M{x1 + WIDTH // 2},{y1 + HEIGHT} V{y2 + HEIGHT // 2} H{x2 + (WIDTH if here > there else 0)}"
    for cell in cells:
        if cell in taken:
            raise SystemExit(f"the arrow from {room} to {below} passes through {taken[cell]}: move one of them")
    return f'<path d="{path}"/>'


def words() -> str:
    """The picture in words, for those who cannot see it."""
    found = (f"{room} imports {' and '.join(sorted(below))}" for room, below in arrows().items() if below)
    return f"The rooms, floor by floor: {'; '.join(found)}."

"""What a fuzz run tells people: how far it came, as a table; what went wrong, as a story and a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.testing.walking.world import Found, story

if TYPE_CHECKING:
    from rich.console import RenderableType

PARTS = ("states", "transitions", "replies")
LISTED = 6  # names of what was missed, before the rest is only counted


def coverage_table(plain: dict[str, Any]) -> RenderableType:
    """Machines by what was reached of them, and below each what was not."""
    from rich.console import Group
    from rich.text import Text

    from tallystick.tables import grid

    rows, missed = [], []
    for name, told in plain["machines"].items():
        shares = [f"{told[part]['reached']} of {told[part]['of']}" for part in PARTS]
        rows.append([name, *shares, str(sum(told["refusals"].values()))])
        missed += [f"{name}: no {_missing(told[part]['missing'])}" for part in PARTS if told[part]["missing"]]
    counted = f"{plain['examples']} stories, {plain['steps']:,} steps"
    table = grid("machine", *PARTS, "refusals", rows=rows)
    return Group(table, Text(counted, style="dim"), *(Text(each, style="dim") for each in missed))


def _missing(names: list[str]) -> str:
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def reached(plain: dict[str, Any]) -> Iterator[str]:
    """The same in a line for each machine, and one for what was never taken."""
    for name, told in plain["machines"].items():
        shares = [f"{told[part]['reached']} of {told[part]['of']} {part}" for part in PARTS]
        yield f"{name}: {', '.join(shares)}, in {plain['examples']} stories of {plain['steps']} steps"
        if told["transitions"]["missing"]:
            yield f"  never taken: {', '.join(told['transitions']['missing'])}"


def told_of(found: Found, path: Path, folders: Sequence[str] = ()) -> str:
    """The failure as people read it, and how to see it again; `folders` are those of machines that it needs."""
    steps = "\n".join(f"  {number}  {line}" for number, line in enumerate(story(found.lines), 1))
    where = "".join(f" --machines {folder}" for folder in folders)
    again = f"tallystick run {path} --provider scripted --store memory:{where}"
    return f"{found.code}: {found.why}\n{steps}\nWritten to {path}; to see it again: {again}"

"""What a fuzz run tells people: how far it came, as a table; what went wrong, as a story and a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tallystick.testing.fuzzing.world import Found, story

PARTS = ("states", "transitions", "replies")


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

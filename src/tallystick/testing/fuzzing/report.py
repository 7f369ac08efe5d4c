"""What a fuzz run says: how far it came, and what went wrong, as a story and a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from tallystick.definition.machine import Machines
from tallystick.testing.fuzzing.coverage import Coverage
from tallystick.testing.fuzzing.world import FuzzFailure, sentences

PARTS = ("states", "transitions", "replies")


@attrs.frozen
class FuzzReport:
    """What was reached, and what was found: nothing, or one failure made short."""

    names: tuple[str, ...]
    coverage: Coverage
    found: FuzzFailure | None = None

    def plain(self, machines: Machines) -> dict[str, Any]:
        """As JSON."""
        told = self.coverage.plain(machines, self.names)
        if self.found is not None:
            told["found"] = {"code": self.found.code, "why": self.found.why, "story": sentences(self.found.lines)}
        return told


def reached(plain: dict[str, Any]) -> Iterator[str]:
    """Coverage as JSON has it, in a line for each machine, and one for what was never taken."""
    for name, told in plain["machines"].items():
        shares = [f"{told[part]['reached']} of {told[part]['of']} {part}" for part in PARTS]
        yield f"{name}: {', '.join(shares)}, in {plain['examples']} stories of {plain['steps']} steps"
        if told["transitions"]["missing"]:
            yield f"  never taken: {', '.join(told['transitions']['missing'])}"


def failure_text(found: FuzzFailure, path: Path, folders: Sequence[str] = ()) -> str:
    """The failure as people read it, and how to see it again; `folders` are those of machines that it needs."""
    steps = "\n".join(f"  {number}  {line}" for number, line in enumerate(sentences(found.lines), 1))
    where = "".join(f" --machines {folder}" for folder in folders)
    again = f"tallystick run {path} --provider scripted --store memory:{where}"
    return f"{found.code}: {found.why}\n{steps}\nWritten to {path}; to see it again: {again}"

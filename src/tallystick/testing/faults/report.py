"""What a run of faults counted and found."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable

import attrs

Progress = Callable[[str], object]  # is given a line now and then


@attrs.define
class FaultReport:
    """What came of a run; a run is good if it has no findings."""

    figures: Counter[str] = attrs.field(factory=Counter)  # how many of each, by name
    findings: list[str] = attrs.field(factory=list)  # a sentence each, with the place where it can be seen again

    def find(self, where: str, sentences: Iterable[str]) -> None:
        self.findings += [f"{where}: {sentence}" for sentence in sentences]

    def add(self, other: FaultReport) -> None:
        self.figures += other.figures
        self.findings += other.findings

    def print(self, *, as_json: bool) -> int:
        """Print it, as one line of JSON or as a table; the exit code."""
        used = sum(os.times()[:4])
        if as_json:
            print(json.dumps({**self.figures, "cpu_seconds": round(used, 1), "findings": self.findings}))  # noqa: T201
        else:
            lines = [f"{number:>10,} {name}" for name, number in self.figures.items()]
            print("\n".join([*lines, f"{used:>10.1f} seconds of CPU", *self.findings]))  # noqa: T201
            print("nothing was found" if not self.findings else f"{len(self.findings)} findings")  # noqa: T201
        return 1 if self.findings else 0

"""What a run of a harness counted and found, and how it says so on the command line."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

Progress = Callable[[str], object]
MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it


@attrs.define
class Ran:
    """Figures by their names, and one sentence for each thing that is wrong."""

    figures: Counter[str] = attrs.field(factory=Counter)
    findings: list[str] = attrs.field(factory=list)

    def add(self, other: Ran) -> None:
        self.figures += other.figures
        self.findings += other.findings

    def say(self, *, as_json: bool) -> int:
        """Print it; the exit code."""
        used = sum(os.times()[:4])
        if as_json:
            print(json.dumps({**self.figures, "cpu_seconds": round(used, 1), "findings": self.findings}))  # noqa: T201
        else:
            lines = [f"{number:>10,} {name}" for name, number in self.figures.items()]
            print("\n".join([*lines, f"{used:>10.1f} seconds of CPU", *self.findings]))  # noqa: T201
            print("nothing was found" if not self.findings else f"{len(self.findings)} findings")  # noqa: T201
        return 1 if self.findings else 0


def parser(name: str, about: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"python -m tallystick.testing.{name}", description=about)
    made.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    return made


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def room() -> Iterator[Path]:
    """A folder that is gone afterwards; in memory where there is such a place: what is killed here is no machine."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="tallystick-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def spread(wanted: int | None, of: int) -> list[int]:
    """So many numbers from 1 to `of`, evenly, odd and even ones by turns; all of them for None."""
    if wanted is None or wanted >= of:
        return list(range(1, of + 1))
    return [min(1 + index * of // wanted | 1, of) - index % 2 or 1 for index in range(wanted)]

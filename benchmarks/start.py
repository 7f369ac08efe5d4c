"""How long it takes a new process to import tallystick and to open books.

Bytecode is there already, as after an installation. Each number is what a process needs more than one that does less.
It is the median of 15, measured in turns.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.fixture import make_books
from benchmarks.measure import Line, Setting, Target, alone

PART = "start"


def measured(setting: Setting) -> list[Line]:
    with setting.scratch() as folder:
        path = folder / "books.db"
        make_books(path, 10)
        programs = {
            "nothing": "pass",
            "import": "import tallystick",
            "open": f"import tallystick; tallystick.open({str(path)!r})",
            "new": f"import tallystick; tallystick.open({str(folder / 'new.db')!r})",
        }
        times = _times(programs, 5 if setting.quick else 15, folder / "new.db")
    return [
        _line("import tallystick", "a bare interpreter", times["import"], times["nothing"], Target("at most", 100)),
        _line("open books that exist", "the import alone", times["open"], times["import"], Target("at most", 50)),
        _line("open books that do not exist yet", "the import alone", times["new"], times["import"], None),
    ]


def _times(programs: dict[str, str], rounds: int, new: Path) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(-1, rounds):
        for name, program in programs.items():
            for suffix in ("", "-wal", "-shm"):
                new.with_name(new.name + suffix).unlink(missing_ok=True)
            begin = perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            if turn >= 0:
                times[name].append(perf_counter() - begin)
    return times


def _line(what: str, against: str, more: list[float], less: list[float], target: Target | None) -> Line:
    beyond = [(mine - other) * 1e3 for mine, other in zip(more, less, strict=True)]
    low, _, high = statistics.quantiles(beyond, n=4)
    took, base = statistics.median(more), statistics.median(less)
    best = (min(more) - min(less)) * 1e3
    return Line(PART, what, against, (took - base) * 1e3, low, high, best, took, base, "ms", target)


if __name__ == "__main__":
    alone(measured)

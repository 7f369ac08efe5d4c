"""What a new process costs: to import tallystick, to open books, and the memory it takes.

Bytecode is there already, as after an installation: the first round, which does not count, writes it, whatever this
process was told of writing it. Processor time of the child process counts, so that others on the machine are not in it;
each value is the difference of two processes that took turns.
"""

from __future__ import annotations

import os
import pstats
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from benchmarks.measure import Absent, Result, Run
from benchmarks.profiling import profile_of
from benchmarks.rivals import make_books

CARDS = 200
REDEEMS = """
import tallystick
with tallystick.open({path!r}) as books:
    for i in range({count}):
        books.engine.execute("gift_card", f"card-{{i % {cards}}}", "redeem", {{"amount": "1.00"}}, key=f"{key}/{{i}}")
"""
PROFILED = """
import cProfile, tallystick, time
profile = cProfile.Profile(time.process_time)
profile.runcall(lambda: tallystick.open({path!r}))
profile.dump_stats({found!r})
"""


def opening(run: Run) -> Result:
    with run.scratch() as folder:
        path = str(folder / "books.db")
        make_books(Path(path), 10)
        result = _beyond(run, f"import tallystick; tallystick.open({path!r})", "import tallystick")
        if run.quick or result.met is not False:
            return result
        found = str(folder / "profile")
        for _ in range(2):  # the first writes bytecode
            spawned(PROFILED.format(path=path, found=found), _with_bytecode(folder))
        return attrs.evolve(result, profile=profile_of(pstats.Stats(found)))


def importing(run: Run) -> Result:
    return _beyond(run, "import tallystick", "pass")


def _beyond(run: Run, more: str, less: str) -> Result:
    """Milliseconds that one program takes more than another."""
    with run.scratch() as folder:
        known = _with_bytecode(folder)
        pairs = [(spawned(more, known), spawned(less, known)) for _ in range(run.sized(21, 4, 41))][1:]
    ours, theirs = ([pair[i] for pair in pairs] for i in (0, 1))
    return Result(run.row, [(mine - other) * 1e3 for mine, other in pairs], sorted(ours)[len(ours) // 2],
                  sorted(theirs)[len(theirs) // 2])  # fmt: skip


def _with_bytecode(folder: Path) -> dict[str, str]:
    """The environment of a process that keeps its bytecode in a folder, as if it were installed there."""
    known = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**known, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def memory(run: Run) -> Result:
    count = run.sized(2000, 200)
    with run.scratch() as folder:
        pairs = [(_memory(folder, count), _bare(folder)) for _ in range(run.sized(5, 1))]
    return Result(run.row, [mine - other for mine, other in pairs])


def memory_growth(run: Run) -> Result:
    count = run.sized(2000, 200)
    with run.scratch() as folder:
        values = [_memory(folder, 10 * count) / _memory(folder, count) for _ in range(run.sized(3, 1))]
    return Result(run.row, values)


def _memory(folder: Path, count: int) -> float:
    path = folder / "books.db"
    if not path.exists():
        make_books(path, CARDS)
    return peak(REDEEMS.format(path=str(path), count=count, cards=CARDS, key=os.urandom(4).hex()))


def _bare(folder: Path) -> float:
    return peak(f"import sqlite3; sqlite3.connect({str(folder / 'books.db')!r}).execute('SELECT 1')")


def spawned(program: str, environment: Mapping[str, str] = os.environ) -> float:
    """Run a program in a new interpreter: the processor time that it took, in seconds."""
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", program], environment)
    _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"a child process failed: {program}")
    return used.ru_utime + used.ru_stime


def peak(program: str) -> float:
    """Run a program in a new interpreter: the most memory that it had resident, in MB.

    Raises:
        Absent: the system does not tell.
    """
    if not Path("/proc/self/status").exists():
        raise Absent("peak memory is read from /proc, which is not there")
    asked = f"{program}\nprint(open('/proc/self/status').read())"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    (kilobytes,) = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("VmHWM:")]
    return int(kilobytes) / 1024

"""Report a run: a table for people, JSON for programs, a page for `docs/`."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter

from rich.console import Console
from rich.table import Table

import tallystick
from benchmarks.measure import Line, Setting

Machine = dict[str, str]
PACKAGES = ("attrs", "transitions", "SQLAlchemy", "eventsourcing")


def machine(setting: Setting) -> Machine:
    """Where the run was, and what a commit costs there."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "tallystick": tallystick.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "disk": _disk(_synced(setting)),
        "load": f"{os.getloadavg()[1]:.1f} processes wanted to run, over five minutes, on {os.cpu_count()} cores",
        "run": "quick: few rounds, rough" if setting.quick else "whole",
        "not measured": "; ".join([*setting.skipped, "PostgreSQL, which is not there yet"]),
    }  # fmt: skip


def _disk(seconds: float) -> str:
    told = f"4 KiB written and synced in {seconds * 1e3:.2f} ms (median)"
    return f"{told}: slow, which flatters one command, and hides what it costs" if seconds > 1e-3 else told


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(absent)"


def _synced(setting: Setting) -> float:
    with tempfile.TemporaryFile(dir=setting.folder) as file:
        times = []
        for _ in range(100):
            begin = perf_counter()
            os.write(file.fileno(), bytes(4096))
            os.fsync(file.fileno())
            times.append(perf_counter() - begin)
    return statistics.median(times)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1e6:.2f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def _value(line: Line, number: float) -> str:
    if line.unit == "ms":
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _cells(line: Line) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "no"}[line.met]
    ratio = f"{_value(line, line.value)} {line.unit}"
    if line.target is not None and line.target.kind == "at most" and line.unit == "×":
        ratio += " slower"
    spread = f"{_value(line, line.low)} – {_value(line, line.high)}"
    target = line.target.text(line.unit) if line.target else ""
    best = _value(line, line.best)
    return line.what, line.against, _time(line.ours), _time(line.theirs), ratio, spread, best, target, met


HEAD = ("what", "against", "ours", "theirs", "ratio", "quartiles", "best", "target", "met")


def show(lines: Sequence[Line], where: Machine) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(title="tallystick, as ratios in one run", title_justify="left", header_style="bold")
    for name in HEAD:
        table.add_column(name, justify="left" if name in ("what", "against", "met") else "right")
    part = None
    for line in lines:
        if line.part != part:
            table.add_section()
            table.add_row(f"[bold]{line.part}[/bold]")
            part = line.part
        colour = {None: "", True: "green", False: "red"}[line.met]
        table.add_row(*_cells(line), style=colour)
    console.print(table)
    aimed = [line for line in lines if line.target]
    console.print(f"{sum(bool(line.met) for line in aimed)} of {len(aimed)} targets met")
    console.print("; ".join(f"{name}: {value}" for name, value in where.items()), style="dim")


def plain(lines: Sequence[Line], where: Machine) -> dict[str, object]:
    return {"machine": where, "lines": [{**asdict(line), "met": line.met} for line in lines]}


# The page


def page(lines: Sequence[Line], where: Machine) -> str:
    aimed = [line for line in lines if line.target]
    missed = [line for line in aimed if not line.met]
    parts = [
        "# How fast\n",
        "The figures are those of the date below; the code may have changed since. `python -m benchmarks --write-docs`"
        " on a quiet machine writes this page anew; do not edit it by hand.\n",
        "Each number is a ratio between two ways to do the same work, which took turns in one process. The times beside"
        " them are of one machine on one day; the ratios carry over better. The ratio is the median over the rounds,"
        " with its quartiles; *best* is the ratio of the best round of each.\n",
        "\n".join(f"* {name}: {value}" for name, value in where.items()) + "\n",
        f"## Where we stand: {len(aimed) - len(missed)} of {len(aimed)} targets met\n",
        _missed(missed),
    ]
    for part in dict.fromkeys(line.part for line in lines):
        parts.append(f"## {part[0].upper()}{part[1:]}\n")
        parts.append(_table([line for line in lines if line.part == part]))
    parts.append(_HOW)
    return "\n".join(parts)


def _missed(missed: Sequence[Line]) -> str:
    whose = "The targets are those of the design, its section 9."
    if not missed:
        return f"{whose} All that was measured is met.\n"
    said = [
        f"* **{line.part}: {line.what}**, against {line.against}: {_value(line, line.value)} {line.unit};"
        f" the target is {line.target.text(line.unit) if line.target else ''}."
        for line in missed
    ]
    return f"{whose} Not met:\n\n" + "\n".join(said) + "\n"


def _table(lines: Sequence[Line]) -> str:
    rows = [f"| {' | '.join(HEAD)} |", "|---|---|--:|--:|--:|--:|--:|--:|---|"]
    rows += [f"| {' | '.join(_cells(line))} |" for line in lines]
    notes = dict.fromkeys(f"* {line.what}, against {line.against}: {line.note}" for line in lines if line.note)
    return "\n".join(rows) + "\n" + ("\n" + "\n".join(notes) + "\n" if notes else "")


_HOW = """## How to run it

    pip install -e . -r benchmarks/requirements.txt    # the second only for `others`
    python -m benchmarks                               # all of it, some minutes
    python -m benchmarks --quick decide batch          # some of it, roughly
    python -m benchmarks --json numbers.json --folder /path/on/the/disk/to/measure

Who writes by hand writes the same rows: the rows of `benchmarks/by_hand_sqlite.py` are compared with tallystick's,
column by column, and pass its `verify`, before anything is timed.
"""

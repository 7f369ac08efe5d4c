"""Where a run was: the machine, the versions, what a commit costs there, and who else wanted the processor."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import tempfile
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter, sleep

import tallystick

PACKAGES = (
    "attrs", "transitions", "psycopg", "SQLAlchemy", "eventsourcing", "python-statemachine", "xstate-statemachine",
)  # fmt: skip


def machine(size: str, folder: str | None) -> dict[str, str]:
    """What has to be known to read the figures."""
    cores = os.cpu_count()
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "run": {"quick": "quick, which says only that every row runs", "release": "release"}.get(size, "usual"),
        "processor": f"{_processor()}, {cores} cores",
        "load": f"{os.getloadavg()[1]:.1f} processes wanted to run, over the last five minutes, on {cores} cores",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "disk": f"4 KiB written and synced in {synced(folder) * 1e3:.2f} ms (median)",
        "pause": f"a wait of 0.20 ms, in place of a sync, takes {_pause() * 1e3:.2f} ms here",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "tallystick": tallystick.__version__,
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }  # fmt: skip


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


def synced(folder: str | None) -> float:
    """Seconds for one synced write on the disk that is measured."""
    with tempfile.TemporaryFile(dir=folder) as file:
        times = []
        for _ in range(100):
            begin = perf_counter()
            os.write(file.fileno(), bytes(4096))
            os.fsync(file.fileno())
            times.append(perf_counter() - begin)
    return statistics.median(times)


def _pause() -> float:
    times = []
    for _ in range(100):
        begin = perf_counter()
        sleep(0.0002)
        times.append(perf_counter() - begin)
    return statistics.median(times)

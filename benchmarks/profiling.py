"""Where the time of our own part goes: by what, and the functions that take most of it.

The profiler makes every call of a Python function dearer. So the shares of our own code are too large by some, and
those of the database too small; the order of the functions is right.
"""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

import tallystick

PACKAGE = Path(tallystick.__file__).parent
TOP = 12
GENERATED = "<attrs generated methods tallystick."
BUILT_IN = (  # what a built-in's name contains → what it is counted as
    ("sqlite3", "SQLite"), ("psycopg", "PostgreSQL's driver"), ("json", "JSON"), ("c_make_encoder", "JSON"),
    ("encode_basestring", "JSON"), ("_hashlib", "hashing"), ("sha256", "hashing"), ("lock", "waiting for locks"),
    ("'acquire'", "waiting for locks"), ("sleep", "waiting"), ("poll", "waiting"), ("recv", "waiting"),
    ("select", "waiting"), ("marshal", "importing"), ("builtins.compile", "compiling, mostly for attrs"),
)  # fmt: skip
LIBRARIES = (
    ("/json/", "JSON"), ("/psycopg", "PostgreSQL's driver"), ("/httpcore", "HTTP"), ("/sqlite3/", "SQLite"),
    ("/attr/", "attrs"), ("importlib", "importing"), ("/hashlib", "hashing"), ("/threading", "waiting for locks"),
    ("/selectors", "waiting"), ("/asyncio/", "asyncio"),
)  # fmt: skip


@attrs.frozen
class Profile:
    """Shares of the time, from 0 to 1, the largest first."""

    kinds: Sequence[tuple[str, float]]  # by what: a room of ours, SQLite, JSON, hashing, …
    functions: Sequence[tuple[str, float, int]]  # name, share, calls


def profiled(works: Sequence[Callable[[], object]], clock: Callable[[], float]) -> Profile:
    """The profile of some work, in this thread, by this clock."""
    profiler = cProfile.Profile(clock)
    for work in works:
        profiler.enable()
        work()
        profiler.disable()
    return profile_of(pstats.Stats(profiler))


def profile_of(found: pstats.Stats) -> Profile:
    """What a profiler has found, in this process or in another."""
    stats = found.stats  # type: ignore[attr-defined]
    kinds, functions, total = Counter[str](), Counter[str](), 0.0
    calls = Counter[str]()
    for (file, line, name), (_, count, own, _, _) in stats.items():
        total += own
        kinds[_kind(file, name)] += own
        shown = _shown(file, line, name)
        functions[shown] += own
        calls[shown] += count
    total = total or 1.0
    return Profile(
        [(kind, own / total) for kind, own in kinds.most_common()],
        [(name, own / total, calls[name]) for name, own in functions.most_common(TOP)],
    )


def _kind(file: str, name: str) -> str:
    if file.startswith(GENERATED):
        return f"{file.removeprefix(GENERATED).partition('.')[0]} (ours)"
    if file.startswith(str(PACKAGE)):
        return f"{Path(file).relative_to(PACKAGE).parts[0].removesuffix('.py')} (ours)"
    if "/benchmarks/" in file:
        return "the benchmark"
    table = BUILT_IN if file == "~" else LIBRARIES
    return next((kind for part, kind in table if part in (name if file == "~" else file)), "Python and other libraries")


def _shown(file: str, line: int, name: str) -> str:
    if file == "~":
        return name.strip("<>").replace("built-in method ", "")
    if file.startswith(GENERATED):
        return f"{file.removeprefix(GENERATED).rstrip('>').replace('.', '/', 1)}.{name}, made by attrs"
    path = Path(file)
    where = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name
    return f"{where}: {name}"

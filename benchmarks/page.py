"""docs/explanation/benchmarks.md, as a run writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.measure import Result
from benchmarks.table import cells, counted

HEAD = ("row", "what", "against", "result", "middle half, rounds", "target", "", "ours", "theirs")
TOP = 8  # functions of a profile


def page(results: Sequence[Result], where: Mapping[str, str]) -> str:
    missed = [each for each in results if each.row.limit is not None and each.met is False]
    absent = [each for each in results if each.absent]
    parts = [_INTRODUCTION, "\n".join(f"* {name}: {value}" for name, value in where.items()) + "\n"]
    parts += [f"## {counted(results)}\n", "![Every ratio beside its target](benchmarks.svg)\n"]
    if missed:
        parts.append("Missed; what stands in the way is [below](#what-stands-in-the-way):\n")
        parts.append("".join(f"* `{each.row.name}`: {_said(each)}\n" for each in missed))
    if absent:
        parts.append("Not measured:\n")
        parts.append("".join(f"* `{each.row.name}`: {each.absent}\n" for each in absent))
    for group in dict.fromkeys(each.row.group for each in results):
        parts.append(f"## {group}\n")
        parts.append(_table([each for each in results if each.row.group == group]))
    explained = [each for each in missed if each.profile is not None]
    if explained:
        parts.append("## What stands in the way\n")
        parts.append(_PROFILES)
        parts += [_profile(each) for each in explained]
    parts.append(_HOW)
    return "\n".join(parts)


def _said(each: Result) -> str:
    row = each.row
    return f"{row.what}, against {row.against}: {each.value:.4g} {row.unit}; the target is {row.target}."


def _table(results: Sequence[Result]) -> str:
    lines = [f"| {' | '.join(HEAD)} |", "|---|---|---|--:|--:|--:|---|--:|--:|"]
    for each in results:
        value, spread, target, word, ours, theirs = cells(each)
        row = each.row
        fields = (f"`{row.name}`", row.what, row.against, value, spread, target, word, ours, theirs)
        lines.append(f"| {' | '.join(fields)} |")
    said = [f"* `{each.row.name}`: {each.row.theirs}{f' Here: {each.note}.' if each.note else ''}" for each in results]
    return "\n".join(lines) + "\n\nWhat the other does:\n\n" + "\n".join(said) + "\n"


def _profile(each: Result) -> str:
    assert each.profile is not None
    kinds = ", ".join(f"{name} {share:.0%}" for name, share in each.profile.kinds if share >= 0.02)
    lines = [
        f"### {each.row.name}\n",
        _said(each) + "\n",
        *([f"{each.row.tried}\n"] if each.row.tried else []),
        f"By what: {kinds}.\n",
        "| function | share | calls |",
        "|---|--:|--:|",
    ]
    lines += [f"| `{name}` | {share:.1%} | {calls:,} |" for name, share, calls in each.profile.functions[:TOP]]
    return "\n".join(lines) + "\n"


_INTRODUCTION = """# How fast

Written by `python -m benchmarks --docs`; do not edit it by hand. The figures are those of the date below; the code may
have changed since.

Each number is a ratio between two ways to do the same work, which took turns in one process. The times beside it are of
one machine on one day; the ratio carries over better. It is the median over the rounds, with the middle half of them as
its spread. Work that never waits is measured in processor time. `control` is the same code on both sides: what it shows
beside 1 is noise. The targets stand in `benchmarks/rows.yaml`.
"""

_PROFILES = """The profiler makes every call of a Python function dearer: the shares of our own code are too large by
some, those of the database too small. A file names a room of ours; the rest is Python's.
"""

_HOW = """## How to run it

<!-- not run: it takes minutes; CI runs `--quick` -->
```sh
pip install -e '.[bench]'
python -m benchmarks                               # all of it, some minutes
python -m benchmarks --only redeem batch           # the rows whose names begin so; --list says which there are
python -m benchmarks --check                       # exit 1 where a target is missed
python -m benchmarks --quick                       # only: does every row run?
python -m benchmarks --release                     # larger books, longer rounds
python -m benchmarks --json figures.json --svg figures.svg --folder /path/on/the/disk/to/measure
```

Who writes by hand writes the same rows: those of `benchmarks/opponents/by_hand.py` are compared with tallystick's,
column by column, and pass its `verify`, before anything is timed and again in the end.
"""

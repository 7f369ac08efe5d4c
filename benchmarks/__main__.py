"""Measure how fast it is, as ratios in one run: `python -m benchmarks`.

Everything is compared with what a good engineer would write by hand for the same work. Both take turns in one process
and within the same minute, and the result is a ratio. Absolute times on a shared machine say little.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import machine, measure, page, table
from benchmarks.rows import Row, rows

DOCS = Path(__file__).parents[1] / "docs/explanation"


def main() -> int:
    every = rows()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="rows whose name begins so; see --list")
    parser.add_argument("--list", action="store_true", help="say which rows there are, and measure nothing")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed or was not measured")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw the plot there")
    parser.add_argument("--docs", action="store_true", help="write the page in docs/ and its plot; takes a whole run")
    parser.add_argument("--folder", metavar="DIR", help="on the disk that is measured")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", dest="size", const="quick", help="does every row run? a minute")
    size.add_argument("--release", action="store_const", dest="size", const="release", help="larger, and longer")
    given = parser.parse_args()
    chosen = [row for row in every if not given.only or row.name.startswith(tuple(given.only))]
    unknown = [name for name in given.only if not any(row.name.startswith(name) for row in every)]
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; --list says which there are")
    if given.docs and (given.only or given.size == "quick"):
        parser.error("--docs takes a whole run: no --only, no --quick")
    console = Console(width=None if sys.stdout.isatty() else 140)
    if given.list:
        table.listed(console, chosen)
        return 0
    if given.svg or given.docs:
        from benchmarks import plot  # it takes matplotlib; say so before the run, not after it
    results = _measured(chosen, given.size or "usual", given.folder)
    where = machine.machine(given.size or "usual", given.folder)
    table.shown(console, results, where)
    if given.json:
        given.json.write_text(json.dumps(table.plain(results, where), indent=1) + "\n", encoding="utf-8")
    if given.svg:
        plot.drawn(results, where, given.svg)
    if given.docs:
        plot.drawn(results, where, DOCS / "benchmarks.svg")
        (DOCS / "benchmarks.md").write_text(page.page(results, where), encoding="utf-8")
    for each in results:
        if each.absent:
            print(f"{each.row.name} was not measured: {each.absent}", file=sys.stderr)
    failed = any(each.failed for each in results)
    return 1 if failed else _checked(results) if given.check else 0


def _measured(chosen: list[Row], size: str, folder: str | None) -> list[measure.Result]:
    results = []
    with Console(stderr=True).status("") as status:
        for number, row in enumerate(chosen, 1):
            status.update(f"{number} of {len(chosen)}: {row.name}, {row.what}")
            results.append(measure.measured(row, size, folder))
    return results


def _checked(results: list[measure.Result]) -> int:
    """1 if a row with a target misses it or was not measured. Each is named."""
    failed = [each for each in results if each.row.limit is not None and not each.met]
    for each in failed:
        found = f"was not measured: {each.absent}" if each.absent else f"{each.value:.2f} {each.row.unit}"
        print(f"{each.row.name}: {found}; the target is {each.row.target} {each.row.unit}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

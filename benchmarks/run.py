"""Run all benchmarks: `python -m benchmarks [--quick] [--json FILE] [--write-docs]`, or `python benchmarks/run.py`.

Everything is compared with what a good engineer would write by hand. Both take turns in one process, within the same
minute, and the result is a ratio. Absolute times on a shared machine say little.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

MODULES = ("decide", "durable", "batch", "together", "hot", "start", "others")
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> int:
    from benchmarks import measure, report

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("only", nargs="*", metavar="MODULE", help=f"some of: {', '.join(MODULES)}")
    parser.add_argument("--quick", action="store_true", help="few rounds: seconds, and rough")
    parser.add_argument("--folder", metavar="DIR", help="where the databases are made: the disk that is measured")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the numbers there")
    parser.add_argument("--write-docs", action="store_true", help=f"write docs/{PAGE.name} from this run")
    given = parser.parse_args()
    unknown = set(given.only) - set(MODULES)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    if given.write_docs and (given.only or given.quick):
        parser.error("--write-docs takes a whole run: no --quick, no MODULE")
    setting = measure.Setting(quick=given.quick, folder=given.folder)
    lines: list[measure.Line] = []
    for name in given.only or MODULES:
        print(f"{name} …", file=sys.stderr, flush=True)
        lines += import_module(f"benchmarks.{name}").measured(setting)
    machine = report.machine(setting)
    report.show(lines, machine)
    if given.json:
        given.json.write_text(json.dumps(report.plain(lines, machine), indent=1) + "\n", encoding="utf-8")
    if given.write_docs:
        PAGE.write_text(report.page(lines, machine), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])  # started as a file: the folder above is where `benchmarks` is
    sys.exit(main())

"""Gather the evidence: run every proof, print what each counted, and write docs/explanation/evidence.md.

    python docs/evidence.py                      # as on every CI run; exit code 1 if anything is found
    python docs/evidence.py --release --write    # as before a release: hours; the page is made of it
    python docs/evidence.py --only crash torn

Each run is a command of its own that prints its figures as one line of JSON and ends with 1 if it found anything.
This page adds nothing to them: what stands in docs/explanation/evidence.md was printed by the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/explanation/evidence.md"
CORES = os.cpu_count() or 1


@attrs.frozen
class Run:
    name: str
    title: str
    says: str  # what is done, in a sentence
    ci: str  # the command on every CI run, after `python`; empty: not then
    release: str
    alone: bool = False  # it takes all cores by itself


@attrs.frozen
class Done:
    run: Run
    command: str
    figures: Mapping[str, Any]
    found: bool
    seconds: float
    said: str  # what it wrote beside the figures: its findings
    survivors: tuple[str, ...] = ()  # mutants that nothing has found


RUNS = [
    Run("check", "Machines, checked and proved",
        "Our machines pass structure, model and proof, with no exception listed. `value` is what goes from one entity "
        "to another; within one nothing has to be proved, as a move takes what it gives.",
        "", "-m tallystick check --prove --depth 3 --json"),  # the tests have done it, with depth 2
    Run("pages", "Faults planted in the pages",
        "A small change to a page of ours each; the level that should find it does.",
        "", "-m pytest -m 'not mutation' tests/check/test_planted.py tests/check/structure -k planted"),
    Run("page-mutants", "Mutants of our pages",
        "One value of a page changed by rule: a bound by one cent, a source, a target, an amount, a fact, a call, a "
        "follow-up, a refusal, and guards with what is refused alike. The reader, the page's examples, the structure, "
        "a few fuzzed stories or the model find at least 95 of 100; `--quick` leaves out the last two. "
        "`tests/mutation/same_mutants.py` has those that change nothing, each with its reason.",
        "", "tests/mutation/pages.py --json", alone=True),
    Run("python", "Faults planted in the core's Python",
        "A small change to the core each; the core's own tests fail on it.",
        "", "-m pytest -m mutation -n auto tests/mutation", alone=True),
    Run("mutants", "Mutants of the core's Python",
        "One node of the core's syntax tree changed at random; the core's own tests fail on at least 95 of 100.",
        "", "tests/mutation/sample.py --mutants 300 --jobs 2 --json", alone=True),
    Run("crash", "Killed",
        "A process is killed before and after statements of the database and calls to the provider, and again while it "
        "recovers; run again, the story ends in the books of a run that nobody disturbed.",
        "-m tallystick.testing.faults crash --points 220 --json",
        "-m tallystick.testing.faults crash --points all --json"),
    Run("verbs", "Said again",
        "Every verb meets a fault at each of its contacts with the provider, and is said again, with the same key or a "
        "new one, at once or after recovery: what it answers is so then, and both halves agree.",
        "-m tallystick.testing.faults verbs --json",
        "-m tallystick.testing.faults verbs --json"),
    Run("torn", "Power lost",
        "The write-ahead log is cut or damaged at and around its frames; what opens is what was committed before.",
        "-m tallystick.testing.faults torn-log --tears 520 --json",
        "-m tallystick.testing.faults torn-log --tears 20000 --json"),
    Run("failing", "A database that fails",
        "The n-th call to the database fails, for n = 1, 2, 3 … until the operation succeeds.",
        "-m tallystick.testing.faults failing-database --calls 300 --json",
        "-m tallystick.testing.faults failing-database --calls all --json"),
    Run("postgres", "Cut off from PostgreSQL",
        "The same stories on a PostgreSQL. A line is cut before the server has what was said, or after it has done it; "
        "a backend is ended or killed; a client is killed, also where it asks the provider. Run again, the story ends "
        "in the books of a run on SQLite.",
        "-m tallystick.testing.faults postgres --trips 70 --json",
        "-m tallystick.testing.faults postgres --trips 2000 --json"),
    Run("failover", "Failed over",
        "Three PostgreSQL under Patroni. Four writers work while leaders are switched over, killed, and hang until "
        "another one leads. What was acknowledged is there, once.",
        "", "examples/high_availability/drill.py --json", alone=True),
    Run("recoverers", "Recovered by two, and run while the clock jumps",
        "Two processes recover the same books at once; and the clock is set forward and back by up to ten years.",
        "-m tallystick.testing.faults recovery-races --races 40 --jumps 2 --json",
        "-m tallystick.testing.faults recovery-races --races all --jumps 20 --json"),
    Run("simulate", "Simulated",
        "The whole system under one clock from one seed, with faults; then everything in doubt has to end.",
        "-m tallystick simulate --seeds 1000 --ops 950 --json",
        "-m tallystick simulate --seeds 20000 --ops 1000 --json", alone=True),
]  # fmt: skip


def carried_out(run: Run, command: str) -> Done:
    """Run it, from the root of the project; findings and progress are kept, not shown."""
    began = time.monotonic()
    words = [sys.executable, *shlex.split(command)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    figures = _counted_tests(done.stdout) if "pytest" in command else _figures(done.stdout)
    failed = done.returncode != 0 or not figures
    return Done(run, command, figures, failed, seconds, done.stdout + done.stderr, _survivors(done.stdout))


def _survivors(printed: str) -> tuple[str, ...]:
    try:
        told = json.loads(printed)
    except ValueError:
        return ()
    return tuple(told.get("survivors", ())) if isinstance(told, dict) else ()


def _figures(printed: str) -> dict[str, Any]:
    """The numbers in a run's JSON; those of a part of it carry its name."""
    try:
        told = json.loads(printed)
    except ValueError:
        return {}
    flat: dict[str, Any] = {}
    for name, value in told.get("figures", told).items():
        if isinstance(value, dict):
            flat |= {f"{name}: {each}": number for each, number in value.items() if _counts(number)}
        elif _counts(value):
            flat[name] = value
    return flat


def _counts(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _counted_tests(printed: str) -> dict[str, int]:
    closing = re.findall(r"(\d+) (passed|failed|error)", printed)
    return {f"faults {'found' if word == 'passed' else 'missed'}": int(number) for number, word in closing}


def told(done: Done) -> str:
    lines = [f"== {done.run.title} ({done.seconds:.0f} s): {'FOUND SOMETHING' if done.found else 'nothing was found'}"]
    lines += [f"   {_number(value):>16}  {name}" for name, value in done.figures.items()]
    return "\n".join([*lines, *([done.said] if done.found else [])])


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def page(runs: list[Done]) -> str:
    """The page with a section for each run; a section of a run that was not run now stays as it was."""
    sections = _kept() | {done.run.title: _section(done) for done in runs}
    in_order = [f"## {run.title}\n\n{sections[run.title]}" for run in RUNS if run.title in sections]
    head = (
        "# Evidence\n\nWhat was tried to break tallystick, and how much of it. Every figure was printed by the run "
        "itself; `python docs/evidence.py --write` writes this page anew, with `--release` at the size of a release.\n"
    )
    return "\n".join([head, *in_order])


def _kept() -> dict[str, str]:
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    parts = (part.partition("\n\n") for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    return {title: section.rstrip("\n") + "\n" for title, _, section in parts}


def _section(done: Done) -> str:
    rows = "\n".join(f"| {name} | {_number(value)} |" for name, value in done.figures.items())
    when = f"{date.today()}, CPython {platform.python_version()}, {CORES} cores, {done.seconds:.0f} s"
    ended = "**Something was found.**" if done.found else "Nothing was found." if not done.survivors else ""
    command = f"<!-- run by docs/evidence.py -->\n```sh\npython {done.command}\n```"
    left = "".join(
        ["\nNothing found these:\n\n", *(f"* `{each}`\n" for each in done.survivors)] if done.survivors else []
    )
    return f"{f'{done.run.says} {ended}'.rstrip()}\n\n{command}\n\n{when}:\n\n| counted | |\n|---|--:|\n{rows}\n{left}"


def main() -> int:
    options = argparse.ArgumentParser(description="Run every proof and print what each counted.")
    options.add_argument("--release", action="store_true", help="at the size of a release: hours")
    options.add_argument("--write", action="store_true", help="write docs/explanation/evidence.md")
    options.add_argument("--only", nargs="+", choices=[run.name for run in RUNS], default=[])
    given = options.parse_args()
    wanted = [(run, run.release if given.release or (given.only and not run.ci) else run.ci) for run in RUNS
              if not given.only or run.name in given.only]  # fmt: skip
    wanted = [(run, command) for run, command in wanted if command]
    results: dict[str, Done] = {}
    with ThreadPoolExecutor(CORES) as side_by_side:
        beside = [pair for pair in wanted if not pair[0].alone]
        for done in side_by_side.map(lambda pair: carried_out(*pair), beside):
            results[done.run.name] = done
            print(told(done), flush=True)
    for run, command in wanted:
        if run.alone:
            results[run.name] = carried_out(run, command)
            print(told(results[run.name]), flush=True)
    in_order = [results[run.name] for run, _ in wanted]
    if given.write:
        PAGE.write_text(page(in_order), encoding="utf-8")
    return 1 if any(done.found for done in in_order) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Mutants of our own pages, and what finds each: the reader, the examples, the checks, or a few fuzzed stories.

    python tests/mutation/pages.py                           # all of them, on all cores: before a release
    python tests/mutation/pages.py --sample 60 --seed 1      # some of them
    python tests/mutation/pages.py --machines payment

Each mutant (`page_mutants`) is asked by the cheapest first, until one finds something. What none of them finds is printed:
an example that is missing, or a change that changes nothing, which then stands in SAME with its reason.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random

from page_mutants import Mutant, mutants
from same_mutants import SAME

from tallystick.check.example_steps import Unlike
from tallystick.check.examples import lived
from tallystick.check.model.explore import explore
from tallystick.check.structure.inspect import inspect
from tallystick.definition import reader
from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machines
from tallystick.errors import MachineError
from tallystick.testing.fuzzing.fuzzer import fuzz

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "machines").glob("*.yaml"))}
MACHINES = [name.removesuffix(".yaml") for name in PAGES]
LEAST = 0.95  # that have to be found
STORIES = 30  # that are fuzzed where nothing else finds it
SURVIVED, UNCHANGED = "nothing", "no change"


def by_examples(machines: Machines, name: str) -> bool:
    """Whether an example comes out otherwise: one of its own page, or one of the others, which live with it."""
    for machine in sorted(machines.values(), key=lambda each: each.name != name):
        for example in machine.examples.values():
            try:
                lived(machines, machine, example)
            except Unlike:
                return True
    return False


def _structure(machines: Machines, name: str) -> bool:
    return bool(inspect(machines, only=[name])[0])


def _model(machines: Machines, name: str) -> bool:
    return not machines[name].reads_parts and bool(explore(machines, only=[name])[0])


def _fuzzed(machines: Machines, name: str) -> bool:
    return fuzz(machines, name, examples=STORIES).found is not None


QUICK: Mapping[str, Callable[[Machines, str], bool]] = {"examples": by_examples, "structure": _structure}
SLOW: Mapping[str, Callable[[Machines, str], bool]] = {"fuzz": _fuzzed, "model": _model}


def found_by(mutant: Mutant, *, quick: bool = False) -> str:
    """Who finds a mutant. `quick`: without model and fuzz."""
    try:
        machines = reader.read({**PAGES, f"{mutant.machine}.yaml": mutant.text})
    except MachineError:
        return "reader"
    if digest_of(machines[mutant.machine]) == digest_of(_ours()[mutant.machine]):
        return UNCHANGED  # it is for pictures or for `check`, or the reader had cleared it up
    for name, finds in {**QUICK, **({} if quick else SLOW)}.items():
        if finds(machines, mutant.machine):
            return name
    return SURVIVED


_OURS: list[Machines] = []


def _ours() -> Machines:
    if not _OURS:
        _OURS.append(reader.read(PAGES))
    return _OURS[0]


def drawn(machines: list[str], count: int | None, seed: int) -> list[Mutant]:
    """The mutants of these pages that are not known to be no faults; some of them, the same for the same seed."""
    everything = [each for name in machines for each in mutants(PAGES[f"{name}.yaml"]) if str(each) not in SAME]
    return everything if count is None else Random(seed).sample(everything, min(count, len(everything)))


def figures(mutants: list[Mutant], finders: list[str]) -> dict[str, int | float]:
    """How many were found, and by whom. A change that changes nothing is no mutant; nor is one, of those that are
    refused alike, that the reader cannot read: it is no page."""
    counted = Counter(
        who
        for each, who in zip(mutants, finders, strict=True)
        if who != UNCHANGED and not (each.alike and who == "reader")
    )
    total, survived = counted.total(), counted[SURVIVED]
    names = ["reader", *QUICK, *SLOW]
    return {
        "mutants": total, "found": total - survived, "found of a hundred": round(100 * (total - survived) / total, 1),
        **{f"found by the {name}": counted[name] for name in names}, "survived": survived, "the same": len(SAME),
    }  # fmt: skip


def _asked(chosen: list[Mutant], jobs: int, *, quick: bool) -> Iterator[str]:
    with ProcessPoolExecutor(jobs) as pool:
        for number, who in enumerate(pool.map(partial(found_by, quick=quick), chosen, chunksize=4)):
            if who == SURVIVED:
                print(f"\r{chosen[number]}", file=sys.stderr)
            print(f"\r{number + 1} of {len(chosen)}", end="", file=sys.stderr)
            yield who


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machines", nargs="+", default=MACHINES)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="without model and fuzz")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chosen = drawn(given.machines, given.sample, given.seed)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TALLYSTICK_CACHE"] = cache
        finders = list(_asked(chosen, given.jobs, quick=given.quick))
    counted = figures(chosen, finders)
    survived = [str(each) for each, who in zip(chosen, finders, strict=True) if who == SURVIVED]
    print(json.dumps({**counted, "survivors": survived}) if given.json else f"\n{counted}")
    return 0 if counted["found"] >= LEAST * counted["mutants"] else 1


if __name__ == "__main__":
    raise SystemExit(main())

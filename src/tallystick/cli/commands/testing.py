"""Commands that test: `simulate` runs the whole system with faults, `fuzz` writes stories about a machine.

Progress goes to stderr, the result to stdout.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tallystick.cli.options import json_option, machines_option
from tallystick.cli.pages import with_pages_beside
from tallystick.cli.printing import print_answer, print_json, write
from tallystick.errors import Invalid, nearest

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tallystick.definition.machine import Machines
    from tallystick.testing.fuzzing.coverage import Coverage
    from tallystick.testing.simulation.report import SimulationReport


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed. The same seed gives the same journal.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many, from the first on.")
@click.option("--ops", type=click.IntRange(1), default=1000, show_default=True, help="Operations for each seed.")
@click.option("--jobs", type=click.IntRange(1), default=None, help="Processes at once.  [default: one for each core]")
@click.option(
    "--world",
    type=click.Choice(["books", "clutch", "local"]),
    default=None,
    help="The provider: a light one, all of Clutch, or none.  [default: the seeds take turns]",
)
@json_option
def simulate(seed: int, seeds: int, ops: int, jobs: int | None, world: str | None, json_out: bool) -> None:
    """Simulate the whole system with everything that can go wrong, and judge it.

    Answers are lost, processes die at any step, others come in between, clocks jump, other channels spend. Then the
    faults stop, and everything in doubt has to end. If a seed is wrong, the exit code is 1 and the answer says how to
    see it again.
    """
    from tallystick.definition import reader
    from tallystick.testing.simulation.simulate import simulate_many

    begun = time.monotonic()

    def progress(so_far: SimulationReport) -> None:
        done, spent = so_far.operations.total(), time.monotonic() - begun
        text = f"{so_far.seeds.total()} of {seeds} seeds, {done:,} operations, {done / max(spent, 0.01):,.0f} a second"
        print(f"\r{text}, {len(so_far.failures)} wrong", end="", file=sys.stderr, flush=True)

    figures = simulate_many(seed, seeds, ops, jobs=jobs or os.cpu_count() or 1, world=world or "", progress=progress)
    sys.stderr.write("\n")
    machines = reader.load(reader.packaged_folder())
    if json_out:
        print_json(figures.plain(machines))
    else:
        write("".join(f"{line}\n" for line in figures.lines(machines)))
    if figures.failures:
        sys.exit(1)


@click.command()
@click.argument("machine")
@click.option("--examples", type=click.IntRange(1), default=100, show_default=True, help="How many stories.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed: the same stories.")
@click.option("--out", type=click.Path(file_okay=False, exists=True), default=".", show_default=True,
              help="The folder for the file of a failure.")  # fmt: skip
@machines_option
@json_option
@click.pass_context
def fuzz(
    ctx: click.Context, machine: str, examples: int, seed: int, out: str, folders: tuple[str, ...], json_out: bool
) -> None:
    """Write stories about MACHINE, and see that nothing goes wrong in them.

    MACHINE is the name of a machine, or the file of a page, which is read with the pages beside it. The provider
    answers, declines, is not there, or loses answers. Callers die. Keys are used again. A failure is shortened, shown,
    and written as a file for `tallystick run FILE --provider scripted --store memory:`. The exit code is then 1.
    """
    from tallystick.cli import as_tables
    from tallystick.testing.fuzzing import fuzzer
    from tallystick.testing.fuzzing.report import failure_text

    machines, name, needed = _machine_named(machine, folders)

    def progress(coverage: Coverage) -> None:
        fired = coverage.plain(machines, [name])["machines"][name]["transitions"]
        text = f"{coverage.examples} of {examples} stories, {coverage.steps:,} steps"
        print(f"\r{text}, {fired['reached']} of {fired['of']} transitions", end="", file=sys.stderr, flush=True)

    report = fuzzer.fuzz(machines, name, examples=examples, seed=seed, progress=progress)
    sys.stderr.write("\n")
    plain = report.plain(machines)
    print_answer(json_out, plain, lambda: [coverage_table(plain)])
    if report.found is not None:
        path = Path(out) / f"{name}.fuzz.jsonl"
        fuzzer.write(report.found.lines, path)
        as_tables.console(stderr=True).print(failure_text(report.found, path, needed), highlight=False, soft_wrap=True)
        ctx.exit(1)


def _machine_named(machine: str, folders: tuple[str, ...]) -> tuple[Machines, str, list[str]]:
    """All machines, the name of the one that a file or a name means, and the folders needed. Raises Invalid."""
    from tallystick.definition import reader

    path = Path(machine)
    if path.is_file():
        machines, needed = with_pages_beside([machine], folders)
        name = next(each.name for each in machines.values() if Path(each.file).resolve() == path.resolve())
        return machines, name, needed
    machines = reader.load(*folders)
    if machine not in machines:
        raise Invalid(f"{machine!r} is neither a file nor a machine.{nearest(machine, list(machines))}")
    return machines, machine, [*folders]


LISTED = 6  # so many names of what was missed; the rest is only counted


def coverage_table(plain: dict[str, Any]) -> RenderableType:
    """How much of each machine was reached, and below that what was not."""
    from rich.console import Group
    from rich.text import Text

    from tallystick.cli.as_tables import grid
    from tallystick.testing.fuzzing.report import PARTS

    rows, missed = [], []
    for name, covered in plain["machines"].items():
        shares = [f"{covered[part]['reached']} of {covered[part]['of']}" for part in PARTS]
        rows.append([name, *shares, str(sum(covered["refusals"].values()))])
        missed += [f"{name}: no {_missing(covered[part]['missing'])}" for part in PARTS if covered[part]["missing"]]
    counted = f"{plain['examples']} stories, {plain['steps']:,} steps"
    table = grid("machine", *PARTS, "refusals", rows=rows)
    return Group(table, Text(counted, style="dim"), *(Text(each, style="dim") for each in missed))


def _missing(names: list[str]) -> str:
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more

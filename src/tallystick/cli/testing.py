"""Commands that prove things: `simulate` and `fuzz`. `cli` adds them to the command line.

Each is a click command of its own; what is heavy is imported inside. Progress goes to stderr, what is found to stdout.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tallystick.cli.options import json_option, machines_option
from tallystick.cli.printing import print_answer, print_json, write
from tallystick.errors import Invalid, MachineError, nearest

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tallystick.definition.machine import Machines
    from tallystick.testing.fuzzing.coverage import Coverage
    from tallystick.testing.simulation.report import SimulationReport


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed; the same seed gives the same journal.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many, from that one on.")
@click.option("--ops", type=click.IntRange(1), default=1000, show_default=True, help="Operations of each, on average.")
@click.option("--jobs", type=click.IntRange(1), default=None, help="Processes at once; the cores, if not said.")
@click.option(
    "--world",
    type=click.Choice(["books", "clutch", "local"]),
    default=None,
    help="The provider's half: light books, all of Clutch, or nobody; if not said, seeds take turns.",
)
@json_option
def simulate(seed: int, seeds: int, ops: int, jobs: int | None, world: str | None, json_out: bool) -> None:
    """Run the whole system, simulated, with everything that goes wrong; judge it.

    Answers are lost, processes die at any step, others come in between, clocks jump, other channels spend. Then the
    weather clears and everything in doubt has to end. Exits with 1 if a seed is wrong, and says how to see it again.
    """
    from tallystick.definition import reader
    from tallystick.testing.simulation.simulate import simulate_many

    begun = time.monotonic()

    def progress(so_far: SimulationReport) -> None:
        done, spent = so_far.operations.total(), time.monotonic() - begun
        text = f"{so_far.seeds.total()} of {seeds} seeds, {done:,} operations, {done / max(spent, 0.01):,.0f} a second"
        sys.stderr.write(f"\r{text}, {len(so_far.failures)} wrong")
        sys.stderr.flush()

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
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same stories.")
@click.option("--out", type=click.Path(file_okay=False, exists=True), default=".", show_default=True,
              help="Where the file of a failure is written.")  # fmt: skip
@machines_option
@json_option
@click.pass_context
def fuzz(
    ctx: click.Context, machine: str, examples: int, seed: int, out: str, folders: tuple[str, ...], json_out: bool
) -> None:
    """Write stories about MACHINE and see that nothing goes wrong in them.

    MACHINE is a page (a file, read with those beside it) or the name of one. The provider answers, declines, is not
    there, loses answers; whoever asked dies; keys are said again. A failure is made short, told, and written as a file
    for `tallystick run FILE --provider scripted --store memory:`. The exit code is 1 then.
    """
    from tallystick.cli import as_tables
    from tallystick.testing.fuzzing import fuzzer
    from tallystick.testing.fuzzing.report import failure_text

    machines, name, needed = _named(machine, folders)

    def progress(coverage: Coverage) -> None:
        told = coverage.plain(machines, [name])["machines"][name]["transitions"]
        sys.stderr.write(f"\r{coverage.examples} of {examples} stories, {coverage.steps:,} steps, "
                         f"{told['reached']} of {told['of']} transitions")  # fmt: skip
        sys.stderr.flush()

    report = fuzzer.fuzz(machines, name, examples=examples, seed=seed, progress=progress)
    sys.stderr.write("\n")
    plain = report.plain(machines)
    print_answer(json_out, plain, lambda: [coverage_table(plain)])
    if report.found is not None:
        path = Path(out) / f"{name}.fuzz.jsonl"
        fuzzer.write(report.found.lines, path)
        as_tables.console(stderr=True).print(failure_text(report.found, path, needed), highlight=False, soft_wrap=True)
        ctx.exit(1)


def _named(machine: str, folders: tuple[str, ...]) -> tuple[Machines, str, list[str]]:
    """All machines, the one that is meant, by its file or its name, and whose pages are needed. Raises Invalid."""
    from tallystick.definition import reader

    path = Path(machine)
    if path.is_file():
        machines, needed = _with_those_beside(path, folders)
        meant = next(each.name for each in machines.values() if Path(each.file).resolve() == path.resolve())
        return machines, meant, needed
    machines = reader.load(*folders)
    if machine not in machines:
        raise Invalid(f"{machine!r} is neither a file nor a machine.{nearest(machine, list(machines))}")
    return machines, machine, [*folders]


def _with_those_beside(path: Path, folders: tuple[str, ...]) -> tuple[Machines, list[str]]:
    """A page with the pages in its folder, which it may link to; alone, if those are at fault or no pages."""
    from tallystick.definition import reader

    beside = [*folders, str(path.parent), str(path)]
    try:
        return reader.load(*beside), [*folders, str(path.parent)]
    except MachineError as error:
        if any(Path(fault.file).resolve() == path.resolve() for fault in error.faults):
            raise
    return reader.load(*folders, path), [*folders, str(path)]


def coverage_table(plain: dict[str, Any]) -> RenderableType:
    """Machines by what was reached of them, and below each what was not."""
    from rich.console import Group
    from rich.text import Text

    from tallystick.cli.as_tables import grid
    from tallystick.testing.fuzzing.report import PARTS

    rows, missed = [], []
    for name, told in plain["machines"].items():
        shares = [f"{told[part]['reached']} of {told[part]['of']}" for part in PARTS]
        rows.append([name, *shares, str(sum(told["refusals"].values()))])
        missed += [f"{name}: no {_missing(told[part]['missing'])}" for part in PARTS if told[part]["missing"]]
    counted = f"{plain['examples']} stories, {plain['steps']:,} steps"
    table = grid("machine", *PARTS, "refusals", rows=rows)
    return Group(table, Text(counted, style="dim"), *(Text(each, style="dim") for each in missed))


LISTED = 6  # names of what was missed, before the rest is only counted


def _missing(names: list[str]) -> str:
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more

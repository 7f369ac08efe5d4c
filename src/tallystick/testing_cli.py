"""Commands that prove things: `simulate`. `cli` adds them to the command line.

Each is a click command of its own; what is heavy is imported inside. Progress goes to stderr, what is found to stdout.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from tallystick.cli_parts import json_option, write, write_json

if TYPE_CHECKING:
    from tallystick.testing.figures import Figures


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed; the same seed gives the same journal.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many, from that one on.")
@click.option("--ops", type=click.IntRange(1), default=1000, show_default=True, help="Operations of each, on average.")
@click.option("--jobs", type=click.IntRange(1), default=None, help="Processes at once; the cores, if not said.")
@click.option(
    "--world",
    type=click.Choice(["books", "clutch"]),
    default=None,
    help="The provider's half: light books, or all of Clutch; if not said, one seed in twenty is through Clutch.",
)
@json_option
def simulate(seed: int, seeds: int, ops: int, jobs: int | None, world: str | None, as_json: bool) -> None:
    """Run the whole system, simulated, with everything that goes wrong; judge it.

    Answers are lost, processes die at any step, others come in between, clocks jump, other channels spend. Then the
    weather clears and everything in doubt has to end. Exits with 1 if a seed is wrong, and says how to see it again.
    """
    from tallystick import reader
    from tallystick.testing.simulate import simulate_many

    begun = time.monotonic()

    def progress(so_far: Figures) -> None:
        done, spent = so_far.operations.total(), time.monotonic() - begun
        text = f"{so_far.seeds.total()} of {seeds} seeds, {done:,} operations, {done / max(spent, 0.01):,.0f} a second"
        sys.stderr.write(f"\r{text}, {len(so_far.failures)} wrong")
        sys.stderr.flush()

    figures = simulate_many(seed, seeds, ops, jobs=jobs or os.cpu_count() or 1, world=world or "", progress=progress)
    sys.stderr.write("\n")
    machines = reader.load(reader.packaged_folder())
    if as_json:
        write_json(figures.plain(machines))
    else:
        write("".join(f"{line}\n" for line in figures.lines(machines)))
    if figures.failures:
        sys.exit(1)

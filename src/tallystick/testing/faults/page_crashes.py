"""Kills processes while entities of any page live, in stories that are composed for it.

python -m tallystick.testing.faults page-crashes our-machines/loan.yaml --points 300
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tallystick.definition import reader
from tallystick.definition.machine import Machines
from tallystick.engine.receipt import Command
from tallystick.testing.faults.crash import crash_points
from tallystick.testing.faults.report import FaultReport, Progress
from tallystick.testing.faults.story import Story
from tallystick.testing.faults.story_composer import compose
from tallystick.testing.fuzzing.invariants import UserInvariant
from tallystick.testing.fuzzing.world import sentence

POINTS = 40
EACH = 5  # points of a story, where not all of them are taken


def page_crashes(
    machines: Machines, name: str, *, points: int | None = POINTS, seed: int = 0,
    invariants: Sequence[UserInvariant] = (), progress: Progress | None = None,
) -> FaultReport:  # fmt: skip
    """Compose stories about a machine and kill processes at so many points of them; None: at all."""
    most = None if points is None else -(-points // EACH)
    composed = compose(machines, name, most, seed=seed, invariants=invariants)
    report, count = FaultReport(), len(composed.stories)
    report.figures["transitions"] = len(composed.declared)
    report.figures["transitions fired"] = len(composed.fired)
    for index, story in enumerate(composed.stories):
        share = None if points is None else points * (index + 1) // count - points * index // count
        report.add(_killed(story, share, progress))
    return report


def _killed(story: Story, points: int | None, progress: Progress | None) -> FaultReport:
    """What was found, and the story that it is about."""
    try:
        report = crash_points(story, points, progress)
    except AssertionError as error:  # it does not go well already if nobody is killed
        report = FaultReport(findings=[str(error)])
    if report.findings:
        said = [sentence(step) for step in story.steps if isinstance(step, Command)]
        steps = [f"  {number}  {step}" for number, step in enumerate(said, 1)]
        report.findings.append("\n".join([f"{story.name}, is:", *steps]))
    return report


def machine_of(page: Path) -> tuple[Machines, str]:
    """The machines of a page and of those beside it, and the name of the page's own."""
    machines = reader.load(page.parent)
    return machines, next(each.name for each in machines.values() if Path(each.file).resolve() == page.resolve())


def summary(report: FaultReport) -> str:
    """What was done, in a line."""
    figures = report.figures
    return (
        f"killed {figures['crash points']} times, {figures['killed in recovery']} of them while it recovered, in "
        f"{figures['stories']} stories with {figures['transitions fired']} of {figures['transitions']} transitions"
    )

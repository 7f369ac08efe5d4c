"""Learning before production what is wrong with a machine, in three floors.

    structure   what the page itself shows: states, guards, accounts, follow-ups. Milliseconds
    model       the machines run together through everything they can do, with small amounts. Seconds to minutes
    proof       for all amounts, by a solver (`pip install 'tallystick[prove]'`)

Each floor gives findings (`Finding`) and counts what it looked at. A floor is only imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from tallystick.check.finding import TITLES, Finding
from tallystick.definition.machine import Machines
from tallystick.errors import Invalid, nearest

if TYPE_CHECKING:
    from tallystick.check.holds import Wanted

__all__ = ["TITLES", "Finding", "Report", "check"]


@attrs.frozen
class Report:
    """What was found, and how much was looked at: floor → what is counted → how many."""

    findings: tuple[Finding, ...]
    figures: Mapping[str, Mapping[str, int]]

    @property
    def clean(self) -> bool:
        return not self.findings


def check(
    machines: Machines,
    *,
    only: Collection[str] = (),
    depth: int | None = None,
    model: bool = True,
    prove: bool = False,
    progress: Callable[[str], None] | None = None,
    invariants: Sequence[Wanted] = (),
) -> Report:
    """What is wrong with the machines, or with those named in `only`, which run beside the others all the same.

    `depth` is the largest amount that the model uses, in minor units; without it 2, and each one more searches ten
    times the states. `progress` is told now and then how far a long floor is. `invariants` are functions of yours: they
    get the entities of a state of the model by machine and id, and say what is wrong with them, or nothing.

    Raises:
        Invalid: `only` names no machine, or a solver is not installed.
    """
    for name in only:
        if name not in machines:
            raise Invalid(f"there is no machine {name!r}.{nearest(name, list(machines))}")
    findings: list[Finding] = []
    figures: dict[str, Mapping[str, int]] = {}
    found, figures["structure"] = _structure(machines, only or list(machines))
    findings += found
    if model:
        from tallystick.check.model import explore

        found, figures["model"] = explore(machines, only=only, depth=depth, progress=progress, invariants=invariants)
        findings += found
    if prove:
        from tallystick.check.proof import prove as proved

        found, figures["proof"] = proved(machines, only=only)
        findings += found
    return Report(tuple(findings), figures)


def _structure(machines: Machines, names: Collection[str]) -> tuple[list[Finding], dict[str, int]]:
    from tallystick.check.structure import structure

    chosen = [machine for name, machine in machines.items() if name in names]
    found = [each for machine in chosen for each in structure(machines, machine)]
    found.sort(key=lambda each: (each.file, each.line, each.column, each.code))
    return found, {
        "machines": len(chosen),
        "states": sum(len(each.states) for each in chosen),
        "transitions": sum(len(each.transitions) for each in chosen),
    }

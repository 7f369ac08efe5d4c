"""The first floor of `check`: what can be seen on the pages themselves, without running the machines together."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.cases import Cases
from tallystick.check.finding import Finding
from tallystick.check.follow_ups import follow_ups
from tallystick.check.guards import guards
from tallystick.check.handed import handed
from tallystick.check.standing import Standing
from tallystick.check.states import states
from tallystick.check.uses import uses
from tallystick.definition.machine import Machine, Machines


def structure(machines: Machines, machine: Machine) -> Iterator[Finding]:
    """What is wrong with one machine."""
    standing = Standing(Cases(machines, machine))
    yield from states(standing)
    yield from guards(standing)
    yield from uses(standing)
    yield from handed(standing)
    yield from follow_ups(standing)

"""The first floor of `check`: what can be seen on the pages themselves, without running a machine."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.check.finding import Finding, finding
from tallystick.machine import Machine, Machines


def structure(machines: Machines, machine: Machine) -> Iterator[Finding]:
    """What is wrong with one machine, in the order of its page."""
    for state in machine.states:
        for command in machine.commands:
            pair = (state, command)
            if pair not in machine.table and pair not in machine.on_purpose and pair not in machine.refused:
                why = f"{command} in {state} is neither answered nor refused; say which, so that silence is no accident"
                yield finding("TS103", machine, why, "command", command)

"""Who calls whom: what a transition asks of the provider, itself or by what it drives, and who drives a command."""

from __future__ import annotations

from tallystick.definition.declared import Transition
from tallystick.definition.machine import Machines


def may_call(machines: Machines, transition: Transition) -> bool:
    """Whether it may call the provider: then it may be declined, and its value may stand in doubt."""
    return transition.ask is not None or any(
        may_call(machines, each)
        for drive in transition.drives
        for each in _answering(machines, drive.machine, drive.command)
    )


def partial_argument(machines: Machines, transition: Transition) -> str | None:
    """The argument of which the provider may confirm less, if there is one."""
    if transition.partial:
        return transition.partial
    for drive in transition.drives:
        for each in _answering(machines, drive.machine, drive.command):
            partial = partial_argument(machines, each)
            if partial is not None:
                return drive.arguments[partial].source.strip()
    return None


def drivers(machines: Machines, machine: str, command: str) -> list[Transition]:
    """The transitions of all machines that drive a command of a machine."""
    return [
        each
        for other in machines.values()
        for each in other.transitions.values()
        if any((drive.machine, drive.command) == (machine, command) for drive in each.drives)
    ]


def _answering(machines: Machines, machine: str, command: str) -> list[Transition]:
    return [each for each in machines[machine].transitions.values() if command in each.commands]

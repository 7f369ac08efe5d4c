"""The first level: what can be seen on the pages themselves, without running the machines together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from tallystick.check.finding import Finding, Stopped
from tallystick.check.structure.accounts import check_accounts
from tallystick.check.structure.call_results import check_call_results
from tallystick.check.structure.earlier import check_earlier
from tallystick.check.structure.follow_ups import check_follow_ups
from tallystick.check.structure.guards import check_guards
from tallystick.check.structure.limits import check_limits
from tallystick.check.structure.moves import check_moves
from tallystick.check.structure.provider_half import check_provider_half
from tallystick.check.structure.reachable import Reachability
from tallystick.check.structure.shares import check_shares
from tallystick.check.structure.states import check_states
from tallystick.check.structure.trials import Trials
from tallystick.check.structure.unasked import check_unasked
from tallystick.check.structure.unused import check_unused
from tallystick.definition.machine import Machine, Machines


def inspect(
    machines: Machines, *, only: Collection[str] = (), progress: Callable[[str], None] | None = None
) -> tuple[list[Finding], dict[str, int]]:
    """Findings about the machines, or about those named in `only`; and how much was looked at.

    `progress` gets a line for each.
    """
    chosen = [machine for name, machine in machines.items() if name in (only or machines)]
    found: list[Finding] = []
    for number, machine in enumerate(chosen):
        if progress is not None:
            progress(f"{machine.name}: looking at the page")
        try:
            found += inspect_machine(machines, machine)
        except KeyboardInterrupt:
            raise Stopped(found, {"machines": number}) from None
    return sorted(found, key=lambda each: each.order), {
        "machines": len(chosen),
        "states": sum(len(each.states) for each in chosen),
        "transitions": sum(len(each.transitions) for each in chosen),
    }


def inspect_machine(machines: Machines, machine: Machine) -> Iterator[Finding]:
    """Findings about one machine."""
    reachable = Reachability(Trials(machines, machine))
    for check in (check_states, check_guards, check_moves, check_accounts, check_unused, check_call_results):
        yield from check(reachable)
    yield from check_provider_half(reachable)
    yield from check_follow_ups(reachable)
    yield from check_shares(reachable)
    yield from check_earlier(reachable)
    yield from check_limits(reachable)
    yield from check_unasked(reachable)

"""What the page declares and the search never saw happen: to prove something about nothing is a mistake."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tallystick.check.model.monitor import Monitor
from tallystick.definition.declared import Transition
from tallystick.definition.machine import Machine

HAPPENED = ("done", "confirmed", "in_part")
ENDS_OF_CALLS = {
    "confirmed": "was not confirmed",
    "in_part": "was not confirmed for less than asked",
    "declined": "was not declined",
    "unavailable": "did not meet a provider that is unavailable",
}


@attrs.frozen
class Gap:
    """Something that never happened."""

    code: str
    machine: str
    message: str
    place: tuple[str, ...]  # on the page


def gaps(machine: Machine, monitor: Monitor) -> Iterator[Gap]:
    """What of a machine did not occur in any world so far: TS209 to TS212."""
    for transition in machine.transitions.values():
        yield from _gaps_of(machine, transition, monitor)


def _gaps_of(machine: Machine, transition: Transition, monitor: Monitor) -> Iterator[Gap]:
    name, at = transition.name, ("transition", transition.name)
    seen = {how for how in (*HAPPENED, *ENDS_OF_CALLS) if monitor.fired[machine.name, name, how]}
    if not seen:
        yield Gap("TS209", machine.name, f"{name} did not happen", at)
        return
    if (machine.name, name) in monitor.calling:
        partial = (machine.name, name) in monitor.partial
        for how, says in ENDS_OF_CALLS.items():
            if how not in seen and (how != "in_part" or partial):
                yield Gap("TS210", machine.name, f"the call of {name} {says}", (*at, "ask"))
    for each in monitor.guards[machine.name].comparisons.get(name, ()):
        if len(each.results) < 2:
            always = f"{'true' if True in each.results else 'false'} every time" if each.results else "not asked"
            yield Gap("TS211", machine.name, f"in the guard of {name}, '{each.text}' was {always}", (*at, "when"))
    for then in transition.then:
        counts = {how: monitor.follow_ups[machine.name, then.command, how] for how in ("taken", "refused")}
        if not counts["taken"] and counts["refused"]:
            message = f"{then.command}, which {name} queues, was refused every time"
            yield Gap("TS212", machine.name, message, (*at, "then"))

"""What never happened, though the page speaks of it: a proof about nothing is a fault."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tallystick.check.seen import Seen
from tallystick.definition.machine import Machine, Transition

HAPPENED = ("done", "confirmed", "short")
SAYS = {
    "confirmed": "is never confirmed",
    "short": "is never confirmed for less than asked",
    "declined": "is never declined",
    "unavailable": "never meets a provider that is unavailable",
}


@attrs.frozen
class Missing:
    code: str
    machine: str
    message: str
    place: tuple[str, ...]


def missing(machine: Machine, seen: Seen) -> Iterator[Missing]:
    """What of a machine did not occur in any world so far."""
    for transition in machine.transitions.values():
        yield from _of(machine, transition, seen)


def _of(machine: Machine, transition: Transition, seen: Seen) -> Iterator[Missing]:
    name, at = transition.name, ("transition", transition.name)
    ways = {how for how in (*HAPPENED, *SAYS) if seen.fired[machine.name, name, how]}
    if not ways:
        yield Missing("TS209", machine.name, f"{name} never happens", at)
        return
    if (machine.name, name) in seen.asking:
        partial = (machine.name, name) in seen.partial
        for how, says in SAYS.items():
            if how not in ways and (how != "short" or partial):
                yield Missing("TS210", machine.name, f"the call of {name} {says}", (*at, "ask"))
    for each in seen.branches[machine.name].comparisons.get(name, ()):
        if len(each.seen) < 2:
            always = "never asked" if not each.seen else f"always {'true' if True in each.seen else 'false'}"
            yield Missing("TS211", machine.name, f"in the guard of {name}, '{each.text}' is {always}", (*at, "when"))
    for then in transition.then:
        counts = {how: seen.follow_ups[machine.name, then.command, how] for how in ("taken", "refused", "waits")}
        if not counts["taken"] and counts["refused"]:
            said = f"{then.command}, which {name} queues, is refused every time"
            yield Missing("TS212", machine.name, said, (*at, "then"))

"""What a run has reached: transitions by the state they left, what the provider replied to each, what was refused.

A test that never reached a transition has said nothing about it. So the report names what was missed, and the walk
looks there next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import attrs

from tallystick.check.callers import may_call, partial_argument
from tallystick.definition.machine import Machines

WHOLE = ("confirmed", "declined", "unavailable", "lost_before", "lost_after", "crash_before", "crash_after")
SHORT = "short"
DONE = "done"  # nothing was asked of anybody


class Goal(NamedTuple):
    """A transition out of one of its states, ending in one way."""

    machine: str
    state: str
    transition: str
    reply: str


def goals(machines: Machines, names: Iterable[str]) -> list[Goal]:
    """All there is to reach in these machines."""
    found = []
    for name in names:
        machine = machines[name]
        for row in machine.rows.values():
            partial = partial_argument(machines, row.transition) is not None
            asking = may_call(machines, row.transition)
            replies = (*WHOLE, *((SHORT,) if partial else ())) if asking else (DONE,)
            found += [Goal(name, state, row.name, reply) for state in row.transition.sources for reply in replies]
    return found


@attrs.define
class Coverage:
    """Counts of one run, or of many."""

    transitions: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)  # machine, state, transition
    replies: Counter[tuple[str, str, str, str]] = attrs.field(factory=Counter)  # and the reply
    states: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    refusals: Counter[tuple[str, str]] = attrs.field(factory=Counter)  # machine, why
    look_ups: Counter[str] = attrs.field(factory=Counter)
    steps: int = 0
    examples: int = 0

    def add(self, other: Coverage) -> None:
        for name in ("transitions", "replies", "states", "refusals", "look_ups"):
            getattr(self, name).update(getattr(other, name))
        self.steps += other.steps
        self.examples += other.examples

    def count(self, goal: Goal) -> int:
        if goal.reply == DONE:
            return self.transitions[goal.machine, goal.state, goal.transition]
        return self.replies[goal]

    def plain(self, machines: Machines, names: Iterable[str]) -> dict[str, Any]:
        """As JSON: for each machine what was reached, of how many, and what was not."""
        told: dict[str, Any] = {"examples": self.examples, "steps": self.steps, "machines": {}}
        for name in names:
            machine = machines[name]
            pairs = {(name, state, row.name) for row in machine.rows.values() for state in row.transition.sources}
            replies = {goal for goal in goals(machines, [name]) if goal.reply != DONE}
            states = {(name, state) for state in machine.states}
            told["machines"][name] = {
                "states": _share({each for each in states if self.states[each]}, states),
                "transitions": _share({each for each in pairs if self.transitions[each]}, pairs),
                "replies": _share({each for each in replies if self.replies[each]}, replies),
                "refusals": {why: count for (of, why), count in sorted(self.refusals.items()) if of == name},
            }
        told["look_ups"] = dict(sorted(self.look_ups.items()))
        return told


def _share(reached: set[Any], all_of_them: set[Any]) -> dict[str, Any]:
    missing = [" ".join(each[1:]) for each in sorted(all_of_them - reached)]
    return {"reached": len(reached), "of": len(all_of_them), "missing": missing}

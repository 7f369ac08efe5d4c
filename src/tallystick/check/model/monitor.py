"""The monitor of a run: it notes what happens while steps are taken, and what is wrong with them.

What occurs is noted because an invariant that holds in every state says nothing if the transition that could break it
never fired. So every transition, every way its call can end, and every comparison of its guard both true and false are
ticked off here; `coverage` tells what is missing in the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from tallystick.check.model.guard_coverage import GuardCoverage
from tallystick.core.entity import Entity, Entry, InFlight, Intent, Plan, Request
from tallystick.core.refusal import Code, Refusal
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machine, Machines
from tallystick.provider.protocol import Outcome

# The guard was true, and only the core's last check stops the command: the page lets through what it should not.
LAST_CHECK = {Code.AMBIGUOUS: "TS206", Code.OVERDRAWN: "TS207", Code.NOT_EMPTY: "TS207", Code.TWICE: "TS217"}


@attrs.frozen
class Violation:
    """Something wrong that showed while a step was taken."""

    code: str
    machine: str
    message: str
    place: tuple[str, ...]  # on the page
    step: Any  # the command, or (first step of the call, outcome)


class Monitor:
    """Notes on one whole run, over all its worlds."""

    def __init__(self, machines: Machines) -> None:
        self.guards = {name: GuardCoverage(machine) for name, machine in machines.items()}
        self.fired: Counter[tuple[str, str, str]] = Counter()  # machine, transition, how
        self.calling: set[tuple[str, str]] = set()  # machine, transition that was part of a call
        self.partial: set[tuple[str, str]] = set()  # those whose call may be confirmed for less
        self.follow_ups: Counter[tuple[str, str, str]] = Counter()  # machine, command, how
        self.violations: list[Violation] = []
        self.by_hand = False  # in a world by hand nobody is to blame for what guards let through
        self._known: set[tuple[str, ...]] = set()

    def guard(self, machine: Machine, transition: str, entity: Entity, args: Mapping[str, object]) -> None:
        """A guard is about to be asked."""
        self.guards[machine.name].note(transition, entity.accounts, entity.facts, args, entity.state)

    def happened(self, plan: Plan, how: str) -> None:
        """`how`: done, asked, confirmed, in_part, declined or unavailable."""
        for entry in plan.entries:
            self.fired[entry.machine, entry.transition, how] += 1

    def followed(self, request: Request, how: str) -> None:
        """`how`: taken, refused or waits."""
        self.follow_ups[request.machine, request.command, how] += 1

    # Violations

    def refused(self, refusal: Refusal, request: Request) -> None:
        """A refusal by the core's last check is a mistake of the page."""
        cause = refusal
        while cause.cause is not None:
            cause = cause.cause
        if cause.code in LAST_CHECK and not self.by_hand:
            mark = (cause.machine, str(cause.state), cause.command)
            self._violated(LAST_CHECK[cause.code], mark, cause.why, ("command", cause.command), request)

    def called(self, intent: Intent, request: Request) -> None:
        """A call must be for something. If it is for nothing, or less, a guard has let that through."""
        asked = intent.asked
        assert asked is not None
        step = next(each for each in intent.steps if each.entity is asked.entity)
        self.calling.update((each.entity.machine, each.row.name) for each in intent.steps)
        self.partial.update((each.entity.machine, each.row.name) for each in intent.steps if each.partial)
        amount = asked.args.get("amount")
        if not isinstance(amount, int) or self.by_hand or amount > 0 or (amount < 0 and asked.verb == "adjust"):
            return
        machine, name = asked.entity.machine, step.row.name
        what = "nothing" if amount == 0 else "less than nothing"
        message = f"{name} makes a call ({asked.verb}) for {what}; its guard lets that through"
        self._violated("TS208", (machine, name), message, ("transition", name, "when"), request)

    def unanswerable(self, step: InFlight, why: str, outcome: Outcome) -> None:
        """The core cannot end a call with an outcome."""
        message = f"the call of {step.transition} cannot be ended with {outcome.result}: {why}"
        mark = (step.machine, step.transition, outcome.result.value)
        self._violated("TS204", mark, message, ("transition", step.transition), (step, outcome))

    def parted(self, step: InFlight, why: str, outcome: Outcome) -> None:
        """The provider has done something else than the page believes."""
        mark = (step.machine, step.transition, outcome.result.value)
        self._violated("TS215", mark, why, ("transition", step.transition), (step, outcome))

    def stepped(self, machine: Machine, before: Entity, after: Entity, entry: Entry, step: Any) -> None:
        """Add up again what the core has done. If that is wrong, the core is at fault, not the page."""
        wrong = _unbalanced(before, after, entry) or _unfinished(machine, after)
        if wrong:
            message = f"after {entry.transition} ({entry.phase}) {wrong}"
            mark = (machine.name, entry.transition, entry.phase)
            self._violated("TS205", mark, message, ("transition", entry.transition), step)

    def _violated(self, code: str, mark: tuple[str, ...], message: str, place: tuple[str, ...], step: Any) -> None:
        """`mark` begins with the machine, and tells the violation from others of its code."""
        if (code, *mark) not in self._known:
            self._known.add((code, *mark))
            self.violations.append(Violation(code, mark[0], message, place, step))


def _unbalanced(before: Entity, after: Entity, entry: Entry) -> str:
    wanted = dict(before.accounts)
    for source, target, amount in entry.postings:
        if amount <= 0:
            return f"{source} → {target} moves {amount}"
        for name, change in ((source, -amount), (target, amount)):
            if name in wanted:
                wanted[name] += change
    if wanted != after.accounts:
        return f"its accounts are {dict(after.accounts)}; its postings make them {wanted}"
    low = [name for name, value in after.accounts.items() if value < 0]
    return f"{low[0]} is below zero" if low else ""


def _unfinished(machine: Machine, after: Entity) -> str:
    if after.calls < 0 or (after.calls == 0 and (after.changing or after.accounts.get(IN_DOUBT, 0))):
        return "something is in doubt, though no call is open"
    left = [name for name in machine.holding if after.accounts[name]]
    if machine.states[after.state].final and left:
        return f"{after.state} is final, but {left[0]} still holds value"
    return ""

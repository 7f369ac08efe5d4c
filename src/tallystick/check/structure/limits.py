"""Whether a limit counts what is on its way.

A guard such as `balance + amount <= limit` lets a call put value on an account. While its answer is not known, the
amount stands in `in_doubt`, and the account does not show it. So of two calls at once each sees room, and both together
pass the limit. No amount of looking at one call shows that, and the refusal is usually written as the guard is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tallystick.check.callers import may_call
from tallystick.check.finding import Finding, finding
from tallystick.check.structure.reachable import Reachability
from tallystick.definition.declared import IN_DOUBT, Transition
from tallystick.definition.machine import Machine


def check_limits(reachable: Reachability) -> Iterator[Finding]:
    """TS130."""
    machine, machines = reachable.machine, reachable.trials.machines
    for name, row in machine.rows.items():
        if row.changes or not may_call(machines, row.transition):
            continue  # beside a call that changes the state no other one of its kind is made
        for counted, limit in _passed(machine, row.transition):
            why = (
                f"{name} counts {counted} up to {limit}, but not what is in doubt: of two calls at once each sees "
                f"room, and both together pass it; write {counted} + {IN_DOUBT}"
            )
            yield finding("TS130", machine, why, "transition", name, "when")


def _passed(machine: Machine, transition: Transition) -> Iterator[tuple[str, str]]:
    """The sums of an account and what comes onto it that a guard bounds by a fact, without what is in doubt."""
    comes = [
        (move.target, move.amount.names) for move in transition.moves
        if move.source in machine.outside and move.target in machine.accounts
    ]  # fmt: skip
    guard = transition.guard.source if transition.guard is not None else "true"
    for compare in (each for each in ast.walk(ast.parse(guard.strip(), mode="eval")) if isinstance(each, ast.Compare)):
        sides = [compare.left, *compare.comparators]
        for left, op, right in zip(sides, compare.ops, sides[1:], strict=False):
            counted, limit = (left, right) if isinstance(op, ast.Lt | ast.LtE) else (right, left)
            if not isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) or not isinstance(limit, ast.Name):
                continue
            names = {each.id for each in ast.walk(counted) if isinstance(each, ast.Name)}
            onto = any(target in names and amounts and amounts <= names for target, amounts in comes)
            if onto and limit.id in machine.facts and IN_DOUBT not in names:
                yield ast.unparse(counted), limit.id

"""A failing story made short: lines are left out and amounts made small, as long as the same thing goes wrong.

Each attempt runs the whole story again in a world of its own. So what remains really fails, as a file that anybody can
run. The longest parts are left out first. An amount is changed wherever it stands, because a hold of 1.00 is settled as
1.00.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tallystick.definition.machine import Machines
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.testing.fuzzing.invariants import UserInvariant
from tallystick.testing.fuzzing.step_checks import StepChecks
from tallystick.testing.fuzzing.world import FuzzFailure, Line, World

ATTEMPTS = 500
SMALL = ("0.01", "0.02", "0.03", "1.00")


def replay(
    machines: Machines, lines: Sequence[Line], *,
    invariants: Sequence[UserInvariant] = (), make_store: Callable[[], Store] = MemoryStore,
) -> FuzzFailure | None:  # fmt: skip
    """Run a story again in a new world, to its end; what went wrong, if anything did."""
    world = World(machines, make_store)
    checks = StepChecks(world, invariants)
    try:
        for line in lines:
            checks.after_step(world.replayed(line))
        checks.at_the_end()
    except FuzzFailure as found:
        return found
    finally:
        world.store.close()
    return None


def shrunk(found: FuzzFailure, again: Callable[[Sequence[Line]], FuzzFailure | None]) -> FuzzFailure:
    """The same failure, by fewer lines and smaller amounts."""
    best, lines, left = found, list(found.lines), ATTEMPTS
    changed = True
    while changed and left > 0:
        changed = False
        for candidate in _candidates(lines):
            left -= 1
            other = again(candidate)
            if other is not None and other.code == found.code:
                best, lines, changed = other, candidate, True
                break
            if left <= 0:
                break
    return best


def _candidates(lines: list[Line]) -> Iterator[list[Line]]:
    """The story made simpler in one way after the other, the biggest step first."""
    size = len(lines) // 2
    while size:
        for start in range(len(lines) - size, -1, -size):
            yield [*lines[:start], *lines[start + size :]]
        size //= 2
    for number, line in enumerate(lines):
        for simpler in _simpler(line):
            yield [*lines[:number], simpler, *lines[number + 1 :]]
    amounts = {value for line in lines for value in _amounts(line)}
    for amount in sorted(amounts - {SMALL[0]}, key=len, reverse=True):
        for small in SMALL:
            if (len(small), small) < (len(amount), amount):
                yield [_with(line, amount, small) for line in lines]


def _simpler(line: Line) -> Iterator[Line]:
    if "provider" in line:
        yield {name: value for name, value in line.items() if name != "provider"}
    for name in line.get("args", {}):
        if name != "currency":
            yield {**line, "args": {each: value for each, value in line["args"].items() if each != name}}


def _amounts(value: Any) -> Iterator[str]:
    """Every text that is an amount, wherever it stands."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _amounts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _amounts(each)
    elif isinstance(value, str) and value.replace(".", "", 1).isdigit() and "." in value:
        yield value


def _with(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {name: _with(each, old, new) for name, each in value.items()}
    if isinstance(value, list):
        return [_with(each, old, new) for each in value]
    return new if value == old else value

"""Order ids as reports show them: where the number of a card of these books stands in one, it is masked.

An order system names its orders as it likes, often by long numbers. So a number in an order's id is masked only if a
card has it; and where numbers are sealed, so that nobody can see that, if it could be one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tallystick.core.arguments import plain_number
from tallystick.definition.machine import Machines
from tallystick.engine.sealing import MARK
from tallystick.masks import LONG_NUMBER, mask
from tallystick.store.protocol import Reading

_RUN = re.compile(rf"\d(?:[ .\-]?\d){{{LONG_NUMBER - 1},}}")
_AT_ONCE = 500  # numbers in one question


def order_names(reading: Reading, machines: Machines, orders: Iterable[str | None]) -> Callable[[str], str]:
    """How each of these orders is shown."""
    runs = {plain_number(run) for order in orders if order for run in _RUN.findall(order)}
    if reading.shared(MARK) is not None:
        hidden = {run for run in runs if len(run) >= 12}
    else:
        hidden = set(_of_cards(reading, machines, sorted(runs)))

    def shown(run: re.Match[str]) -> str:
        return mask(number) if (number := plain_number(run[0])) in hidden else run[0]

    return lambda order: _RUN.sub(shown, order)


def _of_cards(reading: Reading, machines: Machines, numbers: list[str]) -> Iterable[str]:
    facts = [(each.name, fact.name) for each in machines.values() for fact in each.facts.values()
             if fact.type.kind == "number"]  # fmt: skip
    for machine, fact in facts if numbers else ():
        for at in range(0, len(numbers), _AT_ONCE):
            some = numbers[at : at + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            found = reading.select(f'SELECT "{fact}" FROM "{machine}" WHERE "{fact}" IN ({marks})', some)
            yield from (str(number) for (number,) in found)

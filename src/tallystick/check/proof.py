"""The third floor: what holds of a machine for all amounts, proved by a solver (`pip install 'tallystick[prove]'`).

    guards       those of one command in one state exclude each other, and together they cover every value
    accounts     nothing falls below zero, and no move is of less than nothing
    value        that leaves one entity arrives in another
    invariants   of the page are kept by every step, of whichever machine
    ends         every life can be brought to an end, and after it nothing is held

Amounts are integers without a bound here, whole or confirmed in part, with any number of other calls in flight. What is
used to prove it is found by the solver too: what holds in each state (`facts`). A finding has the amounts that show it.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec

from tallystick.check.finding import Finding
from tallystick.definition.machine import Machines
from tallystick.errors import Invalid


def prove(machines: Machines, *, only: Collection[str] = ()) -> tuple[list[Finding], dict[str, int]]:
    """Findings about the machines, or about those named in `only`; and how many proofs of each kind there were.

    Raises:
        Invalid: the solver is not installed.
    """
    if find_spec("z3") is None:
        raise Invalid("proofs need a solver, which is not installed: pip install 'tallystick[prove]'")
    from tallystick.check.proofs.everything import proved

    return proved(machines, only or list(machines))

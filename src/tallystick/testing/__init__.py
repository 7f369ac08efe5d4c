"""What proves machines, stores and providers: a referee with eyes of its own, simulation, faults, a fuzz kit.

    fuzz.fuzz(machines, "payment", examples=500, invariants=[…])  stories, judged after every step
    state_machine(machines, ["payment"])                          the same, for Hypothesis to run, and to be subclassed
    replay(machines, lines)                                       a story again
    strategies                                                    amounts, facts and arguments worth trying
    store_contract(make_store), provider_contract(make_provider)  tests of whatever promises to be one

Loaded when it is first used: it needs `pip install 'tallystick[testing]'`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "Found": "walking.world",
    "Played": "contracts",
    "Report": "fuzz",
    "World": "walking.world",
    "provider_contract": "contracts",
    "replay": "walking.shrink",
    "state_machine": "fuzz",
    "store_contract": "contracts",
}

__all__ = ["Found", "Played", "Report", "World", "provider_contract", "replay", "state_machine", "store_contract"]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _WHERE:
        raise AttributeError(f"module 'tallystick.testing' has no attribute {name!r}")
    return getattr(import_module(f"tallystick.testing.{_WHERE[name]}"), name)

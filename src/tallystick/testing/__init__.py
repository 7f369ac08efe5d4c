"""What proves machines, stores and providers: a fuzz kit, crashes and other faults, contracts, simulation, a referee.

    fuzz(machines, "payment", examples=500, invariants=[…])       stories, judged after every step
    state_machine(machines, ["payment"])                          the same, for Hypothesis to run, and to be subclassed
    replay(machines, lines)                                       a story again
    strategies                                                    amounts, facts and arguments worth trying
    page_crashes(machines, "payment", points=500)                 processes killed while entities of a page live
    crash_points(story)                                           processes killed at points of a story of your own;
                                                                  failing_calls, torn_logs, recovery_races likewise
    store_contract(make_store), provider_contract(make_provider)  tests of whatever promises to be one

Each is loaded when it is first used: it needs `pip install 'tallystick[testing]'`.

The rooms inside, in reading order: `referee` judges what any of the others did and shares no code with it; `store_rows`
reads a store for it. `postgres_server` starts a real PostgreSQL. `fuzzing` writes stories about any page. `faults`
kills processes and breaks databases. `simulation` runs the whole system from one seed. `contracts` are the tests of a
store and of a provider. `plugin` is what pytest loads for `pytest --tallystick machines/`.

Only the command line and tests call this room; it may call every other room.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.testing.contracts import Played, provider_contract, store_contract
    from tallystick.testing.faults.crash import crash_points
    from tallystick.testing.faults.failing_database import failing_calls
    from tallystick.testing.faults.page_crashes import page_crashes
    from tallystick.testing.faults.recovery_races import recovery_races
    from tallystick.testing.faults.story import Story
    from tallystick.testing.faults.torn_log import torn_logs
    from tallystick.testing.fuzzing import strategies
    from tallystick.testing.fuzzing.fuzzer import fuzz
    from tallystick.testing.fuzzing.report import FuzzReport
    from tallystick.testing.fuzzing.shrink import replay
    from tallystick.testing.fuzzing.state_machine import state_machine
    from tallystick.testing.fuzzing.world import FuzzFailure, World
else:  # at run time each is loaded when it is first named
    _LATE = {
        "contracts": ["Played", "provider_contract", "store_contract"],
        "faults.crash": ["crash_points"],
        "faults.failing_database": ["failing_calls"],
        "faults.page_crashes": ["page_crashes"],
        "faults.recovery_races": ["recovery_races"],
        "faults.story": ["Story"],
        "faults.torn_log": ["torn_logs"],
        "fuzzing.fuzzer": ["fuzz"],
        "fuzzing.report": ["FuzzReport"],
        "fuzzing.shrink": ["replay"],
        "fuzzing.state_machine": ["state_machine"],
        "fuzzing.world": ["FuzzFailure", "World"],
    }
    _WHERE = {name: module for module, names in _LATE.items() for name in names}

    def __getattr__(name: str) -> object:
        if name == "strategies":
            return import_module("tallystick.testing.fuzzing.strategies")
        if name not in _WHERE:
            raise AttributeError(f"module 'tallystick.testing' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"tallystick.testing.{_WHERE[name]}"), name)
        return value


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "FuzzFailure", "FuzzReport", "Played", "Story", "World", "crash_points", "failing_calls", "fuzz", "page_crashes",
    "provider_contract", "recovery_races", "replay", "state_machine", "store_contract", "strategies", "torn_logs",
]  # fmt: skip

"""A command goes one way: no file of the engine is entered more than twice between the call and its receipt."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import tallystick.engine
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.provider.scripted import ScriptedProvider
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store
from tallystick.store.sqlite import SqliteStore

FOLDER = Path(tallystick.engine.__file__).parent
MACHINES = reader.load()


def entered(deed: Callable[[], object]) -> Counter[str]:
    """How often each file of the engine was entered from another file."""
    found: Counter[str] = Counter()

    def watch(frame: FrameType, event: str, arg: Any) -> None:
        if event != "call":
            return
        here, caller = frame.f_code.co_filename, frame.f_back
        if caller is not None and caller.f_code.co_filename != here and FOLDER in Path(here).parents:
            found[str(Path(here).relative_to(FOLDER))] += 1

    sys.setprofile(watch)
    try:
        deed()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_no_file_of_the_engine_is_entered_more_than_twice(kind: str, tmp_path: Path) -> None:
    store: Store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "books.db")
    engine = Engine(MACHINES, store, ScriptedProvider())
    engine.execute("gift_card", "c", "create", {"form": "electronic", "currency": "BRL"}, key="create")
    for command, args in (("allocate", {}), ("activate", {}), ("issue", {"amount": "50.00"})):
        engine.execute("gift_card", "c", command, args, key=command)
    engine.execute("payment", "p", "create", {"order": "o", "card": "c", "currency": "BRL"}, key="p")

    for command, args in (("authorize", {"amount": "40.00"}), ("settle", {"amount": "40.00"})):
        ways = entered(lambda: engine.execute("payment", "p", command, args, key=f"p/{command}"))  # noqa: B023
        assert {"engine.py", "steps.py", "journal.py", "calls/end_call.py"} <= set(ways)
        assert max(ways.values()) <= 2, ways
    store.close()

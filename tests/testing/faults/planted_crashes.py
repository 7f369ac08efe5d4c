"""Faults that only a crash brings to light, each put into the library while stories are told and killed.

python planted_crashes.py "sent again blindly"          # one of our own stories
python planted_crashes.py "sent again blindly" page     # stories composed for the page of examples/own_machine
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from tallystick.definition import reader
from tallystick.engine import engine
from tallystick.engine.receipt import Ended, Receipt
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Result
from tallystick.store.rows import Changes
from tallystick.store.sqlite import SqliteTransaction
from tallystick.testing.faults import story
from tallystick.testing.faults.crash import crash_points
from tallystick.testing.faults.file_provider import FileProvider
from tallystick.testing.faults.our_stories import STEPS, stories
from tallystick.testing.faults.page_crashes import page_crashes
from tallystick.testing.faults.report import FaultReport


def two_transactions() -> None:
    """The entities are committed before their entries."""
    write = SqliteTransaction._write

    def in_two(self: SqliteTransaction, changes: Changes, at: str) -> None:
        write(self, attrs.evolve(changes, entries=[], calls={}, queue={}), at)
        self._cursor.execute("COMMIT")
        self._cursor.execute("BEGIN IMMEDIATE")
        write(self, attrs.evolve(changes, entities={}), at)

    SqliteTransaction._write = in_two  # type: ignore[method-assign]


def sent_again_blindly(provider: FileProvider, call: Call) -> Outcome | NotSeen | Ambiguous:
    """Its record shows nothing, so what was done is asked for again."""
    return NotSeen("nothing")


def taken_for_not_done(provider: FileProvider, call: Call) -> Outcome | NotSeen | Ambiguous:
    """What it cannot say at once it calls not done."""
    return Outcome(Result.UNAVAILABLE, text="not found at once")


def answered_before_the_commit() -> None:
    """The caller hears of it while the transaction is open."""
    one = engine.Engine._execute

    def told_first(self: Any, command: Any) -> Receipt:
        receipt = Receipt(Ended.APPLIED, command.key, command.machine, command.id, command.command)
        with self.store.reading() as look:
            new = command.command == "create" and not look.keyed([command.key])
        if new:
            story.acknowledge(self.acknowledgements, receipt)
        return one(self, command)

    engine.Engine._execute = told_first  # type: ignore[method-assign]


def ours() -> FaultReport:
    return crash_points(attrs.evolve(stories()[0], name="short", steps=STEPS["in one step"][:2]), 30)


def page() -> FaultReport:
    machines = reader.load(Path(__file__).resolve().parents[3] / "examples/own_machine/machines")
    return page_crashes(machines, "travel_voucher", points=30)


def main(fault: str, run: Callable[[], FaultReport] = ours) -> int:
    match fault:
        case "two transactions":
            two_transactions()
        case "sent again blindly":
            FileProvider.look_up = sent_again_blindly  # type: ignore[method-assign]
        case "taken for not done":
            FileProvider.look_up = taken_for_not_done  # type: ignore[method-assign]
        case "answered before the commit":
            answered_before_the_commit()
    return run().print(as_json=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *([page] if sys.argv[2:] else [])))

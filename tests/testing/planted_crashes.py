"""Faults that only a crash brings to light, each put into the library while one story is told and killed."""

from __future__ import annotations

import sys
from typing import Any

import attrs

from tallystick import engine
from tallystick.provider import Ambiguous, Call, NotSeen, Outcome, Result
from tallystick.receipt import Ended, Receipt
from tallystick.store import Changes
from tallystick.store.sqlite import SqliteTransaction
from tallystick.testing import story
from tallystick.testing.counterpart import Counterpart
from tallystick.testing.crash import crash_points
from tallystick.testing.stories import STEPS, stories


def two_transactions() -> None:
    """The entities are committed before their entries."""
    write = SqliteTransaction._write

    def in_two(self: SqliteTransaction, changes: Changes, at: str) -> None:
        write(self, attrs.evolve(changes, records=[], calls={}, queue={}), at)
        self._cursor.execute("COMMIT")
        self._cursor.execute("BEGIN IMMEDIATE")
        write(self, attrs.evolve(changes, entities={}), at)

    SqliteTransaction._write = in_two  # type: ignore[method-assign]


class Forgetful(Counterpart):
    """Its record shows nothing, so what was done is asked for again."""

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return NotSeen("nothing")


class Hasty(Counterpart):
    """What it cannot say at once it calls not done."""

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return Outcome(Result.UNAVAILABLE, text="not found at once")


def answered_before_the_commit() -> None:
    """The caller hears of it while the transaction is open."""
    one = engine.Engine._attempt

    def told_first(self: Any, command: Any) -> Receipt:
        receipt = Receipt(Ended.APPLIED, command.key, command.machine, command.id, command.command)
        with self.store.reading() as look:
            new = command.command == "create" and not look.keyed([command.key])
        if new:
            story.write_told(self.told_to, receipt)
        return one(self, command)

    engine.Engine._attempt = told_first  # type: ignore[method-assign]


def main(fault: str) -> int:
    one = attrs.evolve(stories()[0], name="short", steps=STEPS["in one step"][:2])
    match fault:
        case "two transactions":
            two_transactions()
        case "sent again blindly":
            one = attrs.evolve(one, provider=Forgetful)
        case "taken for not done":
            one = attrs.evolve(one, provider=Hasty)
        case "answered before the commit":
            answered_before_the_commit()
    return crash_points(one, 30).say(as_json=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

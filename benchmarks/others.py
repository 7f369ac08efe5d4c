"""The same payment, authorized and settled on a card, by an ORM and by event sourcing, as is usual today.

SQLAlchemy keeps a row with a version for the payment and one for the card, and entries beside them. It looks the key up
first. eventsourcing keeps events only, has no keys, and reads its aggregates again for each command. tallystick also
chains hashes and checks steps in the database; the others do not. All wait for the disk at each commit.
"""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks.fixture import ONE, Rivals, rivals
from benchmarks.measure import Contestant, Line, Setting, Target, Work, alone, in_turns
from tallystick.engine.receipt import Command

PART = "against today's choices, SQLite FULL"
CARDS = 1000
EACH = 20  # commands in a round, two for each payment
BATCH = 1000


def measured(setting: Setting) -> list[Line]:
    missing = [name for name in ("sqlalchemy", "eventsourcing") if find_spec(name) is None]
    for name in missing:
        setting.skip(f"{name} is not installed (pip install -r benchmarks/requirements.txt)")
    if len(missing) == 2:
        return []
    with rivals(setting, CARDS) as both, setting.scratch() as folder:
        one = {"tallystick": _tallystick(both)}
        many = {"tallystick, 1,000 a commit": _tallystick_batch(both)}
        if "sqlalchemy" not in missing:
            from benchmarks.with_sqlalchemy import Orm

            orm = Orm(folder / "orm.db", CARDS, EACH, BATCH)
            one["SQLAlchemy ORM"] = orm.one_each
            many["SQLAlchemy ORM, 1,000 a commit"] = orm.one_for_all
        if "eventsourcing" not in missing:
            from benchmarks.with_eventsourcing import event_sourced

            one["eventsourcing"] = event_sourced(folder / "events.db", CARDS, EACH)
        singles = in_turns(one, setting.rounds(24))
        batches = in_turns(
            many | {name: make for name, make in one.items() if name != "tallystick"}, setting.rounds(12)
        )
    what, bulk = "authorize and settle a payment", "the same, 1,000 a commit against one each"
    targets = {"SQLAlchemy ORM": 5, "eventsourcing": 2.5}
    lines = [
        singles.line(PART, what, "tallystick", name, Target("at least", number))
        for name, number in targets.items()
        if name in one
    ]
    lines += [
        batches.line(PART, bulk, "tallystick, 1,000 a commit", name, Target("at least", 50))
        for name in targets
        if name in one
    ]
    if "sqlalchemy" not in missing:
        lines.append(batches.line(PART, "the same, 1,000 a commit each", *many))
    return lines


def _tallystick(both: Rivals) -> Contestant:
    def ready() -> Work:
        payments = both.payments(EACH // 2, CARDS)

        def work() -> int:
            for id in payments:
                both.engine.execute("payment", id, "authorize", {"amount": ONE}, key=f"{id}/a")
                both.engine.execute("payment", id, "settle", {"amount": ONE}, key=f"{id}/s")
            return 2 * len(payments)

        return work

    return ready


def _tallystick_batch(both: Rivals) -> Contestant:
    def ready() -> Work:
        commands = [
            Command("payment", id, command, {"amount": ONE}, f"{id}/{command}")
            for id in both.payments(BATCH // 2, CARDS)
            for command in ("authorize", "settle")
        ]

        def work() -> int:
            assert all(receipt.applied for receipt in both.engine.try_execute_many(commands))  # type: ignore[union-attr]
            return BATCH

        return work

    return ready


if __name__ == "__main__":
    alone(measured)

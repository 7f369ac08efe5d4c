"""The same payment, authorized and settled on a card, by what people use today.

SQLAlchemy keeps a row with a version for the payment and one for the card, and entries beside them; it looks the key up
first. eventsourcing keeps events only, has no keys, and reads its aggregates again for each command. tallystick also
chains hashes and checks steps in the database; these two do not. The libraries of state machines decide only, so they
get the store by hand, which writes our own rows.
"""

from __future__ import annotations

from benchmarks.measure import Result, Run, Work
from benchmarks.opponents.rules import Rules, python_statemachine, xstate_statemachine
from benchmarks.rivals import ONE, applied, rivals
from tallystick.engine.receipt import Command

CARDS = 1000
EACH = 20  # commands in a round, two for each payment
BATCH = 1000


def sqlalchemy(run: Run) -> Result:
    from benchmarks.opponents.orm import Orm

    cards = run.sized(CARDS, 20)
    with rivals(run, cards) as both, run.scratch() as folder:
        orm = Orm(folder / "orm.db", cards, EACH, BATCH)
        return run.compare(both.payments(EACH // 2)[0], orm.one_each)


def sqlalchemy_batch(run: Run) -> Result:
    from benchmarks.opponents.orm import Orm

    cards = run.sized(CARDS, 20)
    with rivals(run, cards) as both, run.scratch() as folder:
        orm = Orm(folder / "orm.db", cards, EACH, BATCH)

        def ours() -> Work:
            commands = [
                Command("payment", id, command, {"amount": ONE}, f"{id}/{command}")
                for id in both.created(BATCH // 2, ours=True)
                for command in ("authorize", "settle")
            ]
            return lambda: applied(both.engine, commands)

        return run.compare(ours, orm.one_for_all)


def eventsourcing(run: Run) -> Result:
    from benchmarks.opponents.event_sourced import event_sourced

    cards = run.sized(CARDS, 20)
    with rivals(run, cards) as both, run.scratch() as folder:
        events = event_sourced(folder / "events.db", cards, EACH)
        return run.compare(both.payments(EACH // 2)[0], events)


def python_statemachine_(run: Run) -> Result:
    return _with_rules(run, python_statemachine())


def xstate_statemachine_(run: Run) -> Result:
    return _with_rules(run, xstate_statemachine())


def _with_rules(run: Run, rules: Rules) -> Result:
    with rivals(run, run.sized(CARDS, 20), rules=rules) as both:
        return run.compare(*both.payments(EACH // 2))

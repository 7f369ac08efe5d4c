"""PostgreSQL against psycopg by hand, on one server, each in a database of its own with the same tables.

The server is one of `tallystick.testing.postgres_server`: on a socket, without waiting for a disk, so a commit costs
what the server makes of it. The clock on the wall counts, because most of the work is the server's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from itertools import count
from random import Random

import attrs

from benchmarks import rivals
from benchmarks.measure import Absent, Contestant, Result, Run, Work
from benchmarks.opponents.by_hand_postgres import Books
from benchmarks.rivals import ONE, applied, card
from tallystick import Engine, load
from tallystick.engine.queue.batch import ONE_TRANSACTION
from tallystick.engine.receipt import Command, Ended, Receipt
from tallystick.engine.verify import verify
from tallystick.fleet.worker import Worker
from tallystick.provider.local import LocalProvider
from tallystick.store.postgres.store import PostgresStore
from tallystick.testing.postgres_server import NoServer, new_database

CARDS, EACH, BATCH = 5000, 50, 1000


@attrs.frozen
class Both:
    engine: Engine
    by_hand: Books
    url: str  # of what `by_hand` works on
    cards: int
    keys: Iterator[int] = attrs.field(factory=count)

    def key(self) -> str:
        return f"k{next(self.keys)}"

    def one(self) -> Contestant:
        return self._each(lambda id: self.engine.execute("gift_card", id, "redeem", {"amount": ONE}, key=self.key()))

    def _each(self, redeem: object) -> Contestant:
        random = Random(1)

        def work() -> int:
            for _ in range(EACH):
                redeem(card(random.randrange(self.cards)))  # type: ignore[operator]
            return EACH

        return lambda: work


def two_trips(run: Run) -> Result:
    with _both(run) as both:
        return run.compare(both.one(), both._each(lambda id: both.by_hand.redeem(id, 100, both.key())), waits=True)


def one_trip(run: Run) -> Result:
    with _both(run) as both:
        return run.compare(both.one(), both._each(lambda id: both.by_hand.redeem_cte(id, 100, both.key())), waits=True)


def bulk(run: Run) -> Result:
    with _both(run) as both:
        random = Random(2)

        def ids() -> list[str]:
            return [card(random.randrange(both.cards)) for _ in range(BATCH)]

        def ours() -> Work:
            commands = [Command("gift_card", id, "redeem", {"amount": ONE}, both.key()) for id in ids()]
            return lambda: applied(both.engine, commands)

        def by_hand() -> Work:
            wanted = [(id, 100, both.key()) for id in ids()]
            return lambda: len(both.by_hand.redeem_many(wanted))

        return run.compare(ours, by_hand, waits=True)


def due(run: Run) -> Result:
    """What waits in the queue: a worker with leases, and by hand without."""
    with _both(run) as both, closing(PostgresStore(both.url)) as store:
        other = Engine(load(), store, LocalProvider())
        worker, size = Worker(both.engine), run.sized(BATCH, 50)

        def queued(engine: Engine) -> None:
            due, keys = datetime.now(timezone.utc) - timedelta(days=1), [both.key() for _ in range(size)]
            commands = [
                Command("gift_card", card(turn * 7 % min(both.cards, 200)), "redeem", {"amount": ONE}, key,
                        due=due + timedelta(milliseconds=turn)) for turn, key in enumerate(keys)
            ]  # fmt: skip
            for receipt in engine.try_execute_many(commands):
                assert receipt.result is Ended.DEFERRED, receipt

        def ours() -> Work:
            queued(both.engine)
            return lambda: drained(worker.drain(size))

        def drained(receipts: Sequence[Receipt]) -> int:
            assert all(each.applied for each in receipts)
            return len(receipts)

        def by_hand() -> Work:
            queued(other)
            return lambda: sum(both.by_hand.drain(ONE_TRANSACTION) for _ in range(size // ONE_TRANSACTION or 1))

        return run.compare(ours, by_hand, waits=True)


@contextmanager
def _both(run: Run) -> Iterator[Both]:
    cards = run.sized(CARDS, 50)
    try:
        with new_database() as mine, new_database() as theirs:
            same_rows()
            engines = [_made(url, cards) for url in (mine, theirs)]
            engines[1].store.close()
            with closing(engines[0].store), closing(Books(theirs)) as by_hand:
                yield Both(engines[0], by_hand, theirs, cards)
            for url in (mine, theirs):
                with closing(PostgresStore(url)) as store:
                    found = verify(Engine(load(), store, LocalProvider()).machines, store).findings
                    assert not found, found[:3]
    except NoServer as error:
        raise Absent(str(error)) from None


def _made(url: str, cards: int) -> Engine:
    engine = Engine(load(), PostgresStore(url), LocalProvider())
    rivals.fill(engine, cards)
    return engine


def same_rows() -> None:
    """Let both do the same, with the same clock. Every row has to be equal in the end. Raises AssertionError."""
    found = []
    for ours in (True, False):
        with new_database() as url:
            engine = Engine(load(), PostgresStore(url), LocalProvider(), clock=rivals._clock)
            with closing(engine.store), closing(Books(url, clock=rivals._clock)) as by_hand:
                rivals.fill(engine, 3)
                for key, id in (("f", card(1)), ("g", card(2)), ("h", card(1))):
                    engine.execute("gift_card", id, "redeem", {"amount": ONE}, key=key, due=rivals._clock())
                wanted = [(card(0), 100, "c"), (card(0), 100, "d"), (card(2), 100, "e")]
                if ours:
                    for id, _, key in ((card(0), 0, "a"), (card(1), 0, "b")):
                        engine.execute("gift_card", id, "redeem", {"amount": ONE}, key=key)
                    applied(engine, [Command("gift_card", id, "redeem", {"amount": ONE}, key) for id, _, key in wanted])
                    engine.run_due()
                else:
                    by_hand.redeem(card(0), 100, "a")
                    by_hand.redeem_cte(card(1), 100, "b")
                    by_hand.redeem_many(wanted)
                    by_hand.drain(10)
                assert not verify(engine.machines, engine.store).findings
                entries = by_hand.connection.execute(
                    "SELECT to_jsonb(e) - 'seq' - 'xid' FROM tallystick.entry e ORDER BY machine, entity, revision"
                ).fetchall()
                cards = by_hand.connection.execute(
                    "SELECT to_jsonb(c) FROM tallystick.gift_card c ORDER BY id"
                ).fetchall()
                queue = by_hand.connection.execute("SELECT to_jsonb(q) FROM tallystick.queue q ORDER BY key").fetchall()
                found.append(entries + cards + queue)
    assert found[0] == found[1], "opponents/by_hand_postgres.py writes other rows"

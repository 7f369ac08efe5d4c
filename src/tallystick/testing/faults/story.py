"""A story: what a caller says from beginning to end, and a process that runs it.

A story runs one step after the other. Before the next step, what is in doubt is recovered and what is due is done, as
an operator's jobs would. Run again from its start with the same keys, by another process on the same files, it goes on
where it was broken off. So whatever happens in between, at its end the books are the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import attrs

from tallystick.books.books import Books
from tallystick.definition.machine import Machines
from tallystick.engine.calls.ask_provider import call_of
from tallystick.engine.engine import Engine
from tallystick.engine.queue.queue import LONGEST_WAIT
from tallystick.engine.receipt import Command, Declined, GivenBack, InDoubt, Receipt, Refused, Unavailable
from tallystick.errors import StoreError
from tallystick.money import Money
from tallystick.provider.protocol import Call, Outcome, Provider
from tallystick.store.protocol import Store
from tallystick.store.rows import stamp
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.faults.file_provider import FileProvider
from tallystick.testing.faults.kill_points import KillPoints, ProviderWithPoints
from tallystick.testing.referee import Acknowledged, ProviderBooks

Act = Command | Callable[[Books], object]
Step = Act | timedelta  # something a caller does, or time that passes

START = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
LIFE = timedelta(days=30)  # from one process to the next: no wait of the one before is left over
TURN = timedelta(minutes=10)
TRIES, TURNS = 6, 40
ENDLESS = 200  # commands that follow each other at once: no story of sense has so many

BOOKS, OTHER_BOOKS, ACKNOWLEDGED = "books.db", "provider", "acknowledged"  # files in the folder of a run


@attrs.frozen
class Story:
    """What is said, and to whom. `provider` opens the provider's books in a file that no crash takes."""

    name: str
    steps: Sequence[Step]
    machines: Machines
    provider: Callable[[Path], Provider] = FileProvider
    # What became of a call that recovery could not close: a person asks the provider.
    by_hand: Callable[[Provider, Call], Outcome] = lambda provider, call: provider.by_hand(call)  # type: ignore[attr-defined]
    # The provider's books for the referee, if they can be read.
    provider_books: Callable[[Path], ProviderBooks | None] = lambda path: FileProvider(path).provider_books()
    # What else is wrong, as sentences, with the files of a folder at any moment.
    wrong: Callable[[Path], Iterable[str]] = lambda folder: ()


# A transaction of the caller's own: its connection, inside. Its errors are StoreErrors.
OwnTransaction = Callable[[], AbstractContextManager[Any]]


class Clock:
    """Moves only when the story says so. Every process begins a month after the one before."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class _Engine(Engine):
    """Writes down what its callers were told, beside the books, so that a crash does not lose it."""

    acknowledgements: Path
    own: OwnTransaction  # of the order system, in the same database

    def try_execute(self, command: Command, *, connection: Any = None) -> Receipt:
        receipt = super().try_execute(command, connection=connection)
        if connection is None:
            acknowledge(self.acknowledgements, receipt)
        return receipt


def acknowledge(path: Path, receipt: Receipt) -> None:
    """Keep what a caller was told."""
    line = json.dumps([receipt.key, receipt.machine, receipt.id, receipt.command, str(receipt.result)])
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def acknowledged(folder: Path) -> list[Acknowledged]:
    """What callers were told by every process so far."""
    path = folder / ACKNOWLEDGED
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Acknowledged(*json.loads(line)) for line in lines]


@contextmanager
def _in_the_file(path: Path, connections: type[sqlite3.Connection]) -> Iterator[sqlite3.Connection]:
    with _their_own():
        connection = sqlite3.connect(path, isolation_level=None, factory=connections)
    with closing(connection):
        with _their_own():
            connection.execute("BEGIN IMMEDIATE")
        yield connection
        with _their_own():
            connection.execute("COMMIT")


@contextmanager
def _their_own() -> Iterator[None]:
    """The order system's own use of the database may fail too; it says so as we do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the order's own transaction: {error}") from error


class StoryRun:
    """One process that runs a story, on the files in a folder."""

    def __init__(
        self, story: Story, folder: Path, process: int = 0, *, points: KillPoints | None = None,
        connections: type[sqlite3.Connection] = sqlite3.Connection,
        tolerated: Callable[[BaseException], bool] = lambda error: False,
        jumps: Iterator[timedelta] | None = None, twin: str = "", timeout: float = 0.2, store: Store | None = None,
        own: OwnTransaction | None = None,
    ) -> None:  # fmt: skip
        """`process`: how many processes there were before it. A `twin` does the same at the same time.

        `tolerated` says which errors do not end the run; `jumps` set the clock; `timeout` is for locks, in seconds.
        `store`: instead of the file, and with it `own`: the order system's transactions there.
        """
        self.story = story
        self.clock = Clock(START + process * LIFE)
        self._tolerated = tolerated
        self._jumps = jumps or iter(())
        ids = iter(range(1, 1 << 30))
        self.engine = _Engine(
            story.machines, store or SqliteStore(folder / BOOKS, connections=connections, busy_timeout=timeout),
            ProviderWithPoints(story.provider(folder / OTHER_BOOKS), points or KillPoints()),
            clock=self.clock, ids=lambda: f"call-{process}{twin}-{next(ids)}",
            random=Random(process),  # noqa: S311  # the same waits in every run
        )  # fmt: skip
        self.engine.acknowledgements = folder / ACKNOWLEDGED
        self.engine.own = own or partial(_in_the_file, folder / BOOKS, connections)
        self.books = Books(self.engine)

    def finish(self) -> None:
        """The whole story, from its start, and close the books."""
        self.run()
        self.close()

    def run(self) -> None:
        """The whole story, from its start."""
        self.rest()
        for step in self.story.steps:
            if isinstance(step, timedelta):
                self.clock.now += step
                self.rest()
            else:
                self.insist(step)

    def insist(self, step: Act) -> None:
        """Do it until it is answered. Raises AssertionError if it never is."""
        for _ in range(TRIES):
            answered = self._answered(step)
            self.rest()
            if answered:
                return
        raise AssertionError(f"{step} is not answered")

    def _answered(self, step: Act) -> bool:
        self.clock.now += next(self._jumps, timedelta())
        try:
            if isinstance(step, Command):
                self.engine.try_execute(step).or_raise()
            else:
                step(self.books)
        except (Refused, Declined, GivenBack):  # the last one only when the story is run again
            return True
        except (InDoubt, Unavailable):
            return False
        except Exception as error:
            if not self._tolerated(error):
                raise
            return False
        return True

    def rest(self) -> None:
        """Do what an operator's jobs do, until nothing is in doubt and nothing is waiting for another try."""
        for _ in range(TURNS):
            try:
                if len(self.engine.run_due(ENDLESS)) == ENDLESS:
                    raise AssertionError(f"{ENDLESS} commands follow each other, and there is no end of them")
                if self._quiet():
                    return
                self.clock.now = max(self.clock.now, self._asked()) + TURN
                self.engine.recover()
                self._resolve_by_hand()
            except Exception as error:
                if not self._tolerated(error):
                    raise
        raise AssertionError("it does not come to rest")

    def _quiet(self) -> bool:
        with self.engine.store.reading() as look:
            soon = stamp(self.clock.now + 2 * LONGEST_WAIT)
            return not look.calls() and not any(row.due <= soon for row in look.queue(state="waiting"))

    def _asked(self) -> datetime:
        """When the last call was sent. If a clock ran ahead then, the call is recovered when that time has come."""
        with self.engine.store.reading() as look:
            return max((datetime.fromisoformat(row.asked) for row in look.calls()), default=START)

    def _resolve_by_hand(self) -> None:
        """A person asks the provider about what recovery could not close, and says what became of it."""
        with self.engine.store.reading() as look:
            open_ = [(row, look.entity(row.machine, row.entity)) for row in look.calls() if row.note]
        for row, card in open_:
            assert card is not None
            done = self.story.by_hand(self.engine.provider, call_of(row, card))
            amount = Money(done.amount, row.currency) if done.amount is not None else None
            self.engine.resolve(
                row.id, done.result, by="ann", reason="seen by hand", reference=done.reference, amount=amount,
                number=done.number,
            )  # fmt: skip

    def close(self) -> None:
        self.books.close()

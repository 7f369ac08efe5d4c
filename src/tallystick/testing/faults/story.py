"""A story: what a caller says, from its start to its end, and what the books are worth at any moment of it.

A story is told one step after the other; before the next one, what is in doubt is recovered and what is due is done,
as an operator's jobs would. Told again from its start with the same keys, by another process on the same files, it
goes on where it was broken off. So whatever happened in between, at its end the books are the same, and `Shape` is
what "the same" means: not the ids and the times, but everything else.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import attrs

from tallystick.books.books import Books
from tallystick.definition.machine import Machines
from tallystick.engine.engine import LONGEST_WAIT, Engine
from tallystick.engine.old_receipt import call_of
from tallystick.engine.receipt import Command, Declined, InDoubt, Receipt, Refused, Unavailable, stamp
from tallystick.provider.protocol import Call, Outcome, Provider
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.faults.file_provider import Counterpart
from tallystick.testing.faults.points import Pointed, Points
from tallystick.testing.referee.verdict import Provided, Rows, Told

Step = Command | Callable[[Books], object] | timedelta  # a command, something more, or time that passes
Fault = Callable[[BaseException], bool]

START = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
LIFE = timedelta(days=30)  # from one process to the next: no wait of the one before is left over
TURN = timedelta(minutes=10)
TRIES, TURNS = 6, 40
ENDLESS = 200  # commands that follow each other at once: no story of sense has so many

BOOKS, OTHER_BOOKS, TOLD = "books.db", "provider", "told"


@attrs.frozen
class Story:
    """What is said, and to whom. `provider` opens the provider's books in a file that no crash takes."""

    name: str
    steps: Sequence[Step]
    machines: Machines
    provider: Callable[[Path], Provider] = Counterpart
    by_hand: Callable[[Provider, Call], Outcome] = lambda provider, call: provider.by_hand(call)  # type: ignore[attr-defined]
    provided: Callable[[Path], Provided | None] = lambda path: Counterpart(path).provided()
    wrong: Callable[[Path], Iterable[str]] = lambda folder: ()  # what else is, with the files of a folder at any moment


class Clock:
    """Stands still, but for what the story says. Every process begins a month after the one before."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class _Engine(Engine):
    """Writes down what its callers were told, beside the books: a crash does not make it unsaid."""

    told_to: Path

    def try_execute(self, command: Command, *, connection: Any = None) -> Receipt:
        receipt = super().try_execute(command, connection=connection)
        if connection is None:
            write_told(self.told_to, receipt)
        return receipt


def write_told(path: Path, receipt: Receipt) -> None:
    line = json.dumps([receipt.key, receipt.machine, receipt.id, receipt.command, str(receipt.result)])
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


class Telling:
    """One process that tells a story, on the files in a folder. `life`: how many processes were there before it."""

    def __init__(
        self, story: Story, folder: Path, life: int, points: Points | None = None,
        connections: type[sqlite3.Connection] = sqlite3.Connection, fault: Fault = lambda error: False,
        jumps: Iterator[timedelta] | None = None, twin: str = "", timeout: float = 0.2,
    ) -> None:  # fmt: skip
        """`fault` says which errors are borne; `jumps` are of the clock; a `twin` does the same at the same time."""
        self.story = story
        self.clock = Clock(START + life * LIFE)
        self._fault = fault
        self._jumps = jumps or iter(())
        ids = iter(range(1, 1 << 30))
        self.engine = _Engine(
            story.machines, SqliteStore(folder / BOOKS, connections=connections, timeout=timeout),
            Pointed(story.provider(folder / OTHER_BOOKS), points or Points()),
            clock=self.clock, ids=lambda: f"call-{life}{twin}-{next(ids)}",
            random=Random(life),  # noqa: S311  # the same waits in every run
        )  # fmt: skip
        self.engine.told_to = folder / TOLD
        self.books = Books(self.engine)

    def tell(self) -> None:
        """The whole story, from its start."""
        self.rest()
        for step in self.story.steps:
            if isinstance(step, timedelta):
                self.clock.now += step
                self.rest()
            else:
                self.insist(step)

    def insist(self, step: Command | Callable[[Books], object]) -> None:
        """Say it until it is answered."""
        for _ in range(TRIES):
            answered = self._said(step)
            self.rest()
            if answered:
                return
        raise AssertionError(f"{step} is not answered")

    def _said(self, step: Command | Callable[[Books], object]) -> bool:
        self.clock.now += next(self._jumps, timedelta())
        try:
            if isinstance(step, Command):
                self.engine.try_execute(step).or_raise()
            else:
                step(self.books)
        except (Refused, Declined):
            return True
        except (InDoubt, Unavailable):
            return False
        except Exception as error:
            if not self._fault(error):
                raise
            return False
        return True

    def rest(self) -> None:
        """What an operator's jobs do, until nothing is in doubt and nothing is tried again."""
        for _ in range(TURNS):
            try:
                if len(self.engine.run_due(ENDLESS)) == ENDLESS:
                    raise AssertionError(f"{ENDLESS} commands follow each other, and there is no end of them")
                if self._quiet():
                    return
                self.clock.now = max(self.clock.now, self._asked()) + TURN
                self.engine.recover()
                self._people()
            except Exception as error:
                if not self._fault(error):
                    raise
        raise AssertionError("it does not come to rest")

    def _quiet(self) -> bool:
        with self.engine.store.reading() as look:
            soon = stamp(self.clock.now + 2 * LONGEST_WAIT)
            return not look.calls() and not any(row.due <= soon for row in look.queue(state="waiting"))

    def _asked(self) -> datetime:
        """When the last call was sent; what a clock that ran ahead has stamped is recovered when that time has come."""
        with self.engine.store.reading() as look:
            return max((datetime.fromisoformat(row.asked) for row in look.calls()), default=START)

    def _people(self) -> None:
        """What recovery has left to them: they look where the provider lets people look, and say what became of it."""
        with self.engine.store.reading() as look:
            open_ = [(row, look.entity(row.machine, row.entity)) for row in look.calls() if row.note]
        for row, card in open_:
            assert card is not None
            done = self.story.by_hand(self.engine.provider, call_of(row, card))
            self.engine.resolve(
                row.id, done.result, by="ann", reason="seen by hand", reference=done.reference, amount=done.amount,
                number=done.number,
            )  # fmt: skip

    def close(self) -> None:
        self.books.close()


def told(folder: Path) -> list[Told]:
    """What was acknowledged by every process so far."""
    if not (folder / TOLD).exists():
        return []
    return [Told(*json.loads(line)) for line in (folder / TOLD).read_text(encoding="utf-8").splitlines()]


# What is compared


@attrs.frozen
class Shape:
    """The books, without what is different in every run: ids, references, numbers drawn, times and hashes.

    What was asked for and did not happen is left out too; what happened stands in its order.
    """

    entities: Mapping[str, object]
    entries: Mapping[str, object]
    queue: Mapping[str, str]
    calls: Mapping[str, int]

    @classmethod
    def of(cls, rows: Rows, machines: Machines) -> Shape:
        names = _names(rows)
        entries: dict[str, list[object]] = {}
        for each in rows.entries:
            if each["phase"] in ("done", "confirmed", "declined"):
                entries.setdefault(f"{each['machine']} {each['entity']}", []).append(
                    (
                        each["transition"],
                        each["phase"],
                        each["to_state"],
                        each["postings"],
                        each["key"] or each["cause"],
                    )
                )
        ended = Counter(f"{each['verb']} for {each['key']}: {each['state']}" for each in rows.calls)
        return cls(
            {f"{each['machine']} {each['id']}": _entity(each, names, machines) for each in rows.entities},
            entries,
            {each["key"]: each["state"] for each in rows.queue},
            ended,
        )

    def differences(self, other: Shape) -> list[str]:
        """Where the other is not like this one, as sentences."""
        found = []
        for part in ("entities", "entries", "queue", "calls"):
            mine, others = getattr(self, part), getattr(other, part)
            found += [
                f"{part}: {name} is {others.get(name)}; undisturbed it is {mine.get(name)}"
                for name in sorted(mine.keys() | others.keys())
                if mine.get(name) != others.get(name)
            ]
        return found


def _names(rows: Rows) -> dict[str, str]:
    """The provider's references, by what they stand for."""
    found = {}
    for call in rows.calls:
        reference = json.loads(call["outcome"] or "{}").get("reference")
        if reference is not None:
            found[reference] = f"{call['verb']} for {call['key']}"
    return found


def _entity(row: Mapping[str, Any], names: Mapping[str, str], machines: Machines) -> tuple[object, ...]:
    declared = machines.at(row["machine"], row["machine_version"]).facts
    facts = {
        name: value is not None if declared[name].type.kind == "number" else names.get(str(value), value)
        for name, value in row["facts"].items()
    }
    return row["state"], dict(row["accounts"]), facts, row["calls"], row["changing"]


def copy(folder: Path, to: Path) -> Path:
    """The files of a folder as they stand, as a crash leaves them."""
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def remove(folder: Path) -> None:
    for file in folder.iterdir():
        os.unlink(file)
    folder.rmdir()

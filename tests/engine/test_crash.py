"""Stopped anywhere and run again with the same keys, the books end as if nothing had happened.

Twice over: first the engine is stopped, in this process, at the steps it takes: before and after each
commit, before and after each call. Then real processes are killed with SIGKILL at random moments, from the first
byte of the file on. After either, a new engine recovers, the same list of commands is said again from its start,
and the books are compared with those of a run that nobody disturbed.

At every statement and every call they are killed by `tallystick.testing.faults.crash`; see tests/testing/faults/test_crash_points.py.

The provider keeps a book of its own, which no crash takes from it. What it does depends only on the amount and on
how often it was asked: 1 cent at the end is declined, 2 is confirmed for half, of 3 the answer is lost, of 4 the
request. With a PIN, what it was not seen to do is given back and has to be asked again by its caller.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from tallystick.core.arguments import in_minor_units
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command
from tallystick.engine.verify import verify
from tallystick.money import Money
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Ambiguous, Call, CardFacts, NotSeen, Outcome, Provider, Reason, Result
from tallystick.store.memory import MemoryStore
from tallystick.store.protocol import Store, Transaction
from tallystick.store.rows import Changes
from tallystick.store.sqlite import SqliteStore

MACHINES = reader.load()
SEED, KILLS, PASSES = 20260301, 10, 12  # kills of each kind
PIN = "73519"


# What is done


def commands(payments: Iterable[int]) -> list[Command]:
    """Some payments and their one or two cards, each with a life of its own; amounts say what the provider does."""
    numbers = list(payments)
    cards = sorted({f"c{1 + number % 2}" for number in numbers})
    said: list[tuple[str, str, str, dict[str, object]]] = []
    for card in cards:
        said += [
            ("gift_card", card, "create", {"form": "electronic", "currency": "BRL"}), ("gift_card", card, "allocate", {}),
            ("gift_card", card, "activate", {}), ("gift_card", card, "issue", {"amount": "9000.00"}),
        ]  # fmt: skip
    for number in numbers:
        id, more = f"p{number}", {"allow_partial": True} | ({"pin": PIN} if number % 3 == 1 else {})
        amount = 5000 + 10 * number + number % 5  # ends in 0, declined, half, answer lost, request lost
        said += [
            ("payment", id, "create", {"order": f"o{number}", "card": f"c{1 + number % 2}", "currency": "BRL"}),
            ("payment", id, "authorize", {"amount": amount, **more}),
            ("payment", id, "settle", {"amount": 1003 if number % 2 else 1004, "keep_hold": number % 4 == 3}),
            ("payment", id, "settle", {"amount": 507}),
            ("payment", id, "cancel" if number % 3 else "close", {}),
            ("payment", id, "refund", {"amount": 104 if number % 2 else 101}),
        ]  # fmt: skip
    said.append(("gift_card", cards[0], "redeem", {"amount": 774, "pin": PIN}))
    return [Command(*each, in_minor_units(args), key=f"k{number}") for number, (*each, args) in enumerate(said)]


class Bank:
    """A provider with a book: what it has done under which call, and what was lost on the way."""

    name = "bank"
    local = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.book: list[dict[str, Any]] = []
        if path.exists():
            self.book = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def _write(self, call: Call, what: str, amount: object = None) -> None:
        line = {"call": call.id, "what": what, "amount": amount, "verb": call.verb, "card": call.card.id}
        self.book.append(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")  # one write of one line: it is there or not

    def perform(self, call: Call) -> Outcome:
        assert self._outcome(call) is None, "the same call, twice"
        amount = call.args.get("amount")
        ends = amount % 10 if isinstance(amount, int) else 0
        lost = any(each["call"] == call.id for each in self.book)
        if ends == 4 and call.attempt == 1 and not lost:
            self._write(call, "request lost")
            raise TimeoutError
        if ends == 1:
            self._write(call, "declined")
        elif ends == 2 and call.verb == "hold" and isinstance(amount, int):
            self._write(call, "confirmed", amount // 2)
        else:
            self._write(call, "confirmed", amount)
        if ends == 3:
            raise TimeoutError
        outcome = self._outcome(call)
        assert outcome is not None
        return outcome

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return self._outcome(call) or NotSeen("no trace of it")

    def _outcome(self, call: Call) -> Outcome | None:
        for each in self.book:
            if each["call"] == call.id and each["what"] != "request lost":
                if each["what"] == "declined":
                    return Outcome(Result.DECLINED, reason=Reason.OTHER)
                number = f"60000000{call.card.id[1:]:0>8}" if call.verb == "allocate" else None
                part = each["amount"] if call.verb == "hold" else None
                return Outcome(Result.CONFIRMED, reference=f"ref {call.id}", amount=part, number=number)
        return None

    def spendable(self) -> dict[str, int]:
        """What stands on each card, by this book alone; what is held is not among it."""
        cards: dict[str, int] = defaultdict(int)
        for each in self.book:
            if each["what"] == "confirmed" and each["amount"] is not None:
                cards[each["card"]] += each["amount"] * {"issue": 1, "hold": -1, "redeem": -1}.get(each["verb"], 0)
        return cards


def run(engine: Engine, list_: list[Command]) -> None:
    """One pass: end what is open, then say everything from its start; what follows comes before the next."""
    engine.recover()
    if isinstance(engine.provider, Bank):
        person(engine, engine.provider)
    for command in list_:
        engine.try_execute(command)
        engine.run_due()


def person(engine: Engine, bank: Bank) -> None:
    """What was sent twice and never seen, a person does by hand where the provider lets people in, and says so."""
    with engine.store.reading() as look:
        rows = [row for row in look.calls() if row.attempts > 1]
    for row in rows:
        call = Call(row.id, row.verb, CardFacts(row.entity, row.currency), json.loads(row.args), attempt=row.attempts)
        if isinstance(bank.look_up(call), NotSeen):
            with suppress(TimeoutError):
                bank.perform(call)
        done = bank.look_up(call)
        assert isinstance(done, Outcome)
        amount = Money(done.amount, row.currency) if done.amount is not None else None
        engine.resolve(row.id, done.result, by="ann", reason="done by hand", reference=done.reference, amount=amount)


class Days:
    """A clock that stands still during a pass. The next pass is a day later: no wait is left over from this one."""

    def __init__(self, day: int) -> None:
        self.day = day

    def __call__(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=timezone.utc) + timedelta(days=self.day)


# What is compared


@attrs.frozen
class Settled:
    """Where everything stands, and what has moved; what only passed through `in_doubt` is left out."""

    stands: dict[tuple[str, str], tuple[str, dict[str, int]]]
    moved: dict[tuple[str, str], dict[str, int]]

    @classmethod
    def of(cls, store: Store) -> Settled:
        stands = {}
        moved: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        with store.reading() as look:
            for name in MACHINES:
                for each in look.all(name):
                    stands[each.ref] = each.state, dict(each.accounts)
            for record in look.journal():
                for source, target, amount in json.loads(record.postings):
                    moved[record.machine, record.entity][source] -= amount
                    moved[record.machine, record.entity][target] += amount
        return cls(stands, {ref: {name: value for name, value in sums.items() if value} for ref, sums in moved.items()})


def steps(store: Store) -> dict[tuple[str, str], list[tuple[object, ...]]]:
    """Every entry of every entity, without what is random."""
    found: dict[tuple[str, str], list[tuple[object, ...]]] = defaultdict(list)
    with store.reading() as look:
        for record in look.journal():
            found[record.machine, record.entity].append(
                (record.revision, record.transition, record.phase, record.to_state, record.postings, record.key)
            )
    return found


def whole(store: Store, bank: Bank | None) -> None:
    """Nothing is open, nothing waits, nothing is wrong, and the provider's book says the same."""
    assert verify(store.machines(MACHINES), store).findings == ()
    with store.reading() as look:
        assert look.calls() == []
        assert {row.state for row in look.queue()} <= {"done", "refused", "declined"}
        if bank is None:
            return
        calls = {row.id: row.state for row in look.all_calls()}
        ours = {each.id: each.accounts["available"] for each in look.all("gift_card")}
    book = [each for each in bank.book if each["what"] != "request lost"]
    assert max(Counter(each["call"] for each in book).values()) == 1, "nothing was done twice"
    assert {each["call"]: each["what"] for each in book} == calls
    theirs = bank.spendable()
    with store.reading() as look:
        for id in ours:  # what the bank let go of its holds came back with a redemption or a release
            back = sum(
                amount
                for record in look.journal("gift_card", id)
                for source, target, amount in json.loads(record.postings)
                if record.transition in ("redeem_hold", "release_hold") and target == "available"
                and record.phase == "confirmed" and source == "in_doubt"
            )  # fmt: skip
            assert ours[id] == theirs[id] + back


def settle(store: Store, provider: Provider, list_: list[Command], day: int) -> Settled:
    """Pass after pass, until one changes nothing any more."""
    days = Days(day)
    engine = Engine(MACHINES, store, provider, clock=days)
    before = -1
    for _ in range(PASSES):
        run(engine, list_)
        with store.reading() as look:
            length = len(list(look.journal()))
        if length == before:
            return Settled.of(store)
        before = length
        days.day += 1
    raise AssertionError("it never ends")


# Stopped at every step


class Stopped(BaseException):
    """The end of a process, as far as a test can play it."""


class Steps:
    """Counts the steps of an engine and stops it at one of them."""

    def __init__(self, stop_at: int) -> None:
        self.stop_at, self.taken = stop_at, 0
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.taken += 1
        self.names.append(name)
        if self.taken == self.stop_at:
            raise Stopped(name)


class SteppedTransaction:
    """Knows whether something is written; a transaction that writes nothing is no step."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.wrote = False

    def write(self, changes: Changes, at: str) -> None:
        self.wrote = bool(changes.entries or changes.calls or changes.queue)
        self._transaction.write(changes, at)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transaction, name)


class SteppedStore:
    def __init__(self, store: Store, step: Steps) -> None:
        self._store, self._step = store, step
        self.url = store.url

    def run(self, job: Callable[[Any], Any]) -> Any:
        wrote = [False]

        def watched(transaction: Transaction) -> Any:
            stepped = SteppedTransaction(transaction)
            done = job(stepped)
            wrote[0] = stepped.wrote
            if stepped.wrote:
                self._step("before the commit")
            return done

        done = self._store.run(watched)
        if wrote[0]:
            self._step("after the commit")
        return done

    def reading(self) -> AbstractContextManager[Any]:
        return self._store.reading()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class SteppedProvider:
    def __init__(self, provider: Provider, step: Steps) -> None:
        self._provider, self._step = provider, step
        self.name, self.local = provider.name, provider.local

    def perform(self, call: Call) -> Outcome:
        self._step("before the call")
        outcome = self._provider.perform(call)
        self._step("after the call")
        return outcome

    def look_up(self, call: Call) -> Outcome | NotSeen | Ambiguous:
        return self._provider.look_up(call)


def make(kind: str, folder: Path, name: object) -> tuple[Store, Provider, Bank | None]:
    store = MemoryStore() if kind.startswith("memory") else SqliteStore(folder / f"{name}.db")
    bank = Bank(folder / f"{name}.book") if kind.endswith("bank") else None
    return store, bank or LocalProvider(), bank


def stopped(store: Store, provider: Provider, step: Steps, list_: list[Command]) -> bool:
    """Whether the steps ended before the work did."""
    try:
        settle(SteppedStore(store, step), SteppedProvider(provider, step), list_, 0)
    except Stopped:
        return True
    return False


@pytest.mark.parametrize(
    ("kind", "payments", "every"),
    [("memory local", [3, 4], 1), ("memory bank", [3], 2), ("memory bank", [4], 3)],
)
def test_stopped_at_its_steps_it_ends_in_the_same_books(
    kind: str, payments: list[int], every: int, tmp_path: Path
) -> None:
    list_ = commands(payments)
    store, provider, bank = make(kind, tmp_path, "undisturbed")
    counted = Steps(0)
    assert not stopped(store, provider, counted, list_)
    books = Settled.of(store)
    whole(store, bank)
    store.close()
    names = Counter(counted.names)
    assert names["before the commit"] == names["after the commit"] > 20
    assert names["before the call"] >= 7

    for stop_at in range(1, counted.taken + 1, every):
        store, provider, bank = make(kind, tmp_path, stop_at)
        step = Steps(stop_at)
        assert stopped(store, provider, step, list_)
        assert settle(store, provider, list_, PASSES) == books, f"stopped at step {stop_at}, {step.names[-1]}"
        whole(store, bank)
        store.close()


# Killed at random moments


def in_a_child(job: Callable[[int], object], day: int) -> int:
    """A process of its own; it says with its code how it ended."""
    child = os.fork()
    if not child:
        try:
            job(day)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(3)
        os._exit(0)
    return child


def kill(kind: str, folder: str, seed: str, wanted: str) -> None:
    """Rounds, each with books of its own, until so many were killed; one line for each round.

    A child is killed while it opens its books, or a moment after a command of its own was answered.
    """
    random, list_, killed, days = Random(int(seed)), commands(range(8)), 0, count()
    for number in count():
        mine = 0

        def engine(day: int, number: int = number) -> Engine:
            store, provider, _ = make(kind, Path(folder), number)
            return Engine(MACHINES, store, provider, clock=Days(day))

        def recovers(day: int) -> None:
            engine(day).recover()

        while killed + mine < int(wanted):
            if kind.endswith("bank"):  # nobody kills who recovers: what was sent twice is a matter for people
                assert not ended(in_a_child(recovers, next(days)))
            reads, writes = os.pipe()

            def runs(day: int, writes: int = writes) -> None:
                one = engine(day)
                for command in list_:
                    receipt = one.try_execute(command)
                    if receipt.applied and not receipt.replayed:
                        os.write(writes, b".")
                    one.run_due()

            child = in_a_child(runs, next(days))
            os.close(writes)
            if random.random() < 0.2:
                time.sleep(random.uniform(0, 0.02))
            else:
                for _ in range(random.randint(1, 6)):
                    os.read(reads, 1)
                time.sleep(random.uniform(0, 0.002))
            os.kill(child, signal.SIGKILL)
            os.close(reads)
            if not ended(child):
                break
            mine += 1

        def settles(day: int, number: int = number) -> None:
            store, provider, _ = make(kind, Path(folder), number)
            settle(store, provider, list_, day)

        assert not ended(in_a_child(settles, next(days)))
        killed += mine
        print(json.dumps({"round": number, "killed": mine}), flush=True)
        if killed >= int(wanted):
            return


def ended(child: int) -> bool:
    """Whether the child was killed; it must not have ended otherwise than well."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("kind", ["sqlite local", "sqlite bank"])
def test_killed_at_random_moments_it_ends_in_the_same_books(kind: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", __file__, kind, str(tmp_path), str(SEED), str(KILLS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    rounds = [json.loads(line) for line in ran.stdout.splitlines()]
    assert sum(each["killed"] for each in rounds) >= KILLS
    assert max(each["killed"] for each in rounds) > 1

    store, provider, bank = make(f"memory {kind.split()[1]}", tmp_path, "undisturbed")
    books = settle(store, provider, commands(range(8)), 0)
    whole(store, bank)
    for each in rounds:
        disturbed, _, bank = make(kind, tmp_path, each["round"])
        whole(disturbed, bank)
        assert Settled.of(disturbed) == books
        if bank is None:
            assert steps(disturbed) == steps(store), "entry for entry"
        disturbed.close()
        raw = sqlite3.connect(tmp_path / f"{each['round']}.db")
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        raw.close()


if __name__ == "__main__":
    kill(*sys.argv[1:])

"""Eight processes of eight threads hammer ten cards through payments in one file. Then we do the numbers.

Every worker writes down, in a file of its own and after the answer came, what it was told. Nothing of the
library is used to judge: the sums are SQL and JSON over the raw tables, and what was told is looked for in the
journal. Some keys are given to all workers at once; many are said again, at random.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from tallystick.core.arguments import in_minor_units
from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command, Receipt
from tallystick.engine.verify import verify
from tallystick.errors import KeyReused
from tallystick.provider.local import LocalProvider
from tallystick.store.sqlite import SqliteStore

PROCESSES, THREADS, CARDS, SEED = 8, 8, 10, 20260301
SECONDS = 6.0  # at most: a worker that is not done by then stops


# The worker, in a process of its own


class Worker:
    """One thread. Every payment lives its own life; cards and some payments belong to all."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine, self.name = engine, name
        self.random = Random(f"{SEED} {name}")
        self.told: list[tuple[Command, Receipt]] = []
        self.count = 0

    def give(self, command: Command) -> Receipt:
        command = attrs.evolve(command, args=in_minor_units(command.args))
        receipt = self.engine.try_execute(command)
        self.told.append((command, receipt))
        return receipt

    def pay(self, id: str, command: str, key: str = "", **args: object) -> Receipt:
        self.count += 1
        return self.give(Command("payment", id, command, args, key or f"{self.name}-{self.count}"))

    def work(self, until: float) -> None:
        for number in range(4):
            self.shared(number)
            self.own(number)
            self.again()
            if time.monotonic() > until:
                break

    def own(self, number: int) -> None:
        """A payment of this worker's, from its creation to one of its ends."""
        id, card = f"{self.name}-{number}", f"c{self.random.randrange(CARDS)}"
        self.pay(id, "create", order=id, card=card, currency="BRL")
        amount = self.random.randint(2, 5000)
        if not self.pay(id, "authorize", amount=amount, allow_partial=self.random.random() < 0.3).applied:
            return
        for _ in range(self.random.randint(0, 3)):
            how = {"last": self.random.random() < 0.2, "keep_hold": self.random.random() < 0.4}
            self.pay(id, "settle", amount=self.random.randint(1, amount), **how)
            if self.random.random() < 0.7:
                self.engine.run_due(3)
        if self.random.random() < 0.4:
            self.pay(id, "settle", amount=self.random.randint(1, amount), last=True)
        else:
            self.pay(id, self.random.choice(["cancel", "close"]))
        self.pay(id, "refund", amount=self.random.randint(1, amount))

    def shared(self, number: int) -> None:
        """The same commands, with the same keys, from all workers at once."""
        id, card = f"all-{number}", f"c{number}"
        self.pay(id, "create", f"{id}-create", order=id, card=card, currency="BRL")
        self.pay(id, "authorize", f"{id}-authorize", amount=1000)
        self.pay(id, "settle", f"{id}-settle", amount=400)
        self.give(Command("gift_card", card, "reload", {"amount": 7}, f"{card}-reload"))
        self.give(Command("gift_card", card, "redeem", {"amount": self.random.randint(1, 9)}, f"{self.name}-r{number}"))

    def again(self) -> None:
        """Say something again: the answer is the same, whatever happened since."""
        for command, told in self.random.sample(self.told, 3):
            receipt = self.give(command)
            if told.applied:
                assert receipt.replayed, receipt
                same = [(each.state, each.after_minor, each.postings, each.transition) for each in (receipt, told)]
                assert same[0] == same[1]
                try:
                    self.engine.try_execute(
                        attrs.evolve(command, id="c0", machine="gift_card", command="suspend", args={})
                    )
                except KeyReused:
                    continue
                raise AssertionError(f"{command.key} stands for two intentions")


def main(path: str, process: str) -> None:
    store = SqliteStore(path)
    engine = Engine(reader.load(), store, LocalProvider())
    workers = [Worker(engine, f"w{process}{thread}") for thread in range(THREADS)]
    errors: list[BaseException] = []

    def run(worker: Worker) -> None:
        try:
            worker.work(time.monotonic() + SECONDS)
        except BaseException as error:
            errors.append(error)
            raise

    print("ready", flush=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        for command, receipt in worker.told:
            print(json.dumps({
                "key": command.key, "machine": command.machine, "id": command.id, "command": command.command,
                "result": receipt.result, "state": receipt.state, "transition": receipt.transition,
                "after": dict(receipt.after_minor), "postings": receipt.postings, "replayed": receipt.replayed,
            }))  # fmt: skip
    store.close()
    sys.exit(1 if errors else 0)


# The judge


@attrs.frozen
class Aftermath:
    path: Path
    told: list[dict[str, Any]]

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        raw = sqlite3.connect(self.path)
        rows = raw.execute(statement, values).fetchall()
        raw.close()
        return rows


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    path = tmp_path_factory.mktemp("hammer") / "books.db"
    store = SqliteStore(path)
    engine = Engine(reader.load(), store, LocalProvider())
    for number in range(CARDS):
        for command, args in (
            ("create", {"form": "electronic", "currency": "BRL"}), ("allocate", {}), ("activate", {}),
            ("issue", {"amount": "200.00"}),
        ):  # fmt: skip
            engine.execute("gift_card", f"c{number}", command, args, key=f"c{number}-{command}")
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", __file__, str(path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=40) for process in processes]
    for process, (_, errors) in zip(processes, ended, strict=True):
        assert (process.returncode, errors) == (0, "")
    engine.run_due()
    store.close()
    return Aftermath(path, [json.loads(line) for said, _ in ended for line in said.splitlines()])


def test_something_happened(aftermath: Aftermath) -> None:
    results = Counter(told["result"] for told in aftermath.told)
    assert results["applied"] > 500
    assert results["refused"] > 20
    assert results.keys() == {"applied", "refused"}
    transitions = {told["transition"] for told in aftermath.told}
    assert {"authorize", "settle_part", "settle_keep_hold", "cancel", "refund", "reload", "redeem"} <= transitions
    assert aftermath.sql("SELECT count(*) FROM queue WHERE state = 'done'")[0][0] > 20


def test_every_acknowledged_command_is_in_the_journal_once(aftermath: Aftermath) -> None:
    kept = defaultdict(list)
    for row in aftermath.sql("SELECT key, machine, entity, command, transition, to_state, postings, after FROM entry"
                             " WHERE key IS NOT NULL"):  # fmt: skip
        kept[row[0]].append(row[1:])
    assert {key for key, rows in kept.items() if len(rows) > 1} == set()
    for told in aftermath.told:
        if told["result"] != "applied":
            continue
        (row,) = kept[told["key"]]
        assert row[:5] == (told["machine"], told["id"], told["command"], told["transition"], told["state"])
        assert (json.loads(row[5]), json.loads(row[6])) == (told["postings"], told["after"])


def test_one_of_those_who_gave_the_same_key_did_it(aftermath: Aftermath) -> None:
    first = Counter(told["key"] for told in aftermath.told if told["result"] == "applied" and not told["replayed"])
    assert max(first.values()) == 1
    said = Counter(told["key"] for told in aftermath.told if told["result"] == "applied")
    shared = [key for key in said if key.startswith("all-") and key.endswith("-authorize")]
    assert len(shared) == 4
    assert all(first[key] == 1 and said[key] > PROCESSES for key in shared)


def test_what_was_refused_is_not_in_the_journal(aftermath: Aftermath) -> None:
    applied = {told["key"] for told in aftermath.told if told["result"] == "applied"}
    refused = {told["key"] for told in aftermath.told if told["result"] == "refused"} - applied
    keys = {key for (key,) in aftermath.sql("SELECT key FROM entry WHERE key IS NOT NULL")}
    assert refused & keys == set()


def test_nothing_is_in_the_journal_that_nobody_was_told(aftermath: Aftermath) -> None:
    applied = {told["key"] for told in aftermath.told if told["result"] == "applied"}
    queued = {key for (key,) in aftermath.sql("SELECT key FROM queue")}
    sold = {
        f"c{number}-{command}" for number in range(CARDS) for command in ("create", "allocate", "activate", "issue")
    }
    keys = {key for (key,) in aftermath.sql("SELECT key FROM entry WHERE key IS NOT NULL")}
    assert keys - applied - queued - sold == set()


def test_every_balance_is_the_sum_of_its_postings(aftermath: Aftermath) -> None:
    stands: dict[tuple[str, str, str], int] = defaultdict(int)
    for machine, entity, postings in aftermath.sql("SELECT machine, entity, postings FROM entry"):
        for source, target, amount in json.loads(postings):
            assert amount > 0
            stands[machine, entity, source] -= amount
            stands[machine, entity, target] += amount
    for machine, accounts in (
        ("gift_card", ("available", "held", "in_doubt")), ("payment", ("held", "uncovered", "redeemed", "in_doubt")),
    ):  # fmt: skip
        rows = aftermath.sql(f"SELECT id, {', '.join(accounts)} FROM {machine}")
        assert len(rows) >= CARDS
        for id, *balances in rows:
            assert balances == [stands[machine, id, account] for account in accounts]
            assert min(balances) >= 0


def test_no_cent_was_lost_or_made(aftermath: Aftermath) -> None:
    """What was put on the cards is on them, or was spent from them; and what payments have, cards gave."""
    for number in range(CARDS):
        moved = dict(aftermath.sql(
            "SELECT source || '>' || target, sum(amount) FROM posting WHERE machine = 'gift_card' AND entity = ?"
            " GROUP BY 1", f"c{number}",
        ))  # fmt: skip
        ((available, held, in_doubt),) = aftermath.sql(
            "SELECT available, held, in_doubt FROM gift_card WHERE id = ?", f"c{number}"
        )
        issued = moved["issuance>available"]
        spent = moved.get("held>spent", 0) + moved.get("available>spent", 0) - moved.get("spent>available", 0)
        assert available + held + in_doubt + spent == issued
        assert in_doubt == 0
        assert issued == 20000 + (7 if number < 4 else 0)

        ((promised, redeemed),) = aftermath.sql(
            "SELECT coalesce(sum(held), 0), coalesce(sum(redeemed), 0) FROM payment WHERE card = ?", f"c{number}"
        )
        assert held == promised
        directly = moved.get("available>spent", 0)
        assert spent == redeemed + directly


def test_every_history_is_whole(aftermath: Aftermath) -> None:
    rows = aftermath.sql("SELECT machine, entity, revision, from_state, to_state FROM entry ORDER BY 1, 2, 3")
    before: dict[tuple[str, str], tuple[int, str | None]] = {}
    for machine, entity, revision, from_state, to_state in rows:
        last, state = before.get((machine, entity), (0, None))
        assert (revision, from_state) == (last + 1, state)
        before[machine, entity] = revision, to_state
    for machine in ("gift_card", "payment"):
        for id, revision, state in aftermath.sql(f"SELECT id, revision, state FROM {machine}"):
            assert before[machine, id] == (revision, state)


def test_nothing_waits_and_nothing_is_in_flight(aftermath: Aftermath) -> None:
    assert aftermath.sql("SELECT count(*) FROM queue WHERE state IN ('waiting', 'parked')") == [(0,)]
    assert aftermath.sql("SELECT count(*) FROM call") == [(0,)]
    assert aftermath.sql("SELECT sum(calls) FROM gift_card") == [(0,)]


def test_the_library_finds_nothing_either(aftermath: Aftermath) -> None:
    store = SqliteStore(aftermath.path)
    report = verify(store.machines(reader.load()), store)
    store.close()
    assert report.findings == ()
    assert report.entries == aftermath.sql("SELECT count(*) FROM entry")[0][0]
    assert aftermath.sql("PRAGMA integrity_check") == [("ok",)]
    assert aftermath.sql("PRAGMA foreign_key_check") == []


if __name__ == "__main__":
    main(*sys.argv[1:])

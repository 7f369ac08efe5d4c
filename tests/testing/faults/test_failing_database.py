"""The database fails: what the store says of it is true, what it leaves is whole, and the harness would see otherwise."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from tallystick.definition import reader
from tallystick.engine.engine import Engine
from tallystick.engine.receipt import Command
from tallystick.engine.verify import verify
from tallystick.errors import CommitUnknown, StoreBusy, StoreError
from tallystick.provider.local import LocalProvider
from tallystick.store.sqlite import SqliteStore
from tallystick.testing.faults.connection_watch import watched_connection
from tallystick.testing.faults.failing_database import COMMIT, FAULTS, FailingDatabase, failing_calls
from tallystick.testing.faults.our_stories import STEPS, stories

MACHINES = reader.load()
CARD = Command("gift_card", "c1", "create", {"form": "electronic", "currency": "BRL"}, "k1")
NAMED = {fault.name: fault for fault in FAULTS}
SHORT = attrs.evolve(stories()[0], name="short", steps=STEPS["in one step"][:2])


@contextmanager
def opened(path: Path, watch: FailingDatabase) -> Iterator[Engine]:
    store = SqliteStore(path, connections=watched_connection(watch))
    yield Engine(MACHINES, store, LocalProvider())
    store.close()


def place(folder: Path, statement: str) -> int:
    """Where the last such statement of creating a card in a new file is, counted in calls to the database."""
    watch = FailingDatabase(0, None, folder / "counted.db")
    with opened(folder / "counted.db", watch) as engine:
        engine.try_execute(CARD)
    return max(number for number, name in enumerate(watch.calls, 1) if name.startswith(statement))


@pytest.mark.parametrize(
    ("statement", "fault", "says", "busy"),
    [
        ("BEGIN IMMEDIATE", "locked", "another process is writing", True),
        ("BEGIN IMMEDIATE", "I/O error", "disk I/O error; nothing was written", False),
        ("INSERT INTO entry", "disk full", "database or disk is full; nothing was written", False),
        ("INSERT INTO entry", "connection lost", "nothing was written", False),
        ("INSERT INTO entry", "I/O errors in a row", "nothing was written", False),
        (COMMIT, "locked", "locked; nothing was written", False),
        (COMMIT, "COMMIT unknown, done", "whether it was written is not known; say it again with the same key", False),
        (COMMIT, "COMMIT unknown, not done", "whether it was written is not known", False),
    ],
)
def test_the_error_says_what_is_known_and_the_command_can_be_said_again(
    statement: str, fault: str, says: str, busy: bool, tmp_path: Path
) -> None:
    path = tmp_path / "books.db"
    watch = FailingDatabase(place(tmp_path, statement), NAMED[fault], path)
    with opened(path, watch) as engine:
        with pytest.raises(StoreError, match=says) as raised:
            engine.try_execute(CARD)
        assert isinstance(raised.value, StoreBusy) == busy
        assert isinstance(raised.value, CommitUnknown) == ("not known" in says)
        assert watch.failed[0].startswith(statement)
        with sqlite3.connect(path, timeout=0, isolation_level=None) as other:  # while the error is still in hand
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        other.close()
        for _ in range(NAMED[fault].times - 1):  # those that are left to fail
            with suppress(StoreError):
                engine.try_execute(CARD)
        assert engine.try_execute(CARD).applied
        assert verify(engine.machines, engine.store).clean


@pytest.mark.parametrize("fault", ["locked", "I/O error", "disk full", "connection lost"])
@pytest.mark.parametrize("statement", ["PRAGMA foreign_keys = ON", "SELECT name, version", "CREATE TABLE", COMMIT])
def test_books_that_cannot_be_opened_say_so_and_open_later(statement: str, fault: str, tmp_path: Path) -> None:
    watch = FailingDatabase(place(tmp_path, COMMIT), None, tmp_path / "books.db")
    with opened(tmp_path / "counted-opening.db", watch):
        at = next(number for number, name in enumerate(watch.calls, 1) if name.startswith(statement))
    path = tmp_path / "books.db"
    with pytest.raises(StoreError), opened(path, FailingDatabase(at, NAMED[fault], path)):
        pass
    with opened(path, FailingDatabase(0, None, path)) as engine:
        assert engine.try_execute(CARD).applied


def test_what_fails_on_the_connection_of_the_caller_is_a_store_error(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with opened(path, FailingDatabase(0, None, path)) as engine:
        for at in (3, 4, 5):  # after OPEN and BEGIN: the file, the key, the queue
            watch = FailingDatabase(at, NAMED["I/O error"], path)
            theirs = sqlite3.connect(path, isolation_level=None, factory=watched_connection(watch))
            theirs.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="roll your transaction back, and say it again"):
                engine.try_execute(CARD, connection=theirs)
            assert watch.failed
            theirs.close()
        assert engine.try_execute(CARD).applied


class Small(sqlite3.Connection):
    """The disk is as full as can be: SQLite itself says so."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        (pages,) = self.execute("PRAGMA page_count").fetchone()
        self.execute(f"PRAGMA max_page_count = {pages + 4}")


def fill(engine: Engine) -> None:
    for number in range(1000):
        assert engine.try_execute(attrs.evolve(CARD, id=f"c{number}", key=f"k{number}")).applied


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    with opened(tmp_path / "books.db", FailingDatabase(0, None, tmp_path / "books.db")):
        pass
    full = SqliteStore(tmp_path / "books.db", connections=Small)
    engine = Engine(MACHINES, full, LocalProvider())
    with pytest.raises(StoreError, match="full; nothing was written"):
        fill(engine)
    done = verify(engine.machines, full).entries
    assert verify(engine.machines, full).clean
    assert 0 < done < 1000
    full.close()
    with opened(tmp_path / "books.db", FailingDatabase(0, None, tmp_path / "books.db")) as engine:
        assert engine.try_execute(attrs.evolve(CARD, id=f"c{done}", key=f"k{done}")).applied
        assert verify(engine.machines, engine.store).clean


# The harness


def test_a_sample_of_failing_calls_ends_in_the_same_books() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tallystick.testing.faults", "failing-database", "--json", "--calls", "28", "--story", "order"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert (done.returncode, said["findings"]) == (0, []), done.stderr
    assert said["failed calls"] == 28
    assert {f"failed: {fault}" for fault in FAULTS} <= said.keys()
    assert said["errors that reached the caller"] >= 20


def test_a_store_that_claims_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def claims(self: SqliteStore, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"{error}; nothing was written") from error

    monkeypatch.setattr(SqliteStore, "_commit", claims)
    found = failing_calls(SHORT, 14).findings
    assert any(
        "COMMIT unknown, done: the caller is told that nothing was written, but it was" in each for each in found
    )

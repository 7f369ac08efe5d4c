"""Workers in processes of their own, killed at any moment: what is due is done once, whoever does the rest of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import tallystick
from postgres_books import postgres_url
from tallystick.books.books import Books
from tallystick.fleet.worker import Worker
from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import Call, Outcome, Provider
from tallystick.testing.faults.child_process import KILLED, start_child, wait_for_child
from tallystick.testing.faults.file_provider import FileProvider

CARDS, EACH = 4, 6
PAST = datetime(2026, 1, 1, tzinfo=timezone.utc)


class OnceOnly(FileProvider):
    """Does a call once, however often it is sent: then a worker that is killed twice over it needs no person."""

    def perform(self, call: Call) -> Outcome:
        return self._known(call) or super().perform(call)

    def may_repeat(self, call: Call) -> bool:
        return True


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgres":
        with postgres_url() as made:
            yield made
    else:
        yield f"sqlite:///{tmp_path}/books.db"


def prepared(books: Books) -> None:
    for card in range(CARDS):
        books.sell_electronic(f"c{card}", "90.00", "BRL", order="o", key=f"sale{card}")
        books.authorize(f"p{card}", f"c{card}", "80.00", order="o", key=f"hold{card}")
        for turn in range(EACH):  # a FileProvider does what ends with 0 or 3, and loses its answer to the latter
            amount = f"1.{turn}{3 if turn % 3 == 1 else 0}"
            books.settle(
                f"p{card}", amount, key=f"ship{card}/{turn}", keep_hold=True, due=PAST + timedelta(seconds=turn)
            )


def work(url: str, provider: Provider) -> None:
    with tallystick.open(url, provider=provider) as books:
        working = Worker(books.engine, workers=3, lease=0.5, grace=timedelta(seconds=0.3), pause=0.02)
        signal.signal(signal.SIGTERM, lambda *_: working.stop())
        working.run()


def left(books: Books) -> int:
    with books.engine.store.reading() as reading:
        return reading.depth("9999").by_state["waiting"] + len(reading.calls())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", "file"])
def test_killed_workers_leave_nothing_undone_and_nothing_done_twice(url: str, kind: str, tmp_path: Path) -> None:
    provider = OnceOnly(tmp_path / "provider") if kind == "file" else LocalProvider()
    dice, killed, until = random.Random(3), 0, time.monotonic() + 60
    with tallystick.open(url, provider=provider) as books:
        prepared(books)
        running = [start_child(lambda: work(url, provider)) for _ in range(3)]
        while (before := left(books)) and time.monotonic() < until:
            while left(books) == before and time.monotonic() < until:  # somebody has begun, however slow the machine
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.1))
            os.kill(running[0], signal.SIGKILL)
            killed += wait_for_child(running.pop(0)) == KILLED
            running.append(start_child(lambda: work(url, provider)))
        for each in running:
            os.kill(each, signal.SIGTERM)
        ended = [wait_for_child(each) for each in running]
        assert set(ended) <= {"", "ended by signal 15"}  # the latter before it had begun
        assert left(books) == 0, (books.queue.waiting(), books.waiting(), books.stuck())
        assert killed > 0
        assert books.verify().clean
        with books.engine.store.reading() as reading:
            keys = [row.key for row in reading.tail(None, 1000)[0] if (row.key or "").startswith("ship")]
    assert Counter(keys) == Counter(f"ship{card}/{turn}" for card in range(CARDS) for turn in range(EACH))
    for card in range(CARDS):
        mine = [key for key in keys if key.startswith(f"ship{card}/")]
        assert mine == sorted(mine)
    if isinstance(provider, FileProvider):
        assert set(provider.times_done().values()) == {1}


@contextmanager
def killed_at_end(process: subprocess.Popen[str]) -> Iterator[None]:
    """Else a test that fails would wait for it for ever."""
    try:
        yield
    finally:
        process.kill()


@pytest.mark.slow
def test_the_command_ends_what_is_begun_when_it_is_told_to(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    with tallystick.open(url) as books:
        prepared(books)
    command = [sys.executable, "-m", "tallystick", "worker", "--store", url, "--health-port", "0", "--workers", "4"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker,
        killed_at_end(worker),
    ):
        assert worker.stderr is not None
        said = [json.loads(worker.stderr.readline())]
        address = str(said[0]["url"])
        with urllib.request.urlopen(f"{address}/healthz") as answer:
            assert answer.status == 200
        until, text = time.monotonic() + 60, ""
        while f'commands_total{{result="applied"}} {CARDS * EACH}' not in text and time.monotonic() < until:
            with suppress(OSError), urllib.request.urlopen(f"{address}/metrics") as answer:
                text = answer.read().decode()
            time.sleep(0.02)
        worker.terminate()
        said += map(json.loads, worker.stderr)  # what was read ahead is lost to communicate()
        assert worker.stdout is not None
        assert (worker.stdout.read(), worker.wait(timeout=60)) == ("", 0)
    assert [each["event"] for each in said if each["event"] != "drained"] == ["serving", "started", "stopped"]
    assert sum(each.get("commands", 0) for each in said if each["event"] == "drained") == CARDS * EACH
    with tallystick.open(url) as books:
        assert left(books) == 0
        assert books.verify().clean

"""Processes on one PostgreSQL: they want the same cards, give the same keys, and some are killed in the middle."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest

import tallystick
from postgres_books import postgres_url

WORKER = """
import random, sys
import tallystick
from tallystick.errors import Conflict, StoreBusy
url, seed, keys = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
dice = random.Random(seed)
books = tallystick.open(url)
order = list(range(keys))
dice.shuffle(order)
for number in order:
    card, payment = f"c{number % 4}", f"p{number}"
    if number % 3 == 0:
        books.reload(card, "1.00", key=f"reload {number}")
    else:
        books.authorize(payment, card, "2.00", order=f"o{number}", key=f"hold {number}")
        if number % 3 == 1:
            books.settle(payment, "2.00", key=f"settle {number}")
print("done", flush=True)
"""


@pytest.mark.slow
def test_processes_that_are_killed_leave_each_command_done_once_or_not_at_all() -> None:
    keys, dice = 150, random.Random(7)
    with postgres_url() as url, tallystick.open(url) as books:
        for card in range(4):
            books.sell_electronic(f"c{card}", "500.00", "BRL", order=f"o-{card}", key=f"sell {card}")

        def start(seed: int) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-c", WORKER, url, str(seed), str(keys)], stdout=subprocess.PIPE, text=True
            )

        for seed in range(6):  # these do not live to the end
            killed = [start(10 * seed + each) for each in range(2)]
            time.sleep(0.6 + dice.random())
            for process in killed:
                process.send_signal(signal.SIGKILL)
                process.communicate()
        last = [start(seed) for seed in range(3)]
        assert [process.communicate(timeout=120)[0] for process in last] == ["done\n"] * 3
        report = books.verify()
        assert report.findings == ()
        reloads, held, settled = keys // 3, keys // 3, keys // 3
        cards = [books.card(f"c{card}") for card in range(4)]
        assert sum(each.available.minor for each in cards) == 4 * 50000 + 100 * reloads - 200 * (held + settled)
        assert sum(each.held.minor for each in cards) == 200 * held

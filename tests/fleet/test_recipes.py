"""The recipes of docs/how-to/fleet.md do what the page says: each is taken from the page, and run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

import tallystick
from doc_blocks import ROOT, blocks
from postgres_books import postgres_url

PAGE = ROOT / "docs/how-to/fleet.md"
PROCRASTINATE, ITS_COMMANDS, ORDER_SYSTEM, CELERY, CELERYS_COMMANDS, CRON = [
    each.text for each in blocks(PAGE) if each.mark == "run by tests/fleet/test_recipes.py"
]
PAST = datetime.now(timezone.utc) - timedelta(days=1)


def prepared(url: str) -> None:
    """Two shipments that are due."""
    with tallystick.open(url) as books:
        books.sell_electronic("c", "90.00", "BRL", order="o", key="sale")
        books.authorize("p", "c", "80.00", order="o", key="hold")
        for turn in range(2):
            books.settle("p", "10.00", key=f"ship{turn}", keep_hold=True, due=PAST + timedelta(seconds=turn))


def redeemed(url: str) -> str:
    with tallystick.open(url) as books:
        assert books.verify().clean
        return str(books.payment("p").redeemed)


def run(command: str, folder: Path, **more: str) -> str:
    """A line of a shell, with the programs of this environment; what it prints."""
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment(folder, **more), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(folder: Path, **more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(folder), **more}


@contextmanager
def running(command: str, folder: Path, **more: str) -> Iterator[None]:
    """A program that is told to stop in the end, and has to stop well."""
    with subprocess.Popen(command, shell=True, cwd=folder, env=environment(folder, **more), start_new_session=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            yield
            process.terminate()
            assert process.wait(timeout=60) in (0, -signal.SIGTERM)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def until_redeemed(url: str, amount: str) -> None:
    longest = time.monotonic() + 90
    while (found := redeemed(url)) != amount and time.monotonic() < longest:
        time.sleep(0.2)
    assert found == amount


@pytest.mark.slow
def test_procrastinate(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROCRASTINATE)
    apply, work = ITS_COMMANDS.strip().splitlines()
    with postgres_url() as url:
        prepared(url)
        run(apply, tmp_path, TALLYSTICK_STORE=url)
        shop = ModuleType("shop")
        shop.__dict__["__file__"] = str(tmp_path / "shop.py")
        with tallystick.open(url) as books, pytest.MonkeyPatch.context() as patch:
            patch.setenv("TALLYSTICK_STORE", url)
            exec(PROCRASTINATE, shop.__dict__)
            names = {**shop.__dict__, "psycopg": psycopg, "books": books, "tonight": PAST}
            exec(ORDER_SYSTEM, names)
            names["jobs"].close()
            shop.worker.cache_clear()
        with running(f"exec {work}", tmp_path, TALLYSTICK_STORE=url):
            until_redeemed(url, "35.00 BRL")


@pytest.mark.slow
def test_celery(tmp_path: Path) -> None:
    worker, beat = CELERYS_COMMANDS.strip().splitlines()
    folders = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path), "control_folder": str(tmp_path)}
    broker = f"\napp.conf.broker_transport_options = {folders}\n"  # a broker of files, as there is no other here
    (tmp_path / "shop.py").write_text(CELERY.replace('"schedule": 5.0', '"schedule": 0.5') + broker)
    prepared(url := f"sqlite:///{tmp_path}/books.db")
    known = {"TALLYSTICK_STORE": url, "BROKER_URL": "filesystem://"}
    with running(f"exec {worker} --concurrency 2", tmp_path, **known), running(f"exec {beat}", tmp_path, **known):
        until_redeemed(url, "20.00 BRL")


@pytest.mark.slow
def test_cron(tmp_path: Path) -> None:
    setting, line = CRON.strip().splitlines()
    assert setting.startswith("TALLYSTICK_STORE=")
    prepared(url := f"sqlite:///{tmp_path}/books.db")
    command = line.removeprefix("* * * * * ").replace("/tmp/shop.lock", f"{tmp_path}/lock")
    assert "applied" in run(command, tmp_path, TALLYSTICK_STORE=url)
    assert redeemed(url) == "20.00 BRL"

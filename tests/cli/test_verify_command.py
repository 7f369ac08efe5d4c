"""`tallystick verify`: what it prints of checkpoints, and a bar on a terminal that leaves the JSON alone."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tallystick
from tallystick.cli.main import main
from tallystick.engine.sums import bring, summed


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/books.db"
    with tallystick.open(url) as books:
        books.sell_electronic("c1", "100.00", "BRL", order="o1", key="sell")
    return url


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(main, ["verify", *arguments], catch_exceptions=False)
    return done


def test_the_checkpoint_is_printed_kept_and_compared_with(store: str) -> None:
    first = json.loads(run("--store", store, "--json").stdout)
    assert (first["clean"], first["compared"]) == (True, [])
    with tallystick.open(store) as books:
        books.reload("c1", "1.00", key="more")
    second = run("--store", store)
    assert f"all {first['entries']} entries" in " ".join(second.stdout.lower().split())
    third = json.loads(run("--store", store, "--json", "--since", first["checkpoint"]).stdout)
    assert third["clean"]
    assert first["checkpoint"] in third["compared"]
    assert f"Checkpoint: {third['checkpoint']}\n" in second.stdout, "in one line, to be copied"


def test_one_that_does_not_fit_is_wrong_and_one_that_is_none_is_said(store: str) -> None:
    kept = json.loads(run("--store", store, "--json").stdout)["checkpoint"]
    entries, _, rest = kept.partition("/")
    done = run("--store", store, "--json", "--since", f"{int(entries) + 1}/{rest}")
    assert done.exit_code == 1
    assert [each["code"] for each in json.loads(done.stdout)["findings"]] == ["removed"]
    done = run("--store", store, "--since", "yesterday")
    assert done.exit_code == 1
    assert "'yesterday' is no checkpoint" in done.stderr


def test_a_new_checkpoint_says_who_and_why(store: str) -> None:
    run("--store", store)
    with sqlite3.connect(store.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE shared SET value = 'damaged' WHERE name = 'checkpoint'")
    connection.close()
    assert run("--store", store).exit_code == 1
    done = run("--store", store, "--new-checkpoint", "--by", "ann")
    assert done.exit_code == 2
    assert "--new-checkpoint changes the books: say who (--by) and why (--reason)" in " ".join(done.stderr.split())
    done = run("--store", store, "--new-checkpoint", "--by", "ann", "--reason", "a typing error", "--json")
    assert (done.exit_code, json.loads(done.stdout)["replaced"][0]["reason"]) == (0, "a typing error")
    assert "ann put a new one there on" in " ".join(run("--store", store).stdout.split())


def test_the_bar_is_drawn_on_a_terminal_and_nowhere_else(store: str) -> None:
    command = [sys.executable, "-m", "tallystick", "verify", "--store", store, "--json"]
    ours, terminal = pty.openpty()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=terminal, env={**os.environ, "TERM": "xterm"}, check=True
    )
    os.close(terminal)
    drawn = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert json.loads(done.stdout)["clean"]
    assert "Replaying" in drawn
    silent = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(silent.stdout)["clean"]
    assert silent.stderr == b""


def test_wrong_sums_are_found_and_made_anew(store: str) -> None:
    with tallystick.open(store) as books:
        assert bring(books.engine.store, books.engine.machines)
    assert json.loads(run("--store", store, "--json").stdout)["clean"]
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as raw, raw:
        raw.execute("UPDATE _standing SET amount = amount + 1 WHERE account = 'available'")
    done = run("--store", store, "--json")
    assert done.exit_code == 1
    assert "`tallystick verify --sums-again` makes them anew" in done.stdout
    again = run("--store", store, "--sums-again", "--json")
    assert (again.exit_code, json.loads(again.stdout)["findings"]) == (0, [])
    with tallystick.open(store) as books, books.engine.store.reading() as reading:
        assert summed(reading, books.engine.machines) is not None

"""`tallystick tail`: what it prints, and that it is read on from what it printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tallystick
from tallystick.cli.main import main

NUMBER = "6006491234567890"


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/books.db"
    with tallystick.open(made) as books:
        books.ship_physical("c", NUMBER, "50.00", "BRL", order="o-1", key="o-1/c")
        books.authorize("p", "c", "40.00", order="o-2", key="o-2/pay", by="shop")
    return made


def lines(url: str, *more: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(main, ["tail", "--store", url, *more])
    assert done.exit_code == 0, done.output
    assert NUMBER not in done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_entry_is_a_line_and_after_each_batch_comes_a_cursor(url: str) -> None:
    found = lines(url, "--batch", "3")
    assert [index for index, line in enumerate(found) if "cursor" in line][:2] == [3, 7]
    assert list(found[-1]) == ["cursor"]
    hold = next(each for each in found if each.get("command") == "hold")
    assert (hold["id"], hold["order"], hold["payment"], hold["by"], hold["phase"]) == ("c", "o-2", "p", "shop", "done")
    assert hold["postings"] == [{"source": "available", "target": "held", "amount": "40.00"}]
    assert hold["accounts"]["available"] == "10.00"
    assert {each["facts"]["number"] for each in found if "number" in each.get("facts", {})} == {"…7890"}


def test_it_is_read_on_from_a_cursor(url: str) -> None:
    whole = [each for each in lines(url) if "cursor" not in each]
    first = lines(url, "--batch", "4")
    assert first[:4] == whole[:4]
    assert lines(url, "--from", first[4]["cursor"])[:-1] == whole[4:]
    end = first[-1]
    assert lines(url, "--from", end["cursor"]) == [end]


def test_a_subscriber_goes_on_where_it_was(url: str) -> None:
    assert len(lines(url, "--as", "shop")) > 5
    assert [list(each) for each in lines(url, "--as", "shop")] == [["cursor"]]
    with tallystick.open(url) as books:
        books.cancel("p", key="o-2/cancel")
    assert [each["command"] for each in lines(url, "--as", "shop")[:-1]] == ["cancel", "release_hold"]


def test_what_is_no_cursor_is_an_error(url: str) -> None:
    done = CliRunner().invoke(main, ["tail", "--store", url, "--from", "yesterday"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "'yesterday' is no cursor" in done.stderr


@pytest.mark.slow
def test_it_follows_what_comes_until_it_is_stopped(url: str) -> None:
    command = [sys.executable, "-m", "tallystick", "tail", "--store", url, "--follow", "--as", "shop"]
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # who starts tests may have it ignored
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heard) as following:
        try:
            assert following.stdout is not None
            while "cursor" not in json.loads(following.stdout.readline()):
                pass
            with tallystick.open(url) as books:
                books.cancel("p", key="o-2/cancel", by="ann")
            assert json.loads(following.stdout.readline())["by"] == "ann"
            os.kill(following.pid, signal.SIGINT)
            assert following.wait(20) == 130
        finally:
            following.kill()

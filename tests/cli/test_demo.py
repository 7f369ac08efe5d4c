"""The demo as a person starts it: a process of its own, with the extras and without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXTRAS = ("httpcore2", "starlette", "uvicorn")
HINT = "pip install 'tallystick[clutch,sandbox]'"
START = "from tallystick.cli.main import main; main(prog_name='tallystick')"


def demo(
    tmp_path: Path, *options: str, without: tuple[str, ...] = (), columns: int = 140, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`tallystick demo`, where importing `without` is impossible, in an empty folder that it leaves empty."""
    missing = "".join(f"sys.modules[{name!r}] = None; " for name in without)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; {missing}{START}", "demo", *options],
        capture_output=True, text=True, encoding="utf-8", check=False, timeout=60, cwd=tmp_path,
        env={**os.environ, "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8", **environment},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
    return done


def told(done: subprocess.CompletedProcess[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    plain = json.loads(done.stdout)
    assert set(plain) == {"story", "verify"}
    assert all(set(beat) == {"what", "result", "says", "card", "available", "held"} for beat in plain["story"])
    assert plain["verify"]["clean"]
    return plain["story"], plain["verify"]


def money(beat: dict[str, Any]) -> tuple[str, str, str]:
    return beat["card"], beat["available"], beat["held"]


@pytest.fixture
def extras() -> None:
    for name in EXTRAS:
        pytest.importorskip(name)


@pytest.mark.usefixtures("extras")
def test_it_runs_over_http_and_recovers_a_lost_answer(tmp_path: Path) -> None:
    before = sum(os.times()[2:4])
    done = demo(tmp_path, "--json")
    assert sum(os.times()[2:4]) - before < 5  # seconds of work: a busy machine may take longer
    story, verified = told(done)
    assert [(beat["result"], *money(beat)) for beat in story] == [
        ("applied", "card-1", "50.00", "0.00"),
        ("seen", "card-1", "50.00", "0.00"),
        ("applied", "card-1", "10.00", "40.00"),
        ("applied", "card-1", "10.00", "25.00"),
        ("replayed", "card-1", "10.00", "25.00"),
        ("in doubt", "card-1", "10.00", "0.00"),
        ("applied", "card-1", "10.00", "15.00"),
        ("applied", "card-1", "10.00", "0.00"),
        ("applied", "card-1", "2.00", "8.00"),
        ("refused", "card-1", "2.00", "8.00"),
        ("applied", "card-1", "10.00", "0.00"),
        ("applied", "card-2", "25.00", "0.00"),
        ("applied", "card-2", "25.00", "0.00"),
        ("refused", "card-2", "25.00", "0.00"),
        ("applied", "card-3", "25.00", "0.00"),
        ("clean", "card-3", "25.00", "0.00"),
        ("note", "", "", ""),
    ]
    assert "50.00 USD are available" in story[1]["says"]
    assert story[3]["says"].endswith("then advanced_hold")
    assert story[6]["says"] == story[3]["says"]
    assert story[14]["says"].startswith("replacement is replaced")
    assert "3 cards" in story[15]["says"]
    assert "http://127.0.0.1:" in story[16]["says"]
    assert HINT not in done.stdout
    assert verified["findings"] == []


@pytest.mark.parametrize("without", [EXTRAS, *[(name,) for name in EXTRAS]], ids=" ".join)
def test_without_an_extra_it_is_told_by_the_local_provider(tmp_path: Path, without: tuple[str, ...]) -> None:
    story, _ = told(demo(tmp_path, "--json", without=without))
    assert {beat["result"] for beat in story} == {"applied", "seen", "refused", "replayed", "note"}
    assert money(story[-2]) == ("card-3", "25.00", "0.00")
    assert (story[-1]["result"], story[-1]["says"]) == ("note", HINT)


@pytest.mark.parametrize("without", [(), EXTRAS], ids=["http", "local"])
@pytest.mark.parametrize(("columns", "most"), [(140, 28), (80, 40)])
def test_it_fits_a_screen(tmp_path: Path, without: tuple[str, ...], columns: int, most: int) -> None:
    lines = demo(tmp_path, without=without, columns=columns).stdout.splitlines()
    assert len(lines) <= most
    assert all(len(line) <= columns for line in lines)
    assert any(line.startswith("clean: ") for line in lines)
    assert sum(HINT in line for line in lines) == bool(without)


@pytest.mark.usefixtures("extras")
def test_a_proxy_of_the_environment_is_left_aside(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    story, _ = told(demo(tmp_path, "--json", **nowhere, no_proxy="example.org"))
    assert story[-2]["result"] == "clean"


@pytest.mark.usefixtures("extras")
def test_the_server_is_stopped_and_the_environment_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    import tallystick
    from tallystick.cli.commands.demo_story import story

    monkeypatch.setenv("no_proxy", "example.org")
    before = dict(os.environ)
    with tallystick.open(f"sqlite:///{tmp_path}/demo.db") as books:
        url = list(story(books))[-1].says.split()[-1]
    with pytest.raises(httpx2.ConnectError):
        httpx2.post(f"{url}/search", trust_env=False)
    assert dict(os.environ) == before

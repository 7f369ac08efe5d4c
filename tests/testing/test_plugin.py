"""`pytest --tallystick`, as a user has it: a project of one page and one line of configuration, in processes of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner

from tallystick.check import check
from tallystick.cli.main import main
from tallystick.definition import reader

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/own_machine"
# Installed, the plugin is known by its entry point; on a bare source tree it is named.
INSTALLED = any(each.name == "tallystick" for each in entry_points(group="pytest11"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example."""
    shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__", ".*", "*.jsonl"))
    return tmp_path / "project"


def run(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    named = [] if INSTALLED else ["-p", "pytest_tallystick"]
    told = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", "-v", *named, *options]
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TALLYSTICK_"))}
    return subprocess.run(
        told, cwd=project, env={**clean, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


def spoil(project: Path, old: str, new: str) -> Path:
    page = project / "machines/travel_voucher.yaml"
    text = page.read_text(encoding="utf-8")
    assert old in text
    page.write_text(text.replace(old, new, 1), encoding="utf-8")
    return page


def test_one_line_of_configuration_tests_every_page(project: Path) -> None:
    done = run(project, "--tallystick-examples", "8", "--tallystick-points", "12")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("check", "fuzz", "crash", "conformance"):
        assert f"machines/travel_voucher.yaml::{name} PASSED" in done.stdout
    assert "4 passed" in done.stdout
    assert "what the stories reached" in done.stdout
    assert "in 8 stories" in done.stdout
    assert "travel_voucher: killed 12 times" in done.stdout


@pytest.mark.slow
def test_a_planted_fault_is_found_twice_with_files_that_run(project: Path) -> None:
    page = spoil(project, "when: amount == booked and open == 0", "when: amount == booked and open >= 0")
    done = run(project)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 2 passed" in done.stdout
    assert "Traceback" not in done.stdout
    assert "TS104" in done.stdout
    assert "refusal:ambiguous" in done.stdout
    stories = sorted(page.parent.glob("*.jsonl"))
    assert page.with_suffix(".fuzz.jsonl") in stories
    assert [file for file in stories if ".check-" in file.name]
    for story in stories:
        assert str(story) in done.stdout
        told = ["run", str(story), "--provider", "scripted", "--store", "memory:", "--machines", str(page.parent)]
        answers = [json.loads(line) for line in CliRunner().invoke(main, told).stdout.splitlines()]
        assert "guards of fly and fly_last are true at once" in answers[-1]["why"]


CONFTEST = """
from tallystick.store.memory import MemoryStore

made = []

class Counted(MemoryStore):
    def __init__(self):
        made.append(self)
        super().__init__()

def never_two(view):
    return all(each.accounts["open"] < 2 for each in view.entities("travel_voucher")) or "too much is open"

def pytest_tallystick_invariants(machine):
    return [never_two] if machine == "travel_voucher" else None

def pytest_tallystick_store(machine):
    return Counted

def pytest_unconfigure():
    print("stores:", len(made) > 2)
"""


@pytest.mark.slow
def test_a_conftest_adds_invariants_to_all_that_looks_at_entities_and_a_store(project: Path) -> None:
    (project / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    done = run(project, "--tallystick-points", "10")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 failed, 1 passed" in done.stdout  # that page's meaning to `transitions` is no entity's state
    assert "TS214 never_two: too much is open" in done.stdout
    assert re.search(r"travel_voucher, story \d, .*never_two: too much is open", done.stdout)
    assert "invariant:never_two: too much is open" in done.stdout
    assert "stores: True" in done.stdout


@pytest.mark.slow
def test_the_conftest_of_the_docs_is_one(project: Path) -> None:
    text = (ROOT / "docs/how-to/testing.md").read_text(encoding="utf-8")
    (conftest,) = re.findall(r"```python\n(from tallystick.store.*?)```", text, re.DOTALL)
    (project / "conftest.py").write_text(conftest, encoding="utf-8")
    done = run(project, "machines/travel_voucher.yaml::fuzz", "--tallystick-examples", "3")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_page_that_cannot_be_read_says_where(project: Path) -> None:
    spoil(project, "to: withdrawn", "to: withdrawm")
    done = run(project, "--tallystick-examples", "2")
    assert done.returncode == 1
    assert "4 failed" in done.stdout
    assert "travel_voucher.yaml:" in done.stdout
    assert "Did you mean 'withdrawn'" in done.stdout


def test_a_folder_that_is_not_there_is_said(project: Path) -> None:
    done = run(project, "--tallystick", "nowhere")
    assert done.returncode == 4
    assert "nowhere does not exist" in done.stderr


SILENT = """
import sys

def test_one():
    pass

def pytest_unconfigure():
    print("loaded:", sorted({name.split(".")[0] for name in sys.modules} & {"tallystick", "attrs"}))
"""


def test_who_does_not_ask_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(SILENT, encoding="utf-8")
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n", encoding="utf-8")
    done = run(tmp_path, "-s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loaded: []" in done.stdout
    ours = "import pytest_tallystick, sys; print(*sorted({'tallystick', 'hypothesis', 'attrs'} & sys.modules.keys()))"
    path = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    alone = subprocess.run([sys.executable, "-c", ours], env=path, capture_output=True, text=True, check=True)
    assert alone.stdout == "\n", "Hypothesis may be loaded by a plugin of its own, but not by ours"


def test_the_examples_page_is_without_findings() -> None:
    """Its ends are empty though `add` may be in flight elsewhere: nothing ends while anything of it is."""
    report = check(reader.load(EXAMPLE / "machines"), only=["travel_voucher"], model=False)
    assert [str(each) for each in report.findings] == []

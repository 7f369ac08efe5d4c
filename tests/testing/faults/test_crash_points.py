"""The crash harness: it tells stories that miss nothing, it finds nothing wrong with us, and it would find it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.faults.comparison import ComparableBooks
from tallystick.testing.faults.our_stories import stories
from tallystick.testing.faults.story import BOOKS, StoryRun
from tallystick.testing.faults.trial import new_books, undisturbed
from tallystick.testing.referee import Rows

ROOT = Path(__file__).resolve().parents[3]
PLANTED = Path(__file__).with_name("planted_crashes.py")


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """In a process of its own: this one may have threads, and a fork would take their locks along."""
    done = subprocess.run([sys.executable, "-W", "error", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_the_stories_miss_no_transition_of_our_machines(tmp_path: Path) -> None:
    fired: set[tuple[str, str]] = set()
    for number, story in enumerate(stories()):
        folder = new_books(story, tmp_path / str(number))
        StoryRun(story, folder).finish()
        fired |= {(each["machine"], each["transition"]) for each in Rows.of_sqlite(folder / BOOKS).entries}
    declared = {(machine.name, name) for machine in stories()[0].machines.all() for name in machine.transitions}
    assert declared - fired == set()


def test_a_story_that_is_run_again_from_its_start_changes_nothing(tmp_path: Path) -> None:
    for number, story in enumerate(stories()):
        folder = new_books(story, tmp_path / str(number))
        once = undisturbed(story, folder)
        StoryRun(story, folder, 1).finish()
        again = ComparableBooks.of(Rows.of_sqlite(folder / BOOKS), story.machines)
        assert once.books.differences(again) == [], story.name


def test_a_story_told_twice_has_the_same_shape_and_the_same_points(tmp_path: Path) -> None:
    story = next(each for each in stories() if each.name == "answers that nobody wants")
    one, two = (undisturbed(story, new_books(story, tmp_path / name)) for name in ("one", "two"))
    assert one.books.differences(two.books) == []
    assert one.points == two.points
    assert {name.partition(" ")[0] for name in one.points} == {"before", "after"}


def test_the_example_in_the_docs_runs() -> None:
    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/how-to/crashes.md").read_text(encoding="utf-8"), re.DOTALL
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True, text=True, check=False, cwd=ROOT / "examples/own_machine",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "'killed in recovery': 10" in done.stdout


def test_killed_at_a_sample_of_points_the_books_end_the_same() -> None:
    code, said, errors = run(
        "-m", "tallystick.testing.faults", "crash", "--points", "30", "--json", "--story", "answers"
    )
    assert (code, said["findings"]) == (0, []), errors
    assert said["crash points"] == 30
    assert said["killed before a point"] >= 10
    assert said["killed after a point"] >= 10
    assert said["killed in recovery"] >= 10


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("two transactions", "its row says|has 0 entries|is not"),
        pytest.param("sent again blindly", "was done 2 times by the provider", marks=pytest.mark.slow),
        pytest.param("taken for not done", "was done 2 times by the provider", marks=pytest.mark.slow),
        pytest.param("answered before the commit", "but the journal does not have it", marks=pytest.mark.slow),
    ],
)
def test_a_planted_fault_is_found(fault: str, says: str) -> None:
    code, said, errors = run(str(PLANTED), fault)
    assert code == 1, errors
    assert any(part in finding for finding in said["findings"] for part in says.split("|")), said

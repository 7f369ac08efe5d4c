"""`tallystick explain`: every code and every public error has its text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import tallystick
from tallystick.check import TITLES
from tallystick.cli.main import main

ERRORS = [
    name
    for name in tallystick.__all__
    if isinstance(each := getattr(tallystick, name), type) and issubclass(each, tallystick.TallystickError)
]


def explained(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["explain", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("code", TITLES)
def test_a_finding_is_explained_by_its_page(code: str) -> None:
    page = Path(__file__).resolve().parents[2] / f"docs/findings/{code}.md"
    assert explained(code) == page.read_text(encoding="utf-8")


def test_case_does_not_matter() -> None:
    assert explained("ts105") == explained("TS105")
    assert explained("indoubt") == explained("InDoubt")


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_explained_by_what_it_means(name: str) -> None:
    answer = json.loads(explained(name, "--json"))
    assert answer["name"] == name
    assert answer["text"].startswith(f"# {name}\n\n{getattr(tallystick, name).__doc__.split(chr(10))[0]}")


@pytest.mark.parametrize(("wrong", "near"), [("TS195", "Did you mean 'TS"), ("Declinded", "Declined"), ("Nope", "The nearest are "),
                                             ("declind", "Declined")])  # fmt: skip
def test_what_is_neither_is_refused_with_what_is_like_it(wrong: str, near: str) -> None:
    done = CliRunner().invoke(main, ["explain", wrong])
    assert done.exit_code == 1
    assert f"there is no finding or error '{wrong}'" in done.stderr
    assert near in done.stderr

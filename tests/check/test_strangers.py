"""Mistakes in pages that are not ours: found by a look at the page or by running it, else by an example of it."""

from __future__ import annotations

import pytest
from stranger import ALIKE, EXAMPLES, FOUND, MEANT, PAGES, C, Edits

from tallystick.check.examples import check_examples
from tallystick.check.finding import Finding
from tallystick.check.model import explore as explore_module
from tallystick.check.proof.prove import prove
from tallystick.check.structure.inspect import inspect
from tallystick.definition import reader
from tallystick.definition.machine import Machines


def machines(page: str, edits: Edits, more: str = "") -> Machines:
    """The page with the edits, and those that belong to it."""
    together = {name: text for name, text in PAGES.items() if (name == C) == (page == C)}
    for old, new in edits:
        assert old in together[page], old
        together[page] = together[page].replace(old, new)
    return reader.read({**together, page: together[page] + more})


def first_findings(page: str, edits: Edits) -> list[Finding]:
    """What the first level that finds something says."""
    known, name = machines(page, edits), [page.removesuffix(".yaml")]
    for level in (inspect, explore_module.explore, prove):
        found, _ = level(known, only=name)
        if found:
            return found
    return []


@pytest.fixture(autouse=True)
def _few_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore_module, "BUDGET", 6_000)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_without_a_mistake_nothing_is_found(page: str) -> None:
    assert first_findings(page, ()) == []


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] if at % 5 else []) for at, each in enumerate(FOUND)]
)
def test_a_mistake_is_found(name: str) -> None:
    page, edits, code = FOUND[name]
    assert code in {each.code for each in first_findings(page, edits)}


def test_the_right_page_lives_its_examples() -> None:
    assert check_examples(machines(C, (), EXAMPLES), ["canteen"])[0] == []


@pytest.mark.parametrize("name", MEANT)
def test_what_only_its_author_knows_is_found_by_an_example(name: str) -> None:
    page, edits = MEANT[name]
    found, _ = check_examples(machines(page, edits, EXAMPLES), ["canteen"])
    assert {each.code for each in found} == {"TS401"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALIKE)
def test_what_does_no_harm_is_not_accused(name: str) -> None:
    assert first_findings(*ALIKE[name]) == []

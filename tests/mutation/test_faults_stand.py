"""A fault can only be planted where its text stands once; who changes the core changes its faults too."""

from __future__ import annotations

import ast

import sample
from faults import FAULTS
from planting import ROOT

SOURCE = ROOT / "src" / "tallystick"
TESTS = ROOT / "tests"


def test_every_fault_can_be_planted() -> None:
    lost = {each.name for each in FAULTS if (SOURCE / each.file).read_text(encoding="utf-8").count(each.old) != 1}
    assert lost == set()
    assert all(each.old != each.new for each in FAULTS)
    assert len(FAULTS) >= 50


def test_the_tests_that_should_find_them_are_there() -> None:
    named = {name for fault in FAULTS for name in fault.by} | {
        name for names in sample.FILES.values() for name in names
    }
    assert {name for name in named if not (TESTS / name).is_file()} == set()


def test_the_files_that_mutants_are_made_of_are_there() -> None:
    assert {file for file in sample.FILES if not (SOURCE / file).is_file()} == set()
    for file, before in sample.SAME:
        tree = ast.parse((SOURCE / file).read_text(encoding="utf-8"))
        assert any(ast.unparse(node) == before for node in ast.walk(tree)), f"{file} has no {before}"

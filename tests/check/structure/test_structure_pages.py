"""On the page of each finding of the structure the wrong machine has that fault and no other, the right one none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.check import TITLES, Finding
from tallystick.check.structure.inspect import inspect
from tallystick.definition import reader
from tallystick.definition.machine import Machines

FINDINGS = Path(__file__).resolve().parents[3] / "docs/findings"


def found(part: str) -> list[Finding]:
    """What is found in the machines of a part of a page. Of one machine the last page counts: those before are older."""
    pages = re.findall(r"```yaml\n(.*?)```", part, re.DOTALL)
    assert pages
    named = {machine.group(1): page for page in pages if (machine := re.match(r"machine: (\w+)", page))}
    older = [reader.read({"older.yaml": page}) for page in pages if page not in named.values()]
    every = [each for machines in (reader.read(named), *older) for each in machines.all()]
    return inspect(Machines(every))[0]


@pytest.mark.parametrize("code", [code for code in TITLES if code.startswith("TS1")])
def test_a_page_shows_its_finding_once_and_no_other(code: str) -> None:
    text = (FINDINGS / f"{code}.md").read_text(encoding="utf-8")
    wrong, right = text.split("\n## Wrong\n")[1].split("\n## Right\n")
    assert [each.code for each in found(wrong)] == [code]
    assert found(right) == []

"""On the page of each finding of the structure the wrong machine has that fault and no other, the right one none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.check import TITLES, Finding
from tallystick.check.structure.inspect import inspect
from tallystick.definition import reader

FINDINGS = Path(__file__).resolve().parents[3] / "docs/findings"


def found(part: str) -> list[Finding]:
    """What is found in the machines of a part of a page."""
    pages = re.findall(r"```yaml\n(.*?)```", part, re.DOTALL)
    assert pages
    return inspect(reader.read({f"{index}.yaml": page for index, page in enumerate(pages)}))[0]


@pytest.mark.parametrize("code", [code for code in TITLES if code.startswith("TS1")])
def test_a_page_shows_its_finding_once_and_no_other(code: str) -> None:
    text = (FINDINGS / f"{code}.md").read_text(encoding="utf-8")
    wrong, right = text.split("\n## Wrong\n")[1].split("\n## Right\n")
    assert [each.code for each in found(wrong)] == [code]
    assert found(right) == []

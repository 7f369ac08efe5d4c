"""On the page of each finding of the proof the wrong machine has that fault and no other, the right one none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.check import TITLES
from tallystick.check.proof.prove import prove
from tallystick.definition import reader

FINDINGS = Path(__file__).resolve().parents[3] / "docs/findings"


def found(part: str) -> set[str]:
    """The codes of what is found in the machines of a part of a page."""
    pages = re.findall(r"```yaml\n(.*?)```", part, re.DOTALL)
    assert pages
    return {each.code for each in prove(reader.read({f"{index}.yaml": page for index, page in enumerate(pages)}))[0]}


@pytest.mark.parametrize("code", [code for code in TITLES if code.startswith("TS3")])
def test_a_page_shows_its_finding_and_no_other(code: str) -> None:
    text = (FINDINGS / f"{code}.md").read_text(encoding="utf-8")
    wrong, right = text.split("\n## Wrong\n")[1].split("\n## Right\n")
    assert found(wrong) == {code}
    assert found(right) == set()

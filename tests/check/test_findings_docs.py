"""Every code has a page. Here those of structure: the wrong machine has that fault and no other, the right one none.

The pages of the other floors are read by `test_model_pages` and `test_proof`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.check import TITLES, Finding
from tallystick.check.structure import structure
from tallystick.definition import reader
from tallystick.definition.machine import Machines

DOCS = Path(__file__).resolve().parents[2] / "docs"
FINDINGS = DOCS / "findings"


def structured(machines: Machines) -> list[Finding]:
    return [found for machine in machines.values() for found in structure(machines, machine)]


STRUCTURE = [code for code in TITLES if code.startswith("TS1")]


def pages(code: str) -> tuple[Machines, Machines]:
    """The wrong machines of a finding's page, and the right ones."""
    text = (FINDINGS / f"{code}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {code}: {TITLES[code]}\n")
    wrong, right = text.split("\n## Wrong\n")[1].split("\n## Right\n")
    blocks = [re.findall(r"```yaml\n(.*?)```", part, re.DOTALL) for part in (wrong, right)]
    assert all(blocks)
    one, other = (reader.read({f"{index}.yaml": page for index, page in enumerate(each)}) for each in blocks)
    return one, other


@pytest.mark.parametrize("code", STRUCTURE)
def test_a_page_shows_its_finding_once_and_no_other(code: str) -> None:
    wrong, right = pages(code)
    assert [each.code for each in structured(wrong)] == [code]
    assert structured(right) == []


def test_the_index_has_every_code_and_every_code_its_page() -> None:
    index = (FINDINGS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(TS\d{3})\]\(\1\.md\) \| (.*) \|$", index, re.MULTILINE) == sorted(TITLES.items())
    assert {path.stem for path in FINDINGS.glob("TS*.md")} == set(TITLES)


def test_what_is_linked_is_there() -> None:
    for page in (DOCS / "checks.md", FINDINGS / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), target

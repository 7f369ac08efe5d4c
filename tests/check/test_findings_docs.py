"""Every code has a page, and the index has every code. What the pages show is tested beside what finds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.check import TITLES

DOCS = Path(__file__).resolve().parents[2] / "docs"
FINDINGS = DOCS / "findings"


@pytest.mark.parametrize("code", TITLES)
def test_a_finding_has_a_page_with_its_title(code: str) -> None:
    assert (FINDINGS / f"{code}.md").read_text(encoding="utf-8").startswith(f"# {code}: {TITLES[code]}\n")


def test_the_index_has_every_code_and_every_code_its_page() -> None:
    index = (FINDINGS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(TS\d{3})\]\(\1\.md\) \| (.*) \|$", index, re.MULTILINE) == sorted(TITLES.items())
    assert {path.stem for path in FINDINGS.glob("TS*.md")} == set(TITLES)


def test_what_is_linked_is_there() -> None:
    for page in (DOCS / "how-to/checks.md", FINDINGS / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), target

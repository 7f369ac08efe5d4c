"""Every code has a page, and its two machines show what the page says: the wrong one has that fault and no other."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick import reader
from tallystick.check import TITLES, Finding
from tallystick.check.structure import structure
from tallystick.machine import Machines

DOCS = Path(__file__).resolve().parents[2] / "docs"
FINDINGS = DOCS / "findings"


def structured(machines: Machines) -> list[Finding]:
    return [found for machine in machines.values() for found in structure(machines, machine)]


def explored(machines: Machines) -> list[Finding]:
    from tallystick.check.model import explore

    return explore(machines, only=(), depth=None, progress=None)[0]


def proved(machines: Machines) -> list[Finding]:
    from tallystick.check.proof import prove

    return prove(machines, only=())[0]


FLOORS: dict[str, Callable[[Machines], list[Finding]]] = {"TS1": structured, "TS2": explored, "TS3": proved}


def pages(code: str) -> tuple[Machines, Machines]:
    """The wrong machines of a finding's page, and the right ones."""
    text = (FINDINGS / f"{code}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {code}: {TITLES[code]}\n")
    wrong, right = text.split("\n## Wrong\n")[1].split("\n## Right\n")
    blocks = [re.findall(r"```yaml\n(.*?)```", part, re.DOTALL) for part in (wrong, right)]
    assert all(blocks)
    one, other = (reader.read({f"{index}.yaml": page for index, page in enumerate(each)}) for each in blocks)
    return one, other


@pytest.mark.parametrize("code", TITLES)
def test_a_page_shows_its_finding(code: str) -> None:
    wrong, right = pages(code)
    found = FLOORS[code[:3]](wrong)
    assert {each.code for each in found} == {code}
    assert FLOORS[code[:3]](right) == []


@pytest.mark.parametrize("code", [code for code in TITLES if code.startswith("TS1")])
def test_one_fault_is_told_once(code: str) -> None:
    assert len(structured(pages(code)[0])) == 1


def test_the_index_has_every_code_and_every_code_its_page() -> None:
    index = (FINDINGS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(TS\d{3})\]\(\1\.md\) \| (.*) \|$", index, re.MULTILINE) == sorted(TITLES.items())
    assert {path.stem for path in FINDINGS.glob("TS*.md")} == set(TITLES)


def test_what_is_linked_is_there() -> None:
    for page in (DOCS / "checks.md", FINDINGS / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), target

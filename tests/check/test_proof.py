"""The third floor: what it finds, on which page, and that it has proved something."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tallystick import reader
from tallystick.check.finding import TITLES, Finding
from tallystick.check.proof import prove
from tallystick.errors import Invalid

DOCS = Path(__file__).parents[2] / "docs/findings"
CODES = sorted(code for code in TITLES if code.startswith("TS3"))


def proved(*pages: str) -> list[Finding]:
    return prove(reader.read({f"page{index}.yaml": page for index, page in enumerate(pages)}))[0]


@pytest.mark.parametrize("code", CODES)
def test_a_finding_has_a_page_with_a_wrong_machine_and_a_right_one(code: str) -> None:
    head, wrong, right = re.split(r"^## (?:Wrong|Right)$", (DOCS / f"{code}.md").read_text("utf-8"), flags=re.MULTILINE)
    assert head.startswith(f"# {code}: {TITLES[code]}\n")
    found = proved(*re.findall(r"```yaml\n(.*?)```", wrong, re.DOTALL))
    assert {each.code for each in found} == {code}
    assert proved(*re.findall(r"```yaml\n(.*?)```", right, re.DOTALL)) == []


def test_without_a_solver_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(Invalid, match=r"pip install 'tallystick\[prove\]'"):
        proved()

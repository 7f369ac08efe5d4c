"""Each finding of the model has its page; the wrong machine on it is found out, the right one is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick import reader
from tallystick.check.finding import TITLES, Finding
from tallystick.check.model import explore

DOCS = Path(__file__).parents[2] / "docs/findings"
CODES = sorted(code for code in TITLES if code.startswith("TS2"))
OF_THE_CORE = {"TS204", "TS205", "TS210"}  # no page can be wrong in these ways
OF_USERS = {"TS214"}


def found(page: str) -> tuple[list[Finding], dict[str, int]]:
    machines = reader.read({"page.yaml": page})
    return explore(machines, depth=2)


@pytest.mark.parametrize("code", CODES)
def test_a_finding_has_a_page_with_its_title(code: str) -> None:
    assert (DOCS / f"{code}.md").read_text("utf-8").startswith(f"# {code}: {TITLES[code]}\n")


@pytest.mark.parametrize("code", [code for code in CODES if code not in OF_THE_CORE | OF_USERS])
def test_its_wrong_machine_is_found_out_and_its_right_one_is_not(code: str) -> None:
    wrong, right = re.findall(r"```yaml\n(.*?)```", (DOCS / f"{code}.md").read_text("utf-8"), re.DOTALL)

    findings, _ = found(wrong)
    assert code in {each.code for each in findings}
    assert all(each.line > 1 for each in findings)

    findings, figures = found(right)
    assert findings == []
    assert figures["states"] > 1

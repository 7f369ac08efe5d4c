"""Each finding of the model has its page; the wrong machine on it is found out, the right one is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.check.finding import TITLES, Finding
from tallystick.check.model.explore import explore
from tallystick.definition import reader

DOCS = Path(__file__).parents[3] / "docs/findings"
CODES = sorted(code for code in TITLES if code.startswith("TS2"))
OF_THE_CORE = {"TS204", "TS205", "TS210"}  # no page can be wrong in these ways
OF_USERS = {"TS214"}


def found(*pages: str) -> tuple[list[Finding], dict[str, int]]:
    machines = reader.read({f"page{index}.yaml": page for index, page in enumerate(pages)})
    return explore(machines, depth=2)


@pytest.mark.parametrize("code", [code for code in CODES if code not in OF_THE_CORE | OF_USERS])
def test_its_wrong_machine_is_found_out_and_its_right_one_is_not(code: str) -> None:
    parts = (DOCS / f"{code}.md").read_text("utf-8").split("\n## Right\n")
    wrong, right = (re.findall(r"```yaml\n(.*?)```", part, re.DOTALL) for part in parts)

    findings, _ = found(*wrong)
    assert code in {each.code for each in findings}
    assert all(each.line > 1 for each in findings)

    findings, figures = found(*right)
    assert findings == []
    assert figures["states"] > 1


LOCKER = """\
machine: locker
version: 1
summary: A deposit for some days, under a code word.
facts:
  code: text
accounts:
  deposit: Left by the guest.
outside:
  guest: Where it comes from and goes back to.
states:
  free: {start: true, says: Nobody uses it.}
  taken: {says: Somebody does.}
  left: {final: true, says: The guest is gone.}
commands:
  take: {amount: money, days: count}
  leave: {word: text}
transitions:
  take:
    from: free
    to: taken
    when: amount > 0 and 0 < days <= 30
    move: {guest -> deposit: amount}
  leave:
    from: taken
    to: left
    when: word == code and code != "none"
    move: {deposit -> guest: deposit}
refuse:
  - {says: For one day to thirty., in: [free], commands: [take], when: amount <= 0 or days <= 0 or days > 30}
  - {says: Not so., in: [taken], commands: [leave], when: word != code or code == "none"}
  - {says: Nobody uses it., in: [free], commands: [leave]}
  - {says: It is over., in: [taken, left], commands: [take]}
  - {says: It is over., in: [left], commands: [leave]}
"""


def test_counts_and_texts_are_those_that_the_page_compares_with() -> None:
    """Nothing of it is always true; only that a locker with the word "none" can never be left is found."""
    findings, _ = explore(reader.read({"locker.yaml": LOCKER}))
    assert {each.code for each in findings} == {"TS202", "TS203"}
    fair = LOCKER.replace(' and code != "none"', "").replace(' or code == "none"', "")
    assert explore(reader.read({"locker.yaml": fair}))[0] == []

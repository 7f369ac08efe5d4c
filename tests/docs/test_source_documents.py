"""The rows of the source documents, and those about security: what is done names tests, and these are there."""

from __future__ import annotations

import re

import pytest

from doc_blocks import ROOT

PAGE = ROOT / "docs/reference/source-documents.md"
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| .* \| (yes|in part|no|not ours) \| ", line)
]


def test_the_page_has_its_rows() -> None:
    assert len(ROWS) >= 70
    assert len({row[0] for row in ROWS}) == len(ROWS)
    for what, mark, how, tests in ROWS:
        assert what
        assert mark == "yes" or len(how) > 10, f"{what}: say what is missing"
        assert (tests == "–") == (mark == "not ours"), what


SECURITY = (ROOT / "docs/explanation/security.md").read_text(encoding="utf-8")
NAMED = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row[3])}
NAMED |= set(re.findall(r"`([\w/]+\.py::\w+)`", SECURITY))


def test_what_is_said_of_security_names_its_tests() -> None:
    rows = re.findall(r"^\| [A-Z].* \| (.*) \|$", SECURITY, re.MULTILINE)
    assert len(rows) >= 15
    assert all("::" in each for each in rows)


@pytest.mark.parametrize("named", sorted(NAMED))
def test_what_shows_a_row_is_a_test(named: str) -> None:
    file, _, name = named.partition("::")
    assert re.search(rf"^(?:async )?def test_{name}\(", (ROOT / "tests" / file).read_text("utf-8"), re.MULTILINE), named

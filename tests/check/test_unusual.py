"""What is right and unusual is not accused: by no look at the page, no search, and no example of its own."""

from __future__ import annotations

import pytest
from unusual import UNUSUAL

from tallystick.check import check
from tallystick.definition import reader


@pytest.mark.parametrize("name", UNUSUAL)
def test_it_is_clean(name: str) -> None:
    page = f"machine: page\nversion: 1\nsummary: A page, {name}.\n{UNUSUAL[name]}"
    report = check(reader.read({"page.yaml": page}))
    assert report.findings == ()
    assert report.figures.get("examples", {}).get("lives", 0) == page.count("  ends: {") + page.count(", ends: {")


def test_there_are_twenty() -> None:
    assert len(UNUSUAL) >= 20
    assert sum("examples:" in page for page in UNUSUAL.values()) >= 19

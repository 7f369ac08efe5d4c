"""A limit that calls in flight would pass, in whatever way it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.check.structure.inspect import inspect
from tallystick.definition import reader

PAGE = (Path(__file__).resolve().parents[3] / "docs/findings/TS130.md").read_text("utf-8")
CARD = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
GUARD, REFUSED = "(cap == none or free + amount <= cap)", "cap != none and free + amount > cap"


def limits(*changes: tuple[str, str]) -> list[str]:
    page = CARD
    for old, new in changes:
        assert old in page
        page = page.replace(old, new)
    found = inspect(reader.read({"meal_card.yaml": page}))[0]
    assert {each.code for each in found} <= {"TS130"}, [str(each) for each in found]
    return [each.message for each in found]


def test_it_is_told_with_what_to_write() -> None:
    assert limits() == [
        "load counts free + amount up to cap, but not what is in doubt: of two calls at once each sees room, and both "
        "together pass it; write free + amount + in_doubt"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        [(GUARD, "(cap == none or cap >= free + amount)")],
        [(GUARD, "(cap == none or amount + free <= cap)")],
        [(GUARD, "(cap == none or free + amount < cap)"), (REFUSED, "cap != none and free + amount >= cap")],
        [("cap: {is: money?,", "cap: {is: money,"), (GUARD, "free + amount <= cap"), (REFUSED, "free + amount > cap")],
    ],
    ids=["turned round", "in another order", "below it", "always there"],
)
def test_it_is_found_however_it_is_written(changes: list[tuple[str, str]]) -> None:
    assert len(limits(*changes)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        [(GUARD, "(cap == none or free + in_doubt + amount <= cap)"),
         (REFUSED, "cap != none and free + in_doubt + amount > cap")],
        [(GUARD, "(cap == none or amount <= cap)"), (REFUSED, "cap != none and amount > cap")],
        [("    ask: issue\n", ""), ("    ask: redeem\n", "")],
    ],
    ids=["it counts", "a limit of one load", "nobody is asked, so nothing is in doubt"],
)  # fmt: skip
def test_what_is_in_order_is_not_accused(changes: list[tuple[str, str]]) -> None:
    assert limits(*changes) == []

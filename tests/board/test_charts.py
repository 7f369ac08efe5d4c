"""Charts: a column has room for its day, and never more than it needs."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from board_world import board, fill, get
from tallystick.board.charts import WIDE, columns


@pytest.mark.parametrize("count", [1, 2, 8, 31, 120])
def test_columns_and_their_days_stand_inside_however_many_there_are(count: int) -> None:
    days = [(str(date(2025, 12, 20) + timedelta(days=at)), at + 1, f"{at + 1} transactions") for at in range(count)]
    root = ElementTree.fromstring(str(columns(days)))
    wide = [float(each.get("width", "")) for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    named = [(float(each.get("x", "")), each.text or "") for each in root.iter("{http://www.w3.org/2000/svg}text")
             if not (each.text or "").startswith("most")]  # fmt: skip

    assert len(wide) == count
    assert max(wide) <= 60
    assert named[0][1] == "2025-12-20"  # the year stands where it begins or changes
    assert all(re.fullmatch(r"(\d{4}-)?\d\d-\d\d", name) for _, name in named)
    assert all(x + 7 * len(name) <= WIDE for x, name in named)
    assert count < 31 or any(name.startswith("2026-") for _, name in named)


def test_the_days_of_the_activity_stand_with_the_newest_first(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    fill(url)
    ours = board(url)
    table = get(ours, "/activity", all="1").text.partition("the newest first")[2]
    days = re.findall(r">(\d{4}-\d\d-\d\d)<", table)
    ours.books.close()

    assert len(days) >= 3
    assert days == sorted(days, reverse=True)

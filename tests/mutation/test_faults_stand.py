"""A fault can only be planted where its text stands once; who changes the core changes its faults too."""

from __future__ import annotations

from pathlib import Path

from faults import FAULTS

SOURCE = Path(__file__).parents[2] / "src" / "tallystick"


def test_every_fault_can_be_planted() -> None:
    lost = {each.name for each in FAULTS if (SOURCE / each.file).read_text(encoding="utf-8").count(each.old) != 1}
    assert lost == set()
    assert all(each.old != each.new for each in FAULTS)
    assert len(FAULTS) >= 50

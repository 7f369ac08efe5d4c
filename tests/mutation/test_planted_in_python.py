"""Faults planted in the core's Python, each in a copy of its own: the tests of the core have to fail on every one.

A suite that passes on a wrong core proves nothing about a right one. The copy without a fault passes them all.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import CORE, ENGINE, FAULTS, GUARDS, Fault
from planting import FAILED, copied, outcome_of

pytestmark = pytest.mark.mutation


def test_without_a_fault_they_pass(tmp_path: Path) -> None:
    done = outcome_of(copied(tmp_path), tuple(dict.fromkeys([*GUARDS, *CORE, *ENGINE])))
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_it_is_found(fault: Fault, tmp_path: Path) -> None:
    source = copied(tmp_path)
    file = source / "tallystick" / fault.file
    text = file.read_text(encoding="utf-8")
    assert text.count(fault.old) == 1, f"{fault.old!r} stands {text.count(fault.old)} times in {fault.file}"
    file.write_text(text.replace(fault.old, fault.new), encoding="utf-8")

    done = outcome_of(source, fault.by)
    assert done.returncode == FAILED, done.stdout[-2000:]

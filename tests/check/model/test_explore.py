"""Our machines pass the model with nothing excepted, and it has seen all that they can do."""

from __future__ import annotations

import pytest

from core_world import MACHINES
from tallystick.check.model.explore import explore


@pytest.mark.slow
def test_our_machines_pass_the_model() -> None:
    findings, figures = explore(MACHINES)

    assert findings == []
    searched = [each for each in MACHINES.values() if not each.reads_parts]
    assert figures["transitions_fired"] == sum(len(each.transitions) for each in searched)
    assert figures["states"] > 100_000
    assert figures["worlds_complete"] >= 2

"""A page and the library `transitions` side by side: they agree on ours, and a difference would be seen."""

from __future__ import annotations

import pytest

from tallystick.definition import reader
from tallystick.definition.machine import Machine
from tallystick.testing.fuzzing import conformance_walk

MACHINES = reader.load(reader.packaged_folder())


@pytest.mark.parametrize(
    "machine",
    [pytest.param(each, marks=[pytest.mark.slow] if each.name == "tender" else []) for each in MACHINES.values()],
    ids=lambda machine: machine.name,
)
def test_they_agree_and_the_walk_goes_everywhere(machine: Machine) -> None:
    assert conformance_walk.side_by_side(machine, steps=1200) is None


def test_a_guard_turned_round_on_one_side_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = conformance_walk.standing_alone

    def turned(machine: Machine) -> Machine:
        ours = whole(machine)
        fires = ours.rows["settle_all"].fires
        ours.rows["settle_all"].fires = lambda v, f, a, s: not fires(v, f, a, s)
        ours.fast_paths.update(dict.fromkeys(ours.table, lambda *_: None))  # then the rows decide
        return ours

    monkeypatch.setattr(conformance_walk, "standing_alone", turned)
    found = conformance_walk.side_by_side(MACHINES["payment"])
    assert found is not None
    assert "settle_all" in found

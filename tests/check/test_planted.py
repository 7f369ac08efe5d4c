"""Every fault that is planted in our machines is seen, by the first level that can see it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest
from planted import PLANTED, Planted

from core_world import MACHINES, PAGES
from tallystick.check import Finding
from tallystick.check.model.explore import explore
from tallystick.check.proof.prove import Proof
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.transfers import prove_transfers
from tallystick.check.structure.inspect import inspect_machine
from tallystick.definition import reader
from tallystick.definition.behaviour import behaviour, digest_of
from tallystick.definition.machine import Machine, Machines


def planted(fault: Planted) -> tuple[Machines, Machine]:
    """Our machines with the fault, and the one that has it."""
    text = PAGES[fault.page]
    assert text.count(fault.old) >= 1, f"{fault.old!r} does not stand in {fault.page}"
    changed = text.replace(fault.old, fault.new, 1)
    machines = reader.read({**PAGES, fault.page: changed})
    machine = machines[fault.page.removesuffix(".yaml")]
    assert digest_of(machine) != digest_of(MACHINES[machine.name])
    return machines, machine


@cache
def ours() -> Mapping[str, StateInvariants]:
    """What holds in the states of our machines. One that decides by what its parts are is left out of the proofs."""
    proof = Proof(MACHINES)
    return {name: proof.known(name) for name, machine in MACHINES.items() if not machine.reads_parts}


def lives(machine: Machine) -> dict[str, object]:
    """What a machine's behaviour is, apart from what is asked of it across machines."""
    return {key: value for key, value in behaviour(machine).items() if key != "invariants"}


def proved(machines: Machines) -> list[Finding]:
    """What the two questions across machines find; what holds in the states of unchanged machines is known already."""
    alike = {name for name, machine in machines.items() if lives(machine) == lives(MACHINES[name])}
    drives = {
        name: {drive.machine for each in machine.transitions.values() for drive in each.drives}
        for name, machine in machines.items()
    }
    known = {name: each for name, each in ours().items() if name in alike and drives[name] <= alike}
    proof = Proof(machines, known)
    prove_transfers(proof.prover, proof.known("replacement"))
    if proof.prover.findings:
        return proof.prover.findings
    proof.invariants_of(machines["gift_card"])
    return proof.prover.findings


def test_there_are_many_and_each_has_its_name() -> None:
    assert len({fault.name for fault in PLANTED}) == len({fault[1:4] for fault in PLANTED}) == len(PLANTED) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("fault", [each for each in PLANTED if each.code.startswith("TS1")], ids=lambda each: each.name)
def test_structure_sees(fault: Planted) -> None:
    assert fault.code in {each.code for each in inspect_machine(*planted(fault))}


@pytest.mark.slow
@pytest.mark.parametrize("fault", [each for each in PLANTED if each.code.startswith("TS2")], ids=lambda each: each.name)
def test_running_the_machines_shows(fault: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a part of the states that are looked at otherwise: the rest only tells that nothing else is wrong."""
    monkeypatch.setattr("tallystick.check.model.explore.BUDGET", 5_000)
    machines, machine = planted(fault)
    assert list(inspect_machine(machines, machine)) == []
    assert fault.code in {each.code for each in explore(machines, only=[machine.name])[0]}


@pytest.mark.slow
@pytest.mark.parametrize("fault", [each for each in PLANTED if each.code.startswith("TS3")], ids=lambda each: each.name)
def test_a_proof_fails(fault: Planted) -> None:
    machines, machine = planted(fault)
    assert list(inspect_machine(machines, machine)) == []
    assert fault.code in {each.code for each in proved(machines)}

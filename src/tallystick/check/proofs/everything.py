"""All proofs about machines, in one go."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tallystick.check.finding import Finding
from tallystick.check.proofs.ends import ends
from tallystick.check.proofs.facts import Known
from tallystick.check.proofs.guards import guards
from tallystick.check.proofs.halves import halves
from tallystick.check.proofs.invariants import invariants
from tallystick.check.proofs.keeps import keeps
from tallystick.check.proofs.life import Life
from tallystick.check.proofs.solver import Prover, Undecided
from tallystick.definition.machine import Machine, Machines


class Proof:
    """What is known of each machine is found once, when it is first asked for."""

    def __init__(self, machines: Machines, known: Mapping[str, Known] | None = None) -> None:
        self.machines = machines
        self.prover = Prover()
        self._known = dict(known or {})  # machines that are as they were the last time need no second look

    def known(self, name: str) -> Known:
        if name not in self._known:
            found = self._known[name] = Known(Life(self.machines, self.machines[name]))
            self.prover.figures["statements about states"] += found.proofs
        return self._known[name]

    def of(self, machine: Machine) -> None:
        known = self.known(machine.name)
        guards(self.prover, known)
        keeps(self.prover, known)
        halves(self.prover, known)
        invariants(self.prover, machine, {name: self.known(name) for name in near(self.machines, machine)})
        ends(self.prover, known, self.known)


def near(machines: Machines, machine: Machine) -> list[str]:
    """The machines whose steps an invariant of this one may see: itself, those in its sums, and all that drive it."""
    if not machine.invariants:
        return []
    drives = {
        name
        for name, other in machines.items()
        for transition in other.transitions.values()
        for drive in transition.drives
        if drive.machine == machine.name
    }
    sums = {total.machine for each in machine.invariants.values() for total in each.sums.values()}
    return sorted({machine.name} | drives | sums)


def proved(machines: Machines, names: Collection[str]) -> tuple[list[Finding], dict[str, int]]:
    proof = Proof(machines)
    for name in names:
        machine = machines[name]
        try:
            proof.of(machine)
        except Undecided:
            proof.prover.undecided("what holds in its states", machine, ("machine",))
    found = sorted(proof.prover.findings, key=lambda each: (each.file, each.line, each.column, each.code))
    return found, dict(proof.prover.figures)

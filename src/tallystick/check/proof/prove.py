"""The third level: everything that is proved about machines.

Amounts are integers without a bound here, whole or confirmed in part, with any number of other calls in flight. What
the proofs rest on is found by the solver too: what holds in each state (`state_invariants`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from tallystick.check.finding import Finding, Stopped
from tallystick.check.proof.accounts import prove_accounts
from tallystick.check.proof.certificate import Certificate, certificate
from tallystick.check.proof.ends import prove_ends
from tallystick.check.proof.guards import prove_guards
from tallystick.check.proof.invariants import prove_invariants
from tallystick.check.proof.lifecycle import Lifecycle
from tallystick.check.proof.solver import Prover, Undecided
from tallystick.check.proof.state_invariants import StateInvariants
from tallystick.check.proof.transfers import prove_transfers
from tallystick.definition.machine import Machine, Machines


def prove(
    machines: Machines,
    *,
    only: Collection[str] = (),
    progress: Callable[[str], None] | None = None,
    certificates: dict[str, Certificate] | None = None,
) -> tuple[list[Finding], dict[str, int]]:
    """Findings about the machines, or about those named in `only`; and how many proofs of each kind there were.

    Nothing is proved of a machine that reads its parts. `progress` gets a line for each. Where everything was proved,
    `certificates` gets for each machine what holds in its states.
    """
    proof = Proof(machines)
    proved = [name for name in only or machines if not machines[name].reads_parts]
    for name in proved:
        if progress is not None:
            progress(f"{name}: proving")
        try:
            proof.of(machines[name])
        except Undecided:
            proof.prover.report_undecided("statements about states", machines[name], ("machine",))
        except KeyboardInterrupt:
            raise Stopped(proof.prover.findings, dict(proof.prover.figures)) from None
    if certificates is not None and not proof.prover.findings:
        certificates |= {name: certificate(proof.known(name)) for name in proved}
    return sorted(proof.prover.findings, key=lambda each: each.order), dict(proof.prover.figures)


class Proof:
    """All proofs about machines. What is known of each is found once, when it is first asked for."""

    def __init__(self, machines: Machines, known: Mapping[str, StateInvariants] | None = None) -> None:
        """`known`: of machines that are as they were the last time, and need no second look."""
        self.machines = machines
        self.prover = Prover()
        self._known = dict(known or {})

    def known(self, name: str) -> StateInvariants:
        """What holds in the states of a machine."""
        if name not in self._known:
            found = self._known[name] = StateInvariants(Lifecycle(self.machines, self.machines[name]))
            self.prover.figures["statements about states"] += found.proofs
        return self._known[name]

    def of(self, machine: Machine) -> None:
        """Prove everything about one machine.

        Raises:
            Undecided: the solver gave up on what holds in its states.
        """
        known = self.known(machine.name)
        prove_guards(self.prover, known)
        prove_accounts(self.prover, known)
        prove_transfers(self.prover, known)
        self.invariants_of(machine)
        prove_ends(self.prover, known, self.known)

    def invariants_of(self, machine: Machine) -> None:
        """Prove the invariants of a machine: for its own steps, and those of all in its sums and all that drive it."""
        if not machine.invariants:
            return
        drives = {
            name
            for name, other in self.machines.items()
            for transition in other.transitions.values()
            for drive in transition.drives
            if drive.machine == machine.name
        }
        sums = {total.machine for each in machine.invariants.values() for total in each.sums.values()}
        near = sorted({machine.name} | drives | sums)
        prove_invariants(self.prover, machine, {name: self.known(name) for name in near})

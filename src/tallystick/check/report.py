"""`check`: what is wrong with machines, as one report of all its levels. A level is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import attrs

from tallystick.check.finding import Finding
from tallystick.check.structure.inspect import inspect
from tallystick.definition.machine import Machines
from tallystick.errors import Invalid, NotFound

if TYPE_CHECKING:
    from tallystick.check.model.invariants import UserInvariant


@attrs.frozen
class Report:
    """What was found, and how much was looked at."""

    findings: tuple[Finding, ...]
    figures: Mapping[str, Mapping[str, int]]  # level (structure, model, proof) → what is counted → how many
    left_out: tuple[str, ...] = ()  # machines that read their parts: only their structure was looked at

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def check(
    machines: Machines,
    *,
    only: Collection[str] = (),
    depth: int | None = None,
    model: bool = True,
    prove: bool = False,
    progress: Callable[[str], None] | None = None,
    invariants: Sequence[UserInvariant] = (),
) -> Report:
    """Find what is wrong with the machines. The structure is always looked at, and the pages' examples are lived.

    `only` names the machines to look at; the others still run beside them. `depth` is the largest amount in the model,
    in minor units: 2 if not given, and each one more searches about ten times as many states. `progress` gets a line
    now and then while the model is searched. `invariants` are functions of yours. Each gets the entities of a state of
    the model, by machine and id, and returns what is wrong with them, or None.

    Raises:
        NotFound: `only` names a machine that does not exist.
        Invalid: `prove` is asked for and no solver is installed.
    """
    for name in only:
        if name not in machines:
            raise NotFound("machine", name, list(machines))
    if prove and find_spec("z3") is None:
        raise Invalid("proofs need a solver, which is not installed: pip install 'tallystick[check]'")
    findings, counted = inspect(machines, only=only)
    left_out = [name for name in only or machines if machines[name].reads_parts]
    deeper = [name for name in only or machines if name not in left_out]
    figures: dict[str, Mapping[str, int]] = {"structure": counted}
    if any(machines[name].examples for name in only or machines):
        from tallystick.check.examples import check_examples

        found, figures["examples"] = check_examples(machines, only)
        findings += found
    if model and deeper:
        from tallystick.check.model.explore import explore

        found, figures["model"] = explore(machines, only=deeper, depth=depth, progress=progress, invariants=invariants)
        findings += found
    if prove and deeper:
        from tallystick.check.proof.prove import prove as prove_all

        found, figures["proof"] = prove_all(machines, only=deeper)
        findings += found
    return Report(tuple(findings), figures, tuple(left_out) if model or prove else ())

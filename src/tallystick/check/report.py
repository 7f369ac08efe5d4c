"""`check`: what is wrong with machines, as one report of all its levels. A level is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import attrs

from tallystick.check.finding import Finding, Stopped
from tallystick.check.structure.inspect import inspect
from tallystick.definition.machine import Machines
from tallystick.errors import Invalid, NotFound

if TYPE_CHECKING:
    from tallystick.check.model.invariants import UserInvariant

Found = tuple[list[Finding], Mapping[str, int]]
Progress = Callable[[str], None] | None


@attrs.frozen
class Report:
    """What was found, and how much was looked at."""

    findings: tuple[Finding, ...]
    figures: Mapping[str, Mapping[str, int]]  # level (structure, model, proof) → what is counted → how many
    left_out: tuple[str, ...] = ()  # machines that read their parts: only their structure was looked at
    searched: tuple[str, ...] = ()  # invariants that name facts, as machine.name: tried with small amounts, not proved
    # What was proved to hold, as sentences, by machine and state, and `always`; empty if not everything was proved.
    # Of a state it holds while no call is open that will change it
    holds: Mapping[str, Mapping[str, tuple[str, ...]]] = attrs.field(factory=dict)
    stopped: str | None = None  # the level in which the check was interrupted; what it knew by then is here

    @property
    def clean(self) -> bool:
        """Whether everything was looked at, and nothing was found."""
        return not self.findings and self.stopped is None

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """What is wrong, without what is only not decided."""
        return tuple(each for each in self.findings if each.decided)


def check(
    machines: Machines,
    *,
    only: Collection[str] = (),
    depth: int | None = None,
    model: bool = True,
    prove: bool = False,
    progress: Progress = None,
    invariants: Sequence[UserInvariant] = (),
) -> Report:
    """Find what is wrong with the machines. The structure is always looked at, and the pages' examples are lived.

    `only` names the machines to look at; the others still run beside them. `depth` is the largest amount in the model,
    in minor units: 2 if not given, and each one more searches about ten times as many states. `progress` gets a line
    now and then. `invariants` are functions of yours. Each gets the entities of a state of the model, by machine and
    id, and returns what is wrong with them, or None. Interrupted (`KeyboardInterrupt`), it gives what it knows by then.

    Raises:
        NotFound: `only` names a machine that does not exist.
        Invalid: `prove` is asked for and no solver is installed.
    """
    for name in only:
        if name not in machines:
            raise NotFound("machine", name, list(machines))
    if prove and find_spec("z3") is None:
        raise Invalid("proofs need a solver, which is not installed: pip install 'tallystick[check]'")
    left_out = [name for name in only or machines if machines[name].reads_parts]
    deeper = [name for name in only or machines if name not in left_out]
    levels: dict[str, Callable[[], Found]] = {"structure": lambda: inspect(machines, only=only, progress=progress)}
    if any(machines[name].examples for name in only or machines):
        levels["examples"] = lambda: _examples(machines, only)
    if model and deeper:
        levels["model"] = lambda: _model(machines, deeper, depth, progress, invariants)
    if prove and deeper:
        levels["proof"] = lambda: _proof(machines, deeper, progress, holds)
    holds: dict[str, Mapping[str, tuple[str, ...]]] = {}
    findings: list[Finding] = []
    figures: dict[str, Mapping[str, int]] = {}
    for level, look in levels.items():
        try:
            found, figures[level] = look()
        except KeyboardInterrupt as stop:
            if isinstance(stop, Stopped):
                figures[level] = stop.figures
                findings += stop.findings
            return Report(tuple(findings), figures, stopped=level)
        findings += found
    searched = [f"{name}.{each.name}" for name in deeper for each in machines[name].invariants.values()
                if each.always.names & machines[name].facts.keys()]  # fmt: skip
    left = tuple(left_out) if model or prove else ()
    return Report(tuple(findings), figures, left, tuple(searched) if prove else (), holds)


# Levels, each imported when it is needed


def _examples(machines: Machines, only: Collection[str]) -> Found:
    from tallystick.check.examples import check_examples

    return check_examples(machines, only)


def _model(
    machines: Machines,
    only: Collection[str],
    depth: int | None,
    progress: Progress,
    invariants: Sequence[UserInvariant],
) -> Found:
    from tallystick.check.model.explore import explore

    return explore(machines, only=only, depth=depth, progress=progress, invariants=invariants)


def _proof(
    machines: Machines, only: Collection[str], progress: Progress, holds: dict[str, Mapping[str, tuple[str, ...]]]
) -> Found:
    from tallystick.check.proof.prove import prove

    return prove(machines, only=only, progress=progress, certificates=holds)

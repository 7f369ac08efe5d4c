"""Whether a page books what it asks the provider for, and whether the provider is told what it has to be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tallystick.check.agreement import OURS, Agreement, agreement, change_asked, change_booked, in_words
from tallystick.check.finding import Finding, finding
from tallystick.check.structure.reachable import Reachability
from tallystick.definition.declared import Transition
from tallystick.definition.expression import Expression, Type
from tallystick.definition.machine import Machine, Machines
from tallystick.provider.verbs import EFFECTS

TOLD = {"number": "number", "pin": "secret"}  # what a verb has to be told → the type of an argument that says it


def check_provider_half(reachable: Reachability) -> Iterator[Finding]:
    """TS126 and TS127."""
    machines, machine = reachable.trials.machines, reachable.machine
    its = agreement(machines, machine)
    for transition in its.apart if its is not None else ():
        key = ("ask",) if transition.ask else ()
        yield finding("TS126", machine, _apart(its, transition), "transition", transition.name, *key)
    for transition in machine.transitions.values():
        for kind, to in _untold(machines, machine, transition):
            why = f"{transition.name} gets a {kind} and does not hand it on to {to}"
            yield finding("TS127", machine, why, "transition", transition.name, "ask" if transition.ask else "drive")


def _apart(its: Agreement | None, transition: Transition) -> str:
    """What it asks for, and what it books, in words."""
    available, held = change_asked(transition)
    changes = f"available {in_words(available)}, held {in_words(held)}"
    booked = ", ".join(
        f"{name} {in_words(sums)}{whose}"
        for name, sums in change_booked(transition).items()
        for reading in [its.reading.get(name, OURS) if its else OURS]
        for whose in ["" if reading in (OURS, name) else f" ({reading} there)"]
        if sums
    )
    if transition.ask is None:
        return f"{transition.name} books {booked} and asks nobody: the provider's half stays as it is"
    return (
        f"{transition.name} asks for {transition.ask.verb}: {changes} at the provider's; it books {booked or 'nothing'}"
    )


def _untold(machines: Machines, machine: Machine, transition: Transition) -> Iterator[tuple[str, str]]:
    """What a caller gives, and who is not told of it: the provider, or a command of a linked entity."""
    given = {name: type_ for each in transition.commands for name, type_ in machine.commands[each].arguments.items()}
    used = {name for value in transition.sets.values() for name in value.names}
    called: list[tuple[str, Mapping[str, Expression], set[str]]] = [
        (
            f"{drive.link}.{drive.command}",
            drive.arguments,
            _kinds(machines[drive.machine].commands[drive.command].arguments),
        )
        for drive in transition.drives
    ]
    if transition.ask is not None:
        told = {TOLD[each] for each in EFFECTS[transition.ask.verb].told}
        called.append((f"the provider ({transition.ask.verb})", transition.ask.arguments, told))
    for to, arguments, wanted in called:
        names = {name for value in arguments.values() for name in value.names}
        for kind in sorted(wanted & set(TOLD.values())):
            have = {name for name, type_ in given.items() if type_.kind == kind and (kind == "secret" or name in used)}
            if have and not have & names:
                yield ("PIN" if kind == "secret" else kind), to


def _kinds(arguments: Mapping[str, Type]) -> set[str]:
    return {each.kind for each in arguments.values()}

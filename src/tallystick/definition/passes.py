"""The two passes over all pages.

There are two, as machines name each other. The first reads what every page declares: facts, accounts, states,
commands. The second reads its transitions against all declarations. Both check what one look can: names, types, units,
links, secrets, one call in a command, one start, no way out of a final state. `check` does what needs a search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from tallystick.definition.cache import parse
from tallystick.definition.declared import Command, RefusedOnPurpose, State, Transition, read_names
from tallystick.definition.examples import read_examples
from tallystick.definition.expression import NOW
from tallystick.definition.first_pass import Declarations
from tallystick.definition.machine import Machine, Machines
from tallystick.definition.rules import read_groups, read_invariants, read_migrations, read_refusals, read_usual
from tallystick.definition.scope import Scope, linking
from tallystick.definition.shapes import FileFaults
from tallystick.definition.transitions import TransitionReader
from tallystick.errors import MachineError


def read_layers(layers: Iterable[Mapping[str, str]], *, examples: bool = True) -> Machines:
    """Machines of all layers. A page of a later layer replaces the one of the same `machine:` in an earlier one.

    `examples`: read these too, which name those of other pages.
    """
    declared: dict[str, Declarations] = {}
    collected: list[FileFaults] = []
    for pages in layers:
        own: dict[str, Declarations] = {}
        for file, text in pages.items():
            faults = FileFaults(file)
            collected.append(faults)
            page = parse(text, faults)
            if page is None or not {"machine", "states"} <= page.value.keys():
                continue
            one = Declarations(page, text, faults)
            if one.name in own:
                faults.add(page.value["machine"], f"machine {one.name!r} is declared in {own[one.name].file} already")
            else:
                own[one.name] = one
        replaced = [declared[name].faults for name in own if name in declared]
        collected = [each for each in collected if not any(each is other for other in replaced)]
        declared |= own
    for one in declared.values():
        one.declare(declared)
    machines = [_machine(one, declared, examples) for one in declared.values()]
    found = [fault for faults in collected for fault in faults.found]
    if found:
        raise MachineError(sorted(found, key=lambda fault: (fault.file, fault.line, fault.column)))
    return Machines([machine for machine in machines if machine is not None])


def _machine(page: Declarations, machines: Mapping[str, Declarations], examples: bool) -> Machine | None:
    """The machine of one page: the second pass over it. None if the page has a fault."""
    scope = Scope(page, machines)
    reader = TransitionReader(scope, machines)
    read = {key.value: reader.read(key, body) for key, body in page.pairs("transitions")}
    transitions = {name: each for name, each in read.items() if each is not None}
    refusals = read_refusals(scope, transitions.values())
    invariants = read_invariants(scope, machines)
    usual = read_usual(scope, transitions.values())
    states = _states(scope)
    lived = read_examples(page, machines) if examples else {}
    migrations = read_migrations(scope)
    if page.faults.found:
        return None
    return Machine(
        name=page.name,
        version=page.page["version"].value,
        summary=page.page["summary"].value,
        facts=page.facts,
        accounts=page.accounts,
        outside=page.outside,
        states=states,
        commands=_commands(scope, transitions, refusals),
        transitions=transitions,
        refuse=refusals,
        invariants=invariants,
        parts={name: linking(part, page)[0] for name, part in scope.parts.items()},
        text=page.text,
        file=page.file,
        moved_by=page.moved_by,
        usual=usual,
        figures=page.figures,
        examples=lived,
        migrations=migrations,
    )


def _commands(
    scope: Scope, transitions: Mapping[str, Transition], refusals: Iterable[RefusedOnPurpose]
) -> dict[str, Command]:
    """The commands, each with what its transitions and refusals read of parts, shares and links."""
    page, links = scope.page, scope.links
    reads: dict[str, dict[str, None]] = {name: {} for name in page.commands}
    for each in transitions.values():
        for name in each.commands:
            reads[name] |= dict.fromkeys(each.reads)
    for refusal in refusals:
        for name in refusal.commands:
            reads[name] |= dict.fromkeys(read_names(refusal.guard) if refusal.guard is not None else ())
    found = {}
    for name, command in page.commands.items():
        read = tuple(sorted(reads[name]))
        pairs = [(one, *one.split(".")) for one in read if one != NOW]
        linked = tuple((one, fact, links[fact], account) for one, fact, account in pairs if fact in links)
        found[name] = attrs.evolve(command, reads=read, linked=linked)
    return found


def _states(scope: Scope) -> dict[str, State]:
    """The states, each with its heading and its guard of `goes_on`."""
    groups = read_groups(scope)
    states = {name: state._replace(group=groups.get(name, "")) for name, state in scope.page.states.items()}
    for key, body in scope.page.pairs("states"):
        if "goes_on" in body.value:
            names = scope.names({}, (key.value,))
            del names[NOW]  # it says what a state is, at any time
            goes_on = scope.guard(body.value["goes_on"], names)
            states[key.value] = states[key.value]._replace(goes_on=goes_on)
    return states

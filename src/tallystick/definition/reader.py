"""From pages of YAML to machines. Reading is strict, and all faults of all pages are reported together.

There are two passes, as machines name each other. The first reads what every page declares: facts, accounts, states,
commands. The second reads its transitions against all declarations. Both check what one look can: names, types, units,
links, secrets, one call in a command, one start, no way out of a final state. `check` does what needs a search.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from tallystick.definition.cache import parse
from tallystick.definition.declared import Command, RefusedOnPurpose, State, Transition, read_names
from tallystick.definition.first_pass import Declarations
from tallystick.definition.format import FileFaults
from tallystick.definition.machine import Machine, Machines
from tallystick.definition.places import places
from tallystick.definition.rules import read_invariants, read_refusals
from tallystick.definition.scope import Scope, linking
from tallystick.definition.transitions import TransitionReader
from tallystick.errors import Fault, Invalid, MachineError


def packaged_folder() -> Path:
    """The folder of the machines that come with the package: in a wheel inside it, in a checkout beside `src`."""
    inside = Path(__file__).parents[1] / "machines"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "machines"


def load(*folders: str | os.PathLike[str]) -> Machines:
    """The packaged machines, and those of `folders` (or of TALLYSTICK_MACHINES), which may replace them.

    A page replaces the one of the same `machine:` in an earlier folder. The names of the files do not matter.

    Raises:
        MachineError: with all faults of all files.
        Invalid: a folder does not exist.
    """
    named = [os.fspath(folder) for folder in folders] or os.environ.get("TALLYSTICK_MACHINES", "").split(os.pathsep)
    layers: list[dict[str, str]] = []
    for folder in [packaged_folder(), *(Path(name) for name in named if name)]:
        if not folder.exists():
            raise Invalid(f"{folder} does not exist: name a folder of machines, or a page")
        found = [folder] if folder.is_file() else sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        layers.append({_relative(path): _text(path) for path in found})
    return _read(layers)


def replaced(machines: Machines, path: str | os.PathLike[str]) -> Machines:
    """The machines, with the page at `path` in place of the one that has the same `machine:`.

    Raises:
        MachineError: with all faults of the page, and of other pages that do not fit it.
    """
    file, text = _relative(Path(path)), _text(Path(path))
    page = parse(text, FileFaults(file))
    name = page.value["machine"].value if page and "machine" in page.value else None
    return read({**{each.file: each.text for each in machines.values() if each.name != name}, file: text})


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MachineError([Fault(_relative(path), 1, 1, f"byte {error.start} is not UTF-8: {error.reason}")]) from None
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from None


def _relative(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read(pages: Mapping[str, str]) -> Machines:
    """Machines from texts by file name. Raises MachineError with all faults of all pages."""
    return _read([pages])


def _read(layers: Iterable[Mapping[str, str]]) -> Machines:
    """Machines of all layers. A page of a later layer replaces the one of the same `machine:` in an earlier one."""
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
    machines = [_machine(one, declared) for one in declared.values()]
    found = [fault for faults in collected for fault in faults.found]
    if found:
        raise MachineError(sorted(found, key=lambda fault: (fault.file, fault.line, fault.column)))
    return Machines([machine for machine in machines if machine is not None])


def _machine(page: Declarations, machines: Mapping[str, Declarations]) -> Machine | None:
    """The machine of one page: the second pass over it. None if the page has a fault."""
    scope = Scope(page, machines)
    reader = TransitionReader(scope, machines)
    read = {key.value: reader.read(key, body) for key, body in page.pairs("transitions")}
    transitions = {name: each for name, each in read.items() if each is not None}
    refusals = read_refusals(scope, transitions.values())
    invariants = read_invariants(scope, machines)
    states = _states(scope)
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
        places=places(page.page),
        moved_by=page.moved_by,
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
        pairs = [(one, *one.split(".")) for one in read]
        linked = tuple((one, fact, links[fact], account) for one, fact, account in pairs if fact in links)
        found[name] = attrs.evolve(command, reads=read, linked=linked)
    return found


def _states(scope: Scope) -> dict[str, State]:
    """The states, each with its guard of `goes_on`."""
    states = dict(scope.page.states)
    for key, body in scope.page.pairs("states"):
        if "goes_on" in body.value:
            goes_on = scope.guard(body.value["goes_on"], scope.names({}, (key.value,)))
            states[key.value] = attrs.evolve(states[key.value], goes_on=goes_on)
    return states

"""From pages of YAML to machines: strict, with every fault of a file told in one go.

Two passes, because machines name each other. The first takes down what each page declares (facts, accounts,
states, commands); the second reads its transitions against all declarations. What a page does is checked here
as far as one look can: names, types, units, links, secrets, one call in a command, one start, no way out of a
final state. What needs a search through the states is the business of `check`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tallystick.definition.declarations import Declared
from tallystick.definition.format import Faults
from tallystick.definition.machine import Machines
from tallystick.definition.page_cache import composed
from tallystick.definition.transitions import Wiring
from tallystick.errors import Fault, Invalid, MachineError


def packaged_folder() -> Path:
    """The folder of the machines that come with the package: in a wheel inside it, in a checkout beside `src`."""
    inside = Path(__file__).parents[1] / "machines"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "machines"


def load(*folders: str | os.PathLike[str]) -> Machines:
    """The packaged machines, and those of `folders` (or of TALLYSTICK_MACHINES), which may replace them.

    A page replaces the one of the same `machine:` in a folder before, whatever their files are called.

    Raises:
        MachineError: with all faults of all files.
        Invalid: a folder does not exist.
    """
    named = [os.fspath(folder) for folder in folders] or os.environ.get("TALLYSTICK_MACHINES", "").split(os.pathsep)
    layers: list[dict[str, str]] = []
    for folder in [packaged_folder(), *(Path(name) for name in named if name)]:
        if not folder.exists():
            raise Invalid(f"{folder} is no folder of machines: it does not exist")
        found = [folder] if folder.is_file() else sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        layers.append({_shown(path): _text(path) for path in found})
    return _read(layers)


def replaced(machines: Machines, path: str | os.PathLike[str]) -> Machines:
    """The machines with the page at `path` in place of the one of its name, whatever its file is called.

    Raises:
        MachineError: with all faults of the page, and what no longer fits to it.
    """
    file, text = _shown(Path(path)), _text(Path(path))
    page = composed(text, Faults(file))
    name = page.value["machine"].value if page and "machine" in page.value else None
    return read({**{each.file: each.text for each in machines.values() if each.name != name}, file: text})


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MachineError([Fault(_shown(path), 1, 1, f"byte {error.start} is not UTF-8: {error.reason}")]) from None
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from None


def _shown(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read(pages: Mapping[str, str]) -> Machines:
    """Machines from texts by file name. Raises MachineError with all faults of all pages."""
    return _read([pages])


def _read(layers: Iterable[Mapping[str, str]]) -> Machines:
    """Machines of all layers; one of a later layer stands for that of its name in an earlier one."""
    declared: dict[str, Declared] = {}
    collected: list[Faults] = []
    for pages in layers:
        own: dict[str, Declared] = {}
        for file, text in pages.items():
            faults = Faults(file)
            collected.append(faults)
            page = composed(text, faults)
            if page is None or not {"machine", "states"} <= page.value.keys():
                continue
            one = Declared(page, text, faults)
            if one.name in own:
                faults.add(page.value["machine"], f"machine {one.name!r} is declared in {own[one.name].file} too")
            else:
                own[one.name] = one
        replaced = [declared[name].faults for name in own if name in declared]
        collected = [each for each in collected if not any(each is other for other in replaced)]
        declared |= own
    for one in declared.values():
        one.declare(declared)
    machines = [Wiring(one, declared).machine() for one in declared.values()]
    found = [fault for faults in collected for fault in faults.found]
    if found:
        raise MachineError(sorted(found, key=lambda fault: (fault.file, fault.line, fault.column)))
    return Machines([machine for machine in machines if machine is not None])

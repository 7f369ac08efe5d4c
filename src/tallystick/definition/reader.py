"""From folders of pages to machines. Reading is strict, and all faults of all pages are reported together.

What was read before comes from `compiled`; `passes` does the reading.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tallystick.definition.compiled import compiled
from tallystick.definition.machine import Machines
from tallystick.errors import Fault, Invalid, MachineError

if TYPE_CHECKING:
    from pathlib import Path


def packaged_folder() -> Path:
    """The folder of the machines that come with the package: in a wheel inside it, in a checkout beside `src`."""
    from pathlib import Path  # opening books goes without it: it would load 20 modules

    return Path(_packaged())


def _packaged() -> str:
    here = os.path.dirname(os.path.abspath(__file__))
    inside = os.path.join(os.path.dirname(here), "machines")
    return inside if os.path.isdir(inside) else os.path.abspath(os.path.join(here, "../../../machines"))


def load(*folders: str | os.PathLike[str]) -> Machines:
    """The packaged machines, and those of `folders` (or of TALLYSTICK_MACHINES), which may replace them.

    A page replaces the one of the same `machine:` in an earlier folder. The names of the files do not matter.

    Raises:
        MachineError: with all faults of all files.
        Invalid: a folder does not exist.
    """
    named = [os.fspath(folder) for folder in folders] or os.environ.get("TALLYSTICK_MACHINES", "").split(os.pathsep)
    layers: list[dict[str, str]] = []
    for folder in [_packaged(), *filter(None, named)]:
        if not os.path.exists(folder):
            raise Invalid(f"{folder} does not exist: name a folder of machines, or a page")
        found = [folder] if os.path.isfile(folder) else sorted(_pages(folder))
        layers.append({_relative(path): _text(path) for path in found})
    return compiled(layers, lambda: _read(layers))


def replaced(machines: Machines, path: str | os.PathLike[str]) -> Machines:
    """The machines, with the page at `path` in place of the one that has the same `machine:`.

    Raises:
        MachineError: with all faults of the page, and of other pages that do not fit it.
    """
    from tallystick.definition.cache import parse
    from tallystick.definition.shapes import FileFaults

    file, text = _relative(os.fspath(path)), _text(os.fspath(path))
    page = parse(text, FileFaults(file))
    name = page.value["machine"].value if page and "machine" in page.value else None
    return read({**{each.file: each.text for each in machines.values() if each.name != name}, file: text})


def _pages(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith((".yaml", ".yml"))]
    except OSError as error:
        raise Invalid(f"{folder} cannot be read: {error.strerror}") from None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise MachineError([Fault(_relative(path), 1, 1, f"byte {error.start} is not UTF-8: {error.reason}")]) from None
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from None


def _relative(path: str) -> str:
    """A path below the current folder without that folder."""
    here, whole = os.path.join(os.path.realpath("."), ""), os.path.realpath(path)
    return whole.removeprefix(here) if whole.startswith(here) else path


def read(pages: Mapping[str, str], *, examples: bool = True) -> Machines:
    """Machines from texts by file name. Raises MachineError with all faults of all pages.

    Without `examples`, as a store reads the pages again that it keeps: nothing runs by them, and those of other pages
    that they name may not be there yet, or any more.
    """
    return _read([pages], examples=examples)


def _read(layers: Sequence[Mapping[str, str]], *, examples: bool = True) -> Machines:
    from tallystick.definition.passes import read_layers  # what was kept is opened without it

    return read_layers(layers, examples=examples)

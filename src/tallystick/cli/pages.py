"""Pages that are named on the command line, read together with the pages beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.errors import MachineError

if TYPE_CHECKING:
    from tallystick.definition.machine import Machines


def with_pages_beside(paths: Sequence[str], folders: Sequence[str] = ()) -> tuple[Machines, list[str]]:
    """Pages with those in their folders, to which they may link; and the folders and pages that were needed.

    If a page beside them has faults, or is none, they are read without. Raises MachineError.
    """
    from tallystick.definition import reader

    parents = dict.fromkeys(str(Path(path).parent) for path in paths if Path(path).is_file())
    try:
        return reader.load(*folders, *parents, *paths), [*folders, *(parents or paths)]
    except MachineError as error:
        own = {Path(path).resolve() for path in paths}
        if not parents or any(Path(fault.file).resolve() in own for fault in error.faults):
            raise
    return reader.load(*folders, *paths), [*folders, *paths]

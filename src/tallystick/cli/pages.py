"""Pages that are named on the command line, read together with the pages beside them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.errors import Invalid, MachineError

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


def changed_since(ref: str, machines: Machines, names: Collection[str]) -> list[str]:
    """Those of the machines whose pages differ from a git commit, or are not in it.

    Pages outside of any repository, such as those that are installed, have not changed. Raises Invalid if git cannot
    tell.
    """
    files = {name: Path(machines[name].file).resolve() for name in names}
    folders = sorted({file.parent for file in files.values()})
    told = [_git(folder, "rev-parse", "--show-toplevel") for folder in folders]
    tops = {Path(each) for each in told if each}
    if not tops:
        raise Invalid("--changed asks git, and these pages are in no git repository")
    changed: set[Path] = set()
    for top in sorted(tops):
        differ = _git(top, "diff", "--name-only", "-z", "--end-of-options", ref, "--")
        if differ is None:
            raise Invalid(f"git knows no commit {ref!r} in {top}")
        new = _git(top, "ls-files", "--others", "--exclude-standard", "-z") or ""
        changed |= {(top / each).resolve() for each in f"{differ}\0{new}".split("\0") if each}
    return [name for name, file in files.items() if file in changed]


def reading(machines: Machines, names: Collection[str]) -> list[str]:
    """These machines and all that link to them, drive them, or sum over them; and those that do so to these."""
    found = list(names)
    for each in found:
        for other in machines.values():
            types = [type_ for command in other.commands.values() for type_ in command.arguments.values()]
            near = {*other.links.values(), *other.parts, *(type_.machine for type_ in types if type_.kind == "link")}
            near |= {total.machine for invariant in other.invariants.values() for total in invariant.sums.values()}
            if each in near and other.name not in found:
                found.append(other.name)
    return [name for name in machines if name in found]


def _git(folder: Path, *words: str) -> str | None:
    """What git says; None if it fails."""
    git = shutil.which("git")
    if git is None:
        raise Invalid("--changed asks git, and there is no git here")
    done = subprocess.run([git, "-C", folder, *words], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.rstrip("\n") if done.returncode == 0 else None

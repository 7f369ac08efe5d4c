"""The folder in which is kept what was read before, as JSON; and the files of this room, on which that depends."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any


def cache_folder() -> str | None:
    """`TALLYSTICK_CACHE`, else a folder in the user's cache; None if that is turned off."""
    named = os.environ.get("TALLYSTICK_CACHE", "")
    if named == "off":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return named or os.path.join(home, "tallystick")


def read_kept(name: str) -> Any:
    """What is kept under a name. Raises OSError or ValueError: nothing is, or it cannot be read."""
    with open(os.path.join(cache_folder() or "", name), encoding="utf-8") as file:
        return json.load(file)


def keep(name: str, value: object) -> None:
    """Keep it under a name. It is written whole or not at all, because other processes may be reading it."""
    folder = cache_folder() or ""
    path = os.path.join(folder, name)
    part = f"{path}.{os.getpid()}"
    try:
        os.makedirs(folder, exist_ok=True, mode=0o700)
        with open(part, "w", encoding="utf-8") as file:
            file.write(json.dumps(value, separators=(",", ":")))
        os.replace(part, path)
    except OSError:
        with suppress(OSError):
            os.unlink(part)


def program() -> list[tuple[str, int, int]]:
    """Name, size and time of every file that takes part in reading a page."""
    room = os.path.dirname(__file__)
    names = [*(name for name in os.listdir(room) if name.endswith(".py")), "../provider/verbs.py", "../money.py"]
    found = [(name, os.stat(os.path.join(room, name))) for name in sorted(names)]
    return [(name, each.st_size, each.st_mtime_ns) for name, each in found]

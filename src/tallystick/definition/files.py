"""The folder in which is kept what was read before, and how a file is written there."""

from __future__ import annotations

import os
from contextlib import suppress


def cache_folder() -> str | None:
    """`TALLYSTICK_CACHE`, else a folder in the user's cache; None if that is turned off."""
    named = os.environ.get("TALLYSTICK_CACHE", "")
    if named == "off":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return named or os.path.join(home, "tallystick")


def write_whole(path: str, text: str) -> None:
    """Write the file whole or not at all, because other processes may be reading it."""
    part = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True, mode=0o700)
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    except OSError:
        with suppress(OSError):
            os.unlink(part)

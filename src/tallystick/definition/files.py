"""The folder in which is kept what was read before, and how a file is written there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def cache_folder() -> Path | None:
    """`TALLYSTICK_CACHE`, else a folder in the user's cache; None if that is turned off."""
    named = os.environ.get("TALLYSTICK_CACHE", "")
    if named == "off":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(named) if named else Path(home) / "tallystick"


def write_whole(path: Path, text: str) -> None:
    """Write the file whole or not at all, because other processes may be reading it."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)

"""The folder in which is kept what was read before, as JSON; and the files of this room, on which that depends.

Parsing YAML takes most of the time that it takes to read pages anew. A page without faults is kept under the digest of
its text and of the format, in the user's cache folder (`TALLYSTICK_CACHE`, else `XDG_CACHE_HOME`, else `~/.cache`). A
cache that cannot be read or written is no error. `TALLYSTICK_CACHE=off` turns it off.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallystick.definition.shapes import FileFaults, Located


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


# Pages that were parsed before

READER_VERSION = 2  # counts up when the reader becomes stricter in a way that the format does not show


def parse(text: str, faults: FileFaults) -> Located | None:
    """As `format.parse`, but from the cache if the same text was read before."""
    from tallystick.definition import format  # what was compiled before is opened without it

    if cache_folder() is None:
        return format.parse(text, faults)
    name = f"{hashlib.sha256(_format() + text.encode()).hexdigest()}.json"
    try:
        return _unpacked(read_kept(name))
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    page = format.parse(text, faults)
    if page is not None and not faults.found:
        keep(name, _packed(page))
    return page


@cache
def _format() -> bytes:
    """The format of a page. If it has changed, every page is parsed anew."""
    from tallystick.definition import format

    return json.dumps([READER_VERSION, format.json_schema()], sort_keys=True).encode()


# Every Located value of a page is kept as [line, column, exact, kind, value].


def _packed(at: Located) -> list[Any]:
    value: Any = at.value
    if isinstance(value, dict):
        kind, value = "record", {key: _packed(each) for key, each in value.items()}
    elif isinstance(value, list) and value and isinstance(value[0], tuple):
        kind, value = "pairs", [[_packed(key), _packed(each)] for key, each in value]
    elif isinstance(value, list):
        kind, value = "list", [_packed(each) for each in value]
    else:
        kind = "value"
    return [at.line, at.column, at.exact, kind, value]


def _unpacked(packed: list[Any]) -> Located:
    from tallystick.definition.shapes import Located

    line, column, exact, kind, value = packed
    if kind == "record":
        value = {key: _unpacked(each) for key, each in value.items()}
    elif kind == "pairs":
        value = [(_unpacked(key), _unpacked(each)) for key, each in value]
    elif kind == "list":
        value = [_unpacked(each) for each in value]
    return Located(value, line, column, exact)

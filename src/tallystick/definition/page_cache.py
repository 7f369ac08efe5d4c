"""Pages that were read before: parsing YAML takes most of the time it takes to open the books.

A page without faults is kept as JSON, under the digest of its text and of the format, in the user's cache folder
(`TALLYSTICK_CACHE`, else `XDG_CACHE_HOME`, else `~/.cache`). A cache that cannot be read or written is no error,
and `TALLYSTICK_CACHE=off` does without.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tallystick.definition.format import At, Faults, compose, json_schema

READER = 2  # counts up when the reader becomes stricter in what the format does not show


def composed(text: str, faults: Faults) -> At | None:
    """As `page.compose`, from the cache if the same text was read before."""
    folder = _folder()
    if folder is None:
        return compose(text, faults)
    path = folder / f"{hashlib.sha256(_format() + text.encode()).hexdigest()}.json"
    try:
        return _unpacked(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    page = compose(text, faults)
    if page is not None and not faults.found:
        _keep(path, json.dumps(_packed(page), separators=(",", ":")))
    return page


def _folder() -> Path | None:
    named = os.environ.get("TALLYSTICK_CACHE", "")
    if named == "off":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(named) if named else Path(home) / "tallystick"


@cache
def _format() -> bytes:
    """The format of a page: a page is read anew when that has changed."""
    return json.dumps([READER, json_schema()], sort_keys=True).encode()


def _keep(path: Path, text: str) -> None:
    """Write it whole or not at all: other processes may be reading."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)


# A page is nested `At`s over lists of values, lists of pairs and dicts. Each is [line, column, exact, kind, value].


def _packed(at: At) -> list[Any]:
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


def _unpacked(packed: list[Any]) -> At:
    line, column, exact, kind, value = packed
    if kind == "record":
        value = {key: _unpacked(each) for key, each in value.items()}
    elif kind == "pairs":
        value = [(_unpacked(key), _unpacked(each)) for key, each in value]
    elif kind == "list":
        value = [_unpacked(each) for each in value]
    return At(value, line, column, exact)

"""Pages that were parsed before. Parsing YAML takes most of the time that it takes to open the books.

A page without faults is kept as JSON, under the digest of its text and of the format, in the user's cache folder
(`TALLYSTICK_CACHE`, else `XDG_CACHE_HOME`, else `~/.cache`). A cache that cannot be read or written is no error.
`TALLYSTICK_CACHE=off` turns it off.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from tallystick.definition import format
from tallystick.definition.files import cache_folder, keep, read_kept
from tallystick.definition.shapes import FileFaults, Located

READER_VERSION = 2  # counts up when the reader becomes stricter in a way that the format does not show


def parse(text: str, faults: FileFaults) -> Located | None:
    """As `format.parse`, but from the cache if the same text was read before."""
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
    line, column, exact, kind, value = packed
    if kind == "record":
        value = {key: _unpacked(each) for key, each in value.items()}
    elif kind == "pairs":
        value = [(_unpacked(key), _unpacked(each)) for key, each in value]
    elif kind == "list":
        value = [_unpacked(each) for each in value]
    return Located(value, line, column, exact)

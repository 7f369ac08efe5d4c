"""A store by its URL."""

from __future__ import annotations

from tallystick.errors import Invalid
from tallystick.store.protocol import Store


def open_store(url: str) -> Store:
    """A store by URL: `memory:`, `sqlite:///books.db` (a relative path), `sqlite:////var/books.db`, or a path.

    Raises:
        Invalid: a URL of another kind.
    """
    if url == "memory:":
        from tallystick.store.memory import MemoryStore

        return MemoryStore()
    scheme, colon, rest = url.partition(":")
    if colon and scheme != "sqlite" and len(scheme) > 1:
        raise Invalid(f"{scheme}: is no store this version knows; use sqlite:///path/to/books.db or memory:")
    path = rest if colon and scheme == "sqlite" else url
    if path.startswith("//") and not path.startswith("///"):
        raise Invalid(
            f"{url!r} has two slashes; write sqlite:///books.db for a relative path, four for an absolute one"
        )
    path = path.removeprefix("///") if path.startswith("///") else path
    if not path or path == ":memory:":
        raise Invalid(f"{url!r} names no file; for a store that is forgotten, use memory:")
    from tallystick.store.sqlite import SqliteStore

    return SqliteStore(path)

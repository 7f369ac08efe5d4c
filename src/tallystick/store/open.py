"""A store by its URL."""

from __future__ import annotations

from importlib.util import find_spec

from tallystick.errors import Invalid
from tallystick.store.protocol import BUSY_TIMEOUT, Store

LONGEST = 86_400  # seconds: a day
MOST_PARTITIONS = 256


def open_store(url: str, *, busy_timeout: float = BUSY_TIMEOUT, partitions: int = 0, read_only: bool = False) -> Store:
    """A store by URL: `memory:`, `sqlite:///books.db` (a relative path), `sqlite:////var/books.db`, or a path.
    `postgresql://…` is a PostgreSQL; docs/how-to/postgresql.md says what else its URL may say.

    `busy_timeout`: seconds that a command waits for another process that is writing. After that it is a StoreBusy.
    `partitions`: into how many PostgreSQL divides the journal, if it is made now.
    `read_only`: nothing is written or made there. Its machines are those that it keeps.

    Raises:
        Invalid: a URL of another kind; seconds that cannot be waited.
    """
    if type(busy_timeout) not in (int, float) or not 0 <= busy_timeout <= LONGEST:
        raise Invalid(f"busy_timeout is a number of seconds from 0 to {LONGEST:,}, not {busy_timeout!r:.60}")
    if url == "memory:" and read_only:
        raise Invalid("memory: is always new: there is nothing to read in it")
    if url == "memory:":
        from tallystick.store.memory import MemoryStore

        return MemoryStore()
    scheme, colon, rest = url.partition(":")
    if scheme in ("postgresql", "postgres") and rest.startswith("//"):
        return _postgres(url, busy_timeout, partitions, read_only)
    if partitions:
        raise Invalid(f"only a journal in PostgreSQL can be divided, not one at {url}")
    if colon and scheme != "sqlite" and len(scheme) > 1:
        raise Invalid(
            f"{scheme}: is no store this version knows; use sqlite:///path/to/books.db, postgresql://… or memory:"
        )
    path = rest if colon and scheme == "sqlite" else url
    if path.startswith("//") and not path.startswith("///"):
        raise Invalid(
            f"{url!r} has two slashes; write sqlite:///books.db for a relative path, four for an absolute one"
        )
    path = path.removeprefix("///") if path.startswith("///") else path
    if not path or path == ":memory:":
        raise Invalid(f"{url!r} names no file; for a store that is forgotten, use memory:")
    from tallystick.store.sqlite import SqliteStore

    return SqliteStore(path, busy_timeout=busy_timeout, read_only=read_only)


def _postgres(url: str, busy_timeout: float, partitions: int, read_only: bool) -> Store:
    if type(partitions) is not int or not 0 <= partitions <= MOST_PARTITIONS:
        raise Invalid(f"partitions are a number from 0 to {MOST_PARTITIONS}, not {partitions!r:.60}")
    if find_spec("psycopg") is None:
        raise Invalid("a PostgreSQL URL needs psycopg: pip install 'tallystick[postgres]'")
    from tallystick.store.postgres.store import PostgresStore

    return PostgresStore(url, busy_timeout=busy_timeout, partitions=partitions, read_only=read_only)

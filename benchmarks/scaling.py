"""What an order costs: bytes in the database, and time of a processor.

Writes the measured table of docs/explanation/scaling.md.

    python -m benchmarks.scaling [--folder WHERE] [--orders 2000]

SQLite is a file in the folder. PostgreSQL is a server of our own with its data there; it waits for the disk as it does
when nobody has set anything (`fsync` and `synchronous_commit` on).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from time import process_time

import tallystick
from benchmarks.machine import _processor, synced
from tallystick.books.async_books import AsyncBooks
from tallystick.provider.scripted import ScriptedProvider

PAGE = Path(__file__).resolve().parents[1] / "docs/explanation/scaling.md"
CALLERS = 512
Deed = Callable[[AsyncBooks, int], Awaitable[object]]


async def sell(books: AsyncBooks, number: int) -> None:
    await books.sell_electronic(
        f"card-{number:06}", "100.00", "BRL", order=f"sale-{number:06}", key=f"sale-{number:06}"
    )


async def ship_once(books: AsyncBooks, number: int) -> None:
    order, payment = f"one-{number:06}", f"one-{number:06}/1"
    await books.authorize(payment, f"card-{number:06}", "40.00", order=order, key=f"{order}/authorize")
    await books.settle(payment, "40.00", key=f"{order}/ship")


async def ship_twice(books: AsyncBooks, number: int) -> None:
    order, payment = f"two-{number:06}", f"two-{number:06}/1"
    await books.authorize(payment, f"card-{number:06}", "40.00", order=order, key=f"{order}/authorize")
    await books.settle(payment, "15.00", key=f"{order}/ship-1")
    await books.settle(payment, "25.00", last=True, key=f"{order}/ship-2")


DEEDS: dict[str, Deed] = {
    "a card is sold": sell,
    "an order ships once": ship_once,
    "an order ships in two parts": ship_twice,
}


async def each(books: AsyncBooks, deed: Deed, numbers: range) -> None:
    """Do it for each number."""
    left = iter(numbers)

    async def caller() -> None:
        for number in left:
            await deed(books, number)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


def size(url: str) -> int:
    """Bytes that the books take in their database, with all indexes."""
    if url.startswith("postgres"):
        import psycopg

        with psycopg.connect(url) as sql:
            query = ("SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n "
                     "ON n.oid = relnamespace WHERE nspname = 'tallystick' AND relkind IN ('r', 'p')")  # fmt: skip
            row = sql.execute(query).fetchone()
            assert row is not None
            return int(row[0])
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        ((pages,), (free,), (bytes_,)) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
        )
    connection.close()
    return int((pages - free) * bytes_)


def entries(books: AsyncBooks) -> int:
    with books.blocking.engine.store.reading() as reading:
        return sum(1 for _ in reading.journal())


async def measured(url: str, provider: str, orders: int, server: int | None) -> list[dict[str, object]]:
    """For each deed the entries, bytes and milliseconds of a processor, and those of an entry that is verified."""
    made = ScriptedProvider() if provider == "remote" else "local"
    found = []
    async with tallystick.aopen(url, provider=made, pin_policy="optional") as books:
        for name, deed in DEEDS.items():
            before, counted = size(url), entries(books)
            ours, theirs = process_time(), server_time(server)
            await each(books, deed, range(orders))
            ours, theirs = process_time() - ours, server_time(server) - theirs
            found.append({
                "what": name, "entries": (entries(books) - counted) / orders, "bytes": (size(url) - before) / orders,
                "ours": ours / orders * 1e3, "theirs": theirs / orders * 1e3,
            })  # fmt: skip
        ours, theirs = process_time(), server_time(server)
        report = await books.verify()
        assert report.clean, report.findings[:3]
        ours, theirs = process_time() - ours, server_time(server) - theirs
        found.append({"what": "an entry is verified", "ours": ours / report.entries * 1e3,
                      "theirs": theirs / report.entries * 1e3})  # fmt: skip
    return found


def server_time(pid: int | None) -> float:
    """Processor seconds of a server and all its backends, also of those that have ended."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat") if pid else ():
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(stat.parent.name) == pid:
                total += sum(map(int, fields[11:15]))
            elif int(fields[1]) == pid:
                total += sum(map(int, fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, tuple[str, int | None]]]:
    from tallystick.testing.postgres_server import Server

    server = Server("max_connections=200", "shared_buffers=256MB", "max_wal_size=4GB", base=folder)
    try:
        server.init()
        server.start()
        yield {"SQLite": (f"sqlite:///{folder}/books.db", None), "PostgreSQL": (server.url(), server.pid)}
    finally:
        server.remove()


def table(rows: list[tuple[str, str, dict[str, object]]]) -> str:
    lines = ["| database | provider | what | entries | bytes | our processor, ms | the server's, ms |",
             "|---|---|---|--:|--:|--:|--:|"]  # fmt: skip
    for database, provider, row in rows:
        counts = [f"{row[name]:,.0f}" if name in row else "" for name in ("entries", "bytes")]
        times = [f"{row[name]:.2f}" if row[name] else "" for name in ("ours", "theirs")]
        lines.append(f"| {database} | {provider} | {row['what']} | {' | '.join(counts + times)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--orders", type=int, default=2000)
    given = parser.parse_args()
    rows: list[tuple[str, str, dict[str, object]]] = []
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="tallystick-scaling-") as name:
        Path(name).chmod(0o711)  # PostgreSQL runs as somebody else
        sync = synced(name)
        for provider in ("local", "remote"):
            folder = Path(name) / provider
            folder.mkdir()
            with databases(folder) as urls:
                for database, (url, server) in urls.items():
                    found = asyncio.run(measured(url, provider, given.orders, server))
                    rows += [(database, provider, row) for row in found]
                    print(*found, sep="\n", file=sys.stderr)
    where = (f"{datetime.now(timezone.utc):%Y-%m-%d}, {_processor()}, CPython {sys.version.split()[0]}, SQLite "
             f"{sqlite3.sqlite_version}; 4 KiB written and synced in {sync * 1e3:.2f} ms; {given.orders:,} of each, "
             f"{CALLERS} callers on asyncio; "
             f"{os.getloadavg()[2]:.1f} processes wanted to run on {os.cpu_count()} cores")  # fmt: skip
    text = PAGE.read_text(encoding="utf-8")
    new = f"<!-- measured -->\n{where}:\n\n{table(rows)}\n<!-- /measured -->"
    PAGE.write_text(
        re.sub(r"<!-- measured -->.*<!-- /measured -->", lambda _: new, text, flags=re.DOTALL), encoding="utf-8"
    )


if __name__ == "__main__":
    main()

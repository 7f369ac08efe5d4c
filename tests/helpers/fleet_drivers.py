"""What makes the workers of `fleet_proof` work: their own loop, or Procrastinate."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import procrastinate
import psycopg

import tallystick
from tallystick.books.books import Books
from tallystick.fleet import carrier
from tallystick.fleet.worker import Worker

LEASE, GRACE = 3, 1  # seconds
EVERY = "* * * * * */2"  # two seconds: the periodic jobs of the carrier
STALLED, HEARTBEAT = 3.0, 0.5  # seconds: a process of Procrastinate without a sign of life has been killed
Ship = tuple[str, str, str, datetime]  # payment, amount, key, due


@attrs.frozen
class Driver:
    """Each is given the URL of the books."""

    work: Callable[[str], object]  # what a worker does in its process, until SIGTERM
    queue: Callable[[Books, Sequence[Ship]], object]  # has the shipments of one card wait for their time
    prepare: Callable[[str], object] = lambda url: None
    left: Callable[[str], int] = lambda url: 0  # jobs that are not done, beside what the books know
    told: Callable[[str], str] = lambda url: ""  # its own figures


def _worker(books: Books, threads: int) -> Worker:
    return Worker(books.engine, workers=threads, lease=LEASE, grace=timedelta(seconds=GRACE), pause=0.1)


# Our own loop


def _works(url: str) -> None:
    with tallystick.open(url, provider="clutch") as books:
        worker = _worker(books, 4)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        worker.run()


def _queues(books: Books, ships: Sequence[Ship]) -> None:
    for payment, amount, key, due in ships:
        books.settle(payment, amount, key=key, due=due)


# Procrastinate


def _app(connector: Any) -> procrastinate.App:
    return procrastinate.App(connector=connector)


def _has_tables(url: str) -> None:
    with _app(procrastinate.SyncPsycopgConnector(conninfo=url)).open() as app:
        app.schema_manager.apply_schema()


def _queues_with_jobs(books: Books, ships: Sequence[Ship]) -> None:
    """Each command and its job in one transaction."""
    url = books.engine.store.url
    app = _app(procrastinate.SyncPsycopgConnector(conninfo=url, min_size=1, max_size=1))
    with app.open(), psycopg.connect(url) as connection:
        for payment, amount, key, due in ships:
            receipt = books.settle(payment, amount, key=key, due=due, connection=connection)
            assert carrier.enqueue(app, receipt, connection, due=due)
            connection.commit()


def _carried(url: str) -> None:
    with tallystick.open(url, provider="clutch") as books:
        worker = _worker(books, 1)
        app = _app(procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=6))
        app.add_tasks_from(carrier.tasks(lambda: worker, every=EVERY, stalled=STALLED), namespace=carrier.NAMESPACE)

        async def run() -> None:
            async with app.open_async():
                await app.run_worker_async(
                    concurrency=4, update_heartbeat_interval=HEARTBEAT, stalled_worker_timeout=STALLED * 2,
                    fetch_job_polling_interval=1, shutdown_graceful_timeout=1,
                )  # fmt: skip

        asyncio.run(run())


def _jobs(url: str, wanted: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(wanted).fetchall()


def _jobs_left(url: str) -> int:
    ((count,),) = _jobs(url, "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tallystick:drain_about'"
                             " AND status IN ('todo', 'doing')")  # fmt: skip
    return int(count)


def _told_of_jobs(url: str) -> str:
    kinds = _jobs(
        url,
        "SELECT split_part(task_name, ':', 2), status, count(*) FROM procrastinate_jobs GROUP BY 1, 2 ORDER BY 1, 2",
    )
    ((rescued,),) = _jobs(url, "SELECT count(*) FROM procrastinate_events WHERE type = 'deferred_for_retry'")
    return (
        f"jobs rescued: {rescued}; jobs "
        + ", ".join(f"{name} {status}: {count}" for name, status, count in kinds)
        + "; "
    )


DRIVERS = {
    "worker": Driver(_works, _queues),
    "procrastinate": Driver(_carried, _queues_with_jobs, _has_tables, _jobs_left, _told_of_jobs),
}

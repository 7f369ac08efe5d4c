"""Procrastinate carries the work of a fleet: its workers, its retries and its schedule, in the database of the books.

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
    app.add_tasks_from(carrier.tasks(worker), namespace=carrier.NAMESPACE)

The queue of the books stays the authority: it knows what is due, in which order, and what was tried how often. A job
says only "drain this card". It may come twice, late or not at all: each minute `drain` and `recover` find what is left,
and leases keep the order. So a job has a queueing lock, because one that waits is enough, and no lock: with one, a job
that is due now would wait behind one of the same card that is due tomorrow.

`enqueue` puts a job into the caller's own transaction, the one in which a command is written with `connection=`. Both
are there after the commit, or neither is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from tallystick.engine.receipt import Receipt
from tallystick.errors import Invalid
from tallystick.fleet.worker import Worker
from tallystick.store.rows import stamp

try:
    import procrastinate
    from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
    from procrastinate.jobs import Status
except ModuleNotFoundError as error:
    raise Invalid(f"the carrier needs {error.name}: pip install 'tallystick[fleet]'") from error

NAMESPACE = "tallystick"
EVERY_MINUTE = "* * * * *"
FIRST = 1  # the priority of what comes each minute: ten thousand jobs that wait must not keep a killed one from rescue
STALLED = 60.0  # seconds without a sign of life of the process that had begun a job


def tasks(
    worker: Callable[[], Worker], *, every: str = EVERY_MINUTE, stalled: float = STALLED
) -> procrastinate.Blueprint:
    """The tasks of these books, for `App.add_tasks_from`. `worker` gives the one of this process.

    `every`: the times, as cron writes them, at which everything that is due is drained, what is in doubt is recovered,
    and jobs of killed processes are rescued. `stalled`: seconds after which a process counts as killed.
    """
    blueprint = procrastinate.Blueprint()

    retry = procrastinate.RetryStrategy(max_attempts=5, wait=10)

    @blueprint.task(name="drain_about", retry=retry, pass_context=True)
    def drain_about(context: procrastinate.JobContext, machine: str, id: str) -> int:
        return len(worker().drain_about(machine, id, until=context.should_abort))

    @blueprint.periodic(cron=every)
    @blueprint.task(name="drain", queueing_lock="tallystick drain", priority=FIRST, pass_context=True)
    def drain(context: procrastinate.JobContext, timestamp: int) -> int:
        return len(worker().drain(until=context.should_abort))

    @blueprint.periodic(cron=every)
    @blueprint.task(name="recover", queueing_lock="tallystick recover", priority=FIRST, pass_context=True)
    def recover(context: procrastinate.JobContext, timestamp: int) -> int:
        return len(worker().recover(until=context.should_abort))

    @blueprint.periodic(cron=every)
    @blueprint.task(name="rescue", queueing_lock="tallystick rescue", priority=FIRST, pass_context=True)
    async def rescue(context: procrastinate.JobContext, timestamp: int) -> int:
        manager = context.app.job_manager
        jobs = list(await manager.get_stalled_jobs(seconds_since_heartbeat=stalled))
        for job in jobs:
            with suppress(ConnectorException):  # another process has just rescued it; or the database is away
                try:
                    await manager.retry_job(job)
                except UniqueViolation:  # one like it waits, which is enough
                    await manager.finish_job(job, status=Status.ABORTED, delete_job=False)
        return len(jobs)

    return blueprint


def enqueue(app: procrastinate.App, receipt: Receipt, connection: Any, *, due: datetime | None = None) -> bool:
    """Have what this command is about drained: at once after the caller's commit, or when it is `due`.

    `app` has a connector that works without asyncio, such as `SyncPsycopgConnector`. `connection` is the psycopg
    connection with the caller's open transaction. Gives False if such a job waits already.
    """
    when = "" if due is None else f" at {stamp(due)}"
    lock = f"tallystick {receipt.machine}/{receipt.id}{when}"
    job = app.configure_task(f"{NAMESPACE}:drain_about", connection=connection, queueing_lock=lock, schedule_at=due)
    try:
        with connection.transaction():  # a savepoint: a job that waits already must not end the caller's transaction
            job.defer(machine=receipt.machine, id=receipt.id)
    except AlreadyEnqueued:
        return False
    return True

"""Procrastinate carries the work: a job is there if its command is, and what a killed process leaves is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import procrastinate
import psycopg
import pytest

from fleet_world import Fleet
from postgres_books import postgres_url
from tallystick.engine.receipt import Ended, Receipt
from tallystick.fleet import carrier
from tallystick.provider.local import LocalProvider


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with postgres_url() as url:
        made = Fleet(url, LocalProvider(), cards=2)
        with app_of(url).open() as app:
            app.schema_manager.apply_schema()
        yield made
        assert made.books.verify().clean
        made.books.close()


def app_of(url: str) -> procrastinate.App:
    return procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=url))


def url_of(fleet: Fleet) -> str:
    return fleet.store.url


def jobs(fleet: Fleet) -> list[tuple[str, str]]:
    with psycopg.connect(url_of(fleet)) as connection:
        rows = connection.execute("SELECT task_name, status::text FROM procrastinate_jobs ORDER BY id").fetchall()
    return [(name, status) for name, status in rows if name == "tallystick:drain_about"]


def ship(fleet: Fleet, connection: Any, key: str, due: datetime) -> Receipt:
    return fleet.books.settle("p0", "1.00", key=key, keep_hold=True, due=due, connection=connection)


def one_round(fleet: Fleet, *names: str, worker: Any = None) -> procrastinate.App:
    """Let a worker of Procrastinate do the periodic jobs of these names, and all that waits."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url_of(fleet), min_size=1))
    app.add_tasks_from(carrier.tasks(worker or fleet.worker), namespace=carrier.NAMESPACE)

    async def run() -> None:
        async with app.open_async():
            for name in names:
                await app.tasks[f"tallystick:{name}"].defer_async(timestamp=0)
            await app.run_worker_async(wait=False, install_signal_handlers=False, abort_job_polling_interval=0.05)

    asyncio.run(run())
    return app


def test_a_job_is_there_if_its_command_is(fleet: Fleet) -> None:
    fleet.sell()
    due = fleet.now - timedelta(hours=1)
    with app_of(url_of(fleet)).open() as app, psycopg.connect(url_of(fleet)) as connection:
        assert carrier.enqueue(app, ship(fleet, connection, "gone", due), connection)
        connection.rollback()
        assert jobs(fleet) == []
        assert carrier.enqueue(app, ship(fleet, connection, "first", due), connection)
        assert not carrier.enqueue(app, ship(fleet, connection, "second", due), connection), "one that waits is enough"
        connection.commit()
    assert jobs(fleet) == [("tallystick:drain_about", "todo")]
    one_round(fleet)
    assert jobs(fleet) == [("tallystick:drain_about", "succeeded")]
    assert fleet.redeemed() == ["2.00 BRL", "0.00 BRL"]
    with fleet.store.reading() as reading:
        assert reading.queued(["gone"]) == {}


def test_a_job_of_tomorrow_is_not_in_the_way_of_one_of_today(fleet: Fleet) -> None:
    fleet.sell()
    tomorrow = datetime.now(fleet.now.tzinfo) + timedelta(days=1)
    with app_of(url_of(fleet)).open() as app, psycopg.connect(url_of(fleet)) as connection:
        later = ship(fleet, connection, "later", fleet.now + timedelta(days=1))
        assert carrier.enqueue(app, later, connection, due=tomorrow)
        assert carrier.enqueue(app, ship(fleet, connection, "now", fleet.now), connection)
        connection.commit()
    one_round(fleet)
    assert fleet.redeemed()[0] == "1.00 BRL"
    assert sorted(status for _, status in jobs(fleet)) == ["succeeded", "todo"]


def test_what_no_job_says_is_drained_at_the_next_round(fleet: Fleet) -> None:
    """The periodic jobs do what a lost or missing job would have done, and rescue what a killed process had begun."""
    fleet.ship(2)
    with app_of(url_of(fleet)).open() as app, psycopg.connect(url_of(fleet)) as connection:
        assert carrier.enqueue(app, fleet.books.engine.queue.run("ship0/0"), connection)
        connection.commit()
        connection.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL")
        connection.commit()
    assert jobs(fleet) == [("tallystick:drain_about", "doing")]
    app = one_round(fleet, "drain", "recover", "rescue")
    assert fleet.redeemed() == ["3.00 BRL", "3.00 BRL"]
    assert jobs(fleet) == [("tallystick:drain_about", "succeeded")]
    assert set(app.periodic_registry.periodic_tasks) == {
        (f"tallystick:{name}", "") for name in ("drain", "recover", "rescue")
    }


def test_a_job_of_which_one_waits_already_does_not_keep_others_from_being_rescued(fleet: Fleet) -> None:
    """The killed one is given up then: what waits will do its work."""
    fleet.ship(1)
    killed = "UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL WHERE status = 'todo'"
    with app_of(url_of(fleet)).open() as app, psycopg.connect(url_of(fleet), autocommit=True) as connection:
        for payment in ("p0", "p0", "p1"):
            receipt = Receipt(Ended.DEFERRED, "key", "payment", payment, "settle")
            assert carrier.enqueue(app, receipt, connection)
            connection.execute(killed)
        assert carrier.enqueue(app, Receipt(Ended.DEFERRED, "key", "payment", "p0", "settle"), connection)
    one_round(fleet, "rescue")
    assert [status for _, status in jobs(fleet)] == ["aborted", "aborted", "succeeded", "succeeded"]
    assert fleet.redeemed() == ["1.00 BRL", "1.00 BRL"]


def test_what_comes_each_minute_does_not_wait_for_all_jobs(fleet: Fleet) -> None:
    """Neither the rescue of killed jobs nor a recovery, for which cards may be waiting."""
    done: list[str] = []

    class Tells:
        def drain_about(self, machine: str, id: str, **_: object) -> list[Receipt]:
            done.append("a job")
            return []

        def recover(self, **_: object) -> list[Receipt]:
            done.append("recover")
            return []

        def drain(self, **_: object) -> list[Receipt]:  # comes by itself, once a new minute has begun
            return []

    with app_of(url_of(fleet)).open() as app, psycopg.connect(url_of(fleet), autocommit=True) as connection:
        assert carrier.enqueue(app, Receipt(Ended.DEFERRED, "key", "payment", "p0", "settle"), connection)
    one_round(fleet, "recover", worker=Tells)
    assert done.index("recover") < done.index("a job")


def test_a_job_hears_that_it_is_to_end(fleet: Fleet) -> None:
    """As when its process gets SIGTERM, and the time for a graceful end is over."""
    heard: list[bool] = []

    class Waits:
        def drain_about(self, machine: str, id: str, *, until: Callable[[], bool]) -> list[Receipt]:
            app.job_manager.cancel_job_by_id(job, abort=True)
            longest = time.monotonic() + 60
            while not until() and time.monotonic() < longest:
                time.sleep(0.01)
            heard.append(until())
            return []

    with app_of(url_of(fleet)).open() as app, psycopg.connect(url_of(fleet), autocommit=True) as connection:
        assert carrier.enqueue(app, Receipt(Ended.DEFERRED, "key", "payment", "p0", "settle"), connection)
        ((job,),) = connection.execute("SELECT id FROM procrastinate_jobs").fetchall()
        one_round(fleet, worker=Waits)
    assert heard == [True]
    assert jobs(fleet) == [("tallystick:drain_about", "succeeded")]

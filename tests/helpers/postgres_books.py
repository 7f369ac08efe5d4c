"""Books on a real PostgreSQL for tests: a store of its own for whoever asks, from a template that has the schema."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psycopg
import pytest

from tallystick.store.postgres.store import PostgresStore
from tallystick.testing.contracts.changes import MACHINES
from tallystick.testing.postgres_server import NoServer, database_url, new_database, shared_server


@cache
def template(partitions: int) -> str:
    """The name of a database that has the tables of the packaged machines. Skips the test where there is no server."""
    try:
        url = shared_server()
    except NoServer as error:
        pytest.skip(str(error))
    name = f"tallystick_template_{partitions}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
        connection.execute(f'CREATE DATABASE "{name}"')
    store = PostgresStore(database_url(name), partitions=partitions)
    store.machines(MACHINES)
    store.close()
    return name


def postgres_store(partitions: int = 0) -> PostgresStore:
    """A store on a database of its own, which is gone after it was closed and nobody has it any more."""
    database = new_database(template(partitions))
    store = PostgresStore(database.__enter__())
    weakref.finalize(store, database.__exit__, None, None, None)
    return store


@contextmanager
def postgres_url(partitions: int = 0) -> Iterator[str]:
    """The URL of a database with the schema, which is gone afterwards."""
    with new_database(template(partitions)) as url:
        yield url

"""A store in memory, copied into SQLite's own memory for a question in SQL. Small books only: all of it is copied."""

from __future__ import annotations

import sqlite3

import attrs

from tallystick.definition.behaviour import digest_of
from tallystick.definition.machine import Machines
from tallystick.store import schema
from tallystick.store.protocol import Reading
from tallystick.store.rows import CallRow, EntryRow, QueueRow


def in_sqlite(reading: Reading, machines: Machines) -> sqlite3.Connection:
    """All that can be read, in the tables and views of an SQLite store."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for name in schema.MIGRATIONS:
        schema.run(connection, name)
    for machine in machines.all():
        page = (machine.name, machine.version, digest_of(machine), machine.text, "")
        connection.execute("INSERT INTO machine VALUES (?, ?, ?, ?, ?)", page)
        connection.executemany("INSERT INTO transition VALUES (?, ?, ?, ?, ?, ?, ?)", schema.steps(machine))
    for name in machines:
        schema.make_table(connection, machines.versions(name))
    schema.make_views(connection, machines)
    entries = list(reading.journal())
    _insert(connection, "entry", EntryRow._fields, entries)
    _insert(connection, "call", _names(CallRow), [attrs.astuple(each) for each in reading.all_calls()])
    _insert(connection, "queue", _names(QueueRow), [attrs.astuple(each) for each in reading.all_queued()])
    times: dict[tuple[str, str], tuple[str, str]] = {}
    for entry in entries:
        ref = entry.machine, entry.entity
        times[ref] = times.get(ref, (entry.happened,))[0], entry.at
    for name in machines:
        table = schema.Table(machines.versions(name), machines)
        rows = [(*table.inserted(each, "")[:-2], *times[each.ref]) for each in reading.all(name)]
        connection.executemany(table.insert, rows)
    return connection


def _names(of: type[attrs.AttrsInstance]) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(of))


def _insert(
    connection: sqlite3.Connection, table: str, names: tuple[str, ...], rows: list[tuple[object, ...]] | list[EntryRow]
) -> None:
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)

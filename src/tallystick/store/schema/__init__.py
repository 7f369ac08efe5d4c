"""The schema: the tables that every store has, made by sqlite-utils' migrations, and one table for each machine.

A machine's table is made from its page: a CHECK for its states and choices, a column that is never below zero for each
account, a reference for each link. When a later version of a page adds columns or states, a new table is made for all
versions, and the rows are carried over.

`kept` reads the pages again that are kept. Beside the tables stand views for whoever reads them: `views` makes them
from the pages, of the parts in `view`, in the `dialect` of either database. `dictionary` says what each of their
columns means.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tallystick.core.entity import CREATE, Entity
from tallystick.definition.declared import MIGRATE, Fact
from tallystick.definition.machine import Machine, Machines
from tallystick.errors import StoreError
from tallystick.store.connections import code_of
from tallystick.store.protocol import DeclaredStep
from tallystick.store.schema.dialect import Dialect
from tallystick.store.schema.view import View
from tallystick.store.schema.views import VIEWS, views

# Files beside this one in the order they are applied, and what each makes.
MIGRATIONS: Mapping[str, Sequence[str]] = {
    "journal": ["machine", "transition", "entry", "posting", "call", "queue"],
    "guard": ["shared"],
    "looks": [],
    "views": list(VIEWS),
    "times": [],
    "exact": [],
    "sums": ["_flow", "_standing", "_seen"],
    "waits": [],
    "occurred": [],
}
GIVEN_UP = "state IN ('refused', 'declined', 'parked')"  # as the index of what waits for a person says it


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing, inside the caller's transaction. sqlite-utils is only loaded if something is missing."""
    if complete(connection):
        return
    applied = _applied(connection)
    check_unused(connection, [table for name, made in MIGRATIONS.items() if name not in applied for table in made])
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    migrations = Migrations("tallystick")
    for name in MIGRATIONS:
        migrations(name=name)(lambda db, name=name: run(db.conn, name))
    migrations.apply(Database(connection))


def complete(connection: sqlite3.Connection) -> bool:
    """Whether nothing is missing."""
    return _applied(connection) >= set(MIGRATIONS)


def is_made(connection: sqlite3.Connection) -> bool:
    """Whether it has our tables, of any version."""
    found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('machine', 'entry', 'call')")
    return bool(found.fetchone()[0] == 3)


def check_unused(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Refuse to touch a table that somebody else has made. Raises StoreError."""
    for name in names:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone():
            raise StoreError(
                f"the database has a {name!r} already that is not ours; give the books a file of their own"
            )


def _applied(connection: sqlite3.Connection) -> set[str]:
    try:
        rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'tallystick'")
    except sqlite3.OperationalError as error:
        if code_of(error) != sqlite3.SQLITE_ERROR:  # not for want of the table
            raise
        return set()
    return {name for (name,) in rows}


def run(connection: sqlite3.Connection, name: str) -> None:
    """Run a file of SQL statement by statement: `executescript` would commit the caller's transaction."""
    with open(os.path.join(os.path.dirname(__file__), f"{name}.sql"), encoding="utf-8") as file:
        for statement in _statements(file.read()):
            connection.execute(statement)


def _statements(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


# One table per machine


def facts_over(versions: Sequence[Machine]) -> dict[str, Fact]:
    """Every fact of any version. The newest version says its type."""
    return {name: fact for machine in versions for name, fact in machine.facts.items()}


def choices_over(versions: Sequence[Machine]) -> dict[str, dict[str, None]]:
    """Of every fact, what it may be in any version. Nothing: whatever its type takes."""
    return {
        fact: dict.fromkeys(choice for machine in versions if fact in machine.facts
                            for choice in machine.facts[fact].type.choices)
        for fact in facts_over(versions)
    }  # fmt: skip


def accounts_over(versions: Sequence[Machine]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for machine in versions for name in machine.columns))


def table(versions: Sequence[Machine]) -> str:
    """The CREATE TABLE of a machine, over all its versions, oldest first."""
    name = versions[-1].name
    states = dict.fromkeys(state for machine in versions for state in machine.states)
    facts, choices = facts_over(versions), choices_over(versions)
    lines = [
        "id TEXT PRIMARY KEY",
        f"state TEXT NOT NULL CHECK (state IN ({quoted(states)}))",
        "revision INTEGER NOT NULL CHECK (revision > 0)",
        "machine_version INTEGER NOT NULL",
        "currency TEXT NOT NULL",
        *(_fact(fact, choices[fact.name]) for fact in facts.values()),
        *(f'"{account}" INTEGER NOT NULL DEFAULT 0 CHECK ("{account}" >= 0)' for account in accounts_over(versions)),
        "calls INTEGER NOT NULL CHECK (calls >= 0)",
        "changing TEXT",
        "hash TEXT NOT NULL",
        "created TEXT NOT NULL",
        "updated TEXT NOT NULL",
    ]
    return f'CREATE TABLE "{name}" (\n  ' + ",\n  ".join(lines) + "\n) STRICT, WITHOUT ROWID"


def _fact(fact: Fact, choices: dict[str, None]) -> str:
    type_ = fact.type
    if type_.kind == "link":
        return f'"{fact.name}" TEXT REFERENCES "{type_.machine}" (id) DEFERRABLE INITIALLY DEFERRED'
    if type_.kind == "choice":
        return f'"{fact.name}" TEXT CHECK ("{fact.name}" IN ({quoted(choices)}))'
    if type_.kind == "flag":
        return f'"{fact.name}" INTEGER CHECK ("{fact.name}" IN (0, 1))'
    return f'"{fact.name}" {"INTEGER" if type_.kind in ("money", "count") else "TEXT"}'


def indexes(versions: Sequence[Machine]) -> list[str]:
    """Indexes by link, to sum over what is linked; by card number; and by what the page wants to be found by.

    An index by an account has only the few rows on which value stands there, the oldest first.
    """
    name = versions[-1].name
    return [
        *(f'CREATE INDEX IF NOT EXISTS "{name}_{fact}" ON "{name}" ("{fact}")' for fact in indexed_facts(versions)),
        *(f'CREATE INDEX IF NOT EXISTS "{name}_{account}_stands" ON "{name}" ("created") WHERE "{account}" > 0'
          for account in indexed_accounts(versions)),
    ]  # fmt: skip


def indexed_facts(versions: Sequence[Machine]) -> list[str]:
    """The facts with an index that is not unique."""
    found = (fact for fact in facts_over(versions).values() if not fact.unique)
    return [fact.name for fact in found if fact.indexed or fact.type.kind in ("link", "number")]


def indexed_accounts(versions: Sequence[Machine]) -> list[str]:
    return [each.name for each in versions[-1].accounts.values() if each.indexed]


def unique_index(versions: Sequence[Machine]) -> list[str]:
    """The index that keeps a value to one entity of a currency, whoever writes to the database."""
    name, unique = versions[-1].name, versions[-1].unique
    index = f'CREATE UNIQUE INDEX IF NOT EXISTS "{name}_{unique}_unique" ON "{name}" ("{unique}", "currency")'
    return [index] if unique else []


def quoted(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def make_table(connection: sqlite3.Connection, versions: Sequence[Machine]) -> None:
    """Make or remake a machine's table, inside the caller's transaction and with foreign keys off."""
    name, wanted = versions[-1].name, table(versions)
    found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchone()
    if found is None:
        connection.execute(wanted)
    elif found[0] != wanted:
        old = {row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')}
        connection.execute(f'ALTER TABLE "{name}" RENAME TO "{name}__old"')
        connection.execute(wanted)
        new = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
        both = ", ".join(f'"{column}"' for column in new if column in old)
        connection.execute(f'INSERT INTO "{name}" ({both}) SELECT {both} FROM "{name}__old"')
        connection.execute(f'DROP TABLE "{name}__old"')
    for statement in [*indexes(versions), *unique_index(versions)]:
        connection.execute(statement)


def drop_views(connection: sqlite3.Connection) -> dict[str, str]:
    """A table that is remade may stand in no view meanwhile. Gives those of a later version, with their SQL."""
    there = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'").fetchall())
    found = {name: there[name] for name in VIEWS if name in there}
    for name in found:
        connection.execute(f"DROP VIEW {name}")
    return found if _applied(connection) > set(MIGRATIONS) else {}


def views_differ(connection: sqlite3.Connection, machines: Machines) -> bool:
    """Whether a view is not as this version makes it. Those of a later version are as they should be."""
    there = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'").fetchall())
    if _applied(connection) > set(MIGRATIONS):
        return False
    return any(there.get(each.name) != _create(each) for each in views(machines, Dialect()))


def _create(view: View) -> str:
    return f"CREATE VIEW {view.name} AS\n{view.sql}"


def make_views(connection: sqlite3.Connection, machines: Machines, later: Mapping[str, str] | None = None) -> None:
    """Make the views; those of a later version as they were.

    One that cannot be read, because a page does not fit, is left out, and a warning says so.
    """
    for view in views(machines, Dialect()):
        connection.execute("SAVEPOINT view")
        try:
            connection.execute((later or {}).get(view.name, _create(view)))
            connection.execute(f"SELECT * FROM {view.name} LIMIT 0")
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_ERROR:  # not for its text
                raise
            connection.execute("ROLLBACK TO view")
            logging.getLogger("tallystick.books").warning("the view %s was not made: %s", view.name, error)
        connection.execute("RELEASE view")


class Table:
    """The SQL of one machine's table, over all its versions."""

    def __init__(self, versions: Sequence[Machine], machines: Machines) -> None:
        self.name = versions[-1].name
        self.machines = machines
        self.facts = list(facts_over(versions))
        self.flags = {name for name, fact in facts_over(versions).items() if fact.type.kind == "flag"}
        self.accounts = accounts_over(versions)
        fixed = ["id", "state", "revision", "machine_version", "currency", "calls", "changing", "hash"]
        self.columns = columns = [*fixed, *self.facts, *self.accounts]
        listed = ", ".join(f'"{column}"' for column in columns)
        self.select = f'SELECT {listed} FROM "{self.name}"'
        marks = ", ".join("?" * (len(columns) + 2))
        self.insert = f'INSERT INTO "{self.name}" ({listed}, "created", "updated") VALUES ({marks})'
        self.moves = ["state", "revision", "calls", "changing", "hash", "updated", *self.accounts]
        self.changes = [*self.moves, "machine_version", *self.facts]
        self.move, self.change = self._update(self.moves), self._update(self.changes)

    def _update(self, columns: Sequence[str]) -> str:
        """An UPDATE of a row that is as it was read. If it has another revision by now, no row is changed."""
        updates = ", ".join(f'"{column}" = ?' for column in columns)
        return f'UPDATE "{self.name}" SET {updates} WHERE "id" = ? AND "revision" = ?'

    def entity(self, row: tuple[Any, ...]) -> Entity:
        id, state, revision, machine_version, currency, calls, changing, hash = row[:8]
        try:
            machine = self.machines.at(self.name, machine_version)
        except KeyError:
            why = f"runs on version {machine_version}, which another process has brought; open the books anew"
            raise StoreError(f"{self.name} {id!r} {why}") from None
        facts = dict(zip(self.facts, row[8:], strict=False))
        for name in self.flags:
            facts[name] = None if facts[name] is None else bool(facts[name])
        accounts = dict(zip(self.accounts, row[8 + len(self.facts) :], strict=True))
        if len(accounts) != len(machine.columns):
            accounts = {name: accounts[name] for name in machine.columns}
        return Entity(self.name, id, state, revision, machine_version, currency, facts, accounts, calls, changing, hash)

    def inserted(self, entity: Entity, at: str, created: str | None = None) -> tuple[Any, ...]:
        """Values for `insert`. `created`: when it was made, if that is not now."""
        return (
            entity.id, entity.state, entity.revision, entity.machine_version, entity.currency, entity.calls,
            entity.changing, entity.hash, *self._facts(entity), *self._accounts(entity), created or at, at,
        )  # fmt: skip

    def moved(self, entity: Entity, revision: int, at: str) -> tuple[Any, ...]:
        """Values for `move`, which leaves the facts as they are; `revision` is that of the row that was read."""
        return (
            entity.state, entity.revision, entity.calls, entity.changing, entity.hash, at, *self._accounts(entity),
            entity.id, revision,
        )  # fmt: skip

    def changed(self, entity: Entity, revision: int, at: str) -> tuple[Any, ...]:
        """Values for `change`; `revision` likewise."""
        *moved, id, _ = self.moved(entity, revision, at)
        return (*moved, entity.machine_version, *self._facts(entity), id, revision)

    def _facts(self, entity: Entity) -> list[object]:
        return [entity.facts.get(name) for name in self.facts]

    def _accounts(self, entity: Entity) -> list[int]:
        if len(entity.accounts) == len(self.accounts):
            return [*map(entity.accounts.__getitem__, self.accounts)]
        return [entity.accounts.get(name, 0) for name in self.accounts]


@lru_cache(maxsize=64)
def steps(machine: Machine) -> tuple[DeclaredStep, ...]:
    """Every step a machine declares, as rows of `transition`.

    If a transition keeps the state, its call may be answered in any state, because others may have changed that
    meanwhile. A driven transition may be part of a call that it does not ask for: its driver drives another that does.
    """
    return tuple(_steps(machine))


def _steps(machine: Machine) -> Iterator[DeclaredStep]:
    key = machine.name, machine.version
    yield (*key, CREATE, CREATE, "done", "", machine.start)
    yield from ((*key, MIGRATE, MIGRATE, "done", *pair) for pair in machine.migrating)
    for each in machine.transitions.values():
        for command in each.commands:
            calls = bool(each.ask or each.drives or machine.commands[command].driven)
            for source in each.sources:
                yield (*key, each.name, command, "done", source, each.target or source)
                if calls:
                    yield (*key, each.name, command, "asked", source, source)
            for source in each.sources if each.target else machine.states:
                if calls:
                    yield (*key, each.name, command, "confirmed", source, each.target or source)
                    yield (*key, each.name, command, "declined", source, each.otherwise or source)
                    yield (*key, each.name, command, "unavailable", source, source)

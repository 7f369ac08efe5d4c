"""The schema in PostgreSQL: the tables that every store has, and one table for each machine.

Whoever comes first makes it, under an advisory lock: a second process waits, and then finds it made. Each file of SQL
beside this one is applied once, and `_migration` says which were. A later version of a page adds columns to its table
and replaces the CHECKs on states and choices; no row is rewritten. The comment on a table says what it was made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import psycopg

from tallystick.definition.behaviour import digest_of
from tallystick.definition.declared import Fact
from tallystick.definition.machine import Machine, Machines
from tallystick.errors import StoreError
from tallystick.store import schema
from tallystick.store.postgres.statements import Rows, Statements
from tallystick.store.postgres.url import LONGEST, check_name
from tallystick.store.postgres.views import Views
from tallystick.store.protocol import KeptPage
from tallystick.store.schema.kept import are_kept, with_pages

# Files beside this one, in the order of their use
MIGRATIONS = ("journal", "views", "feed", "times", "exact", "sums", "waits", "occurred")
MADE = ("machine", "transition", "entry", "posting", "call", "queue", "shared", "_key", "_entry_seq",
        "_flow", "_standing", "_seen")  # fmt: skip
TYPES = {"money": "bigint", "count": "bigint", "flag": "boolean"}  # of a fact; all others are text
RESTORED = (
    "these books were restored on another server, which counts transactions anew; run `tallystick init` with a role "
    "that owns their tables, and they go on from there"
)
STEP = ("machine", "machine_version", "name", "command", "phase", "from_state", "to_state")
SYSTEM = ("oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")  # columns that every table has already


class Schema:
    """The tables of one store, seen through a connection."""

    def __init__(self, connection: psycopg.Connection[Any], name: str, partitions: int = 0) -> None:
        self._connection, self.name, self._partitions = connection, name, partitions
        self.views = Views(connection, name)

    def named(self, table: str) -> str:
        return f'"{self.name}"."{table}"'

    def _one(self, query: str, *values: object) -> object:
        row = self._connection.execute(query, values).fetchone()
        return row[0] if row else None

    def exists(self) -> bool:
        """Whether somebody has made it, with any version."""
        names = [self.named(name) for name in ("_migration", "machine", "entry")]
        return bool(self._one("SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest(%s::text[]) name", names))

    def is_complete(self) -> bool:
        """Whether nothing is missing. A later version may have added more."""
        return self.exists() and self._applied() >= set(MIGRATIONS)

    def _applied(self) -> set[str]:
        return {name for (name,) in self._connection.execute(f"SELECT name FROM {self.named('_migration')}")}

    def lacks(self, machines: Machines) -> bool:
        """Whether there is something to make, for these machines and for this role. Usually there is not."""
        if not self.is_complete() or self.is_behind():
            return True
        pages = self.pages()
        if not are_kept(pages, machines):
            return True
        return bool(self._ours and self.views.stale(with_pages(pages, machines)))

    @property
    def _ours(self) -> bool:
        """Whether the views are of this version; those of a later one stay as they are."""
        return self._applied() <= set(MIGRATIONS)

    def is_behind(self) -> bool:
        """Whether the server has not reached the number of an entry's transaction: it was restored from a dump."""
        reached = f"(pg_snapshot_xmax(pg_current_snapshot())::text::bigint + {self.named('_shift')}())::text::xid8"
        newest = f"SELECT xid >= {reached} FROM {self.named('entry')} ORDER BY xid DESC, seq DESC LIMIT 1"
        return bool(self._one(newest))

    def check_partitions(self) -> None:
        """Whether the journal is divided as it was asked for; nobody asks with 0. Raises StoreError."""
        count = "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass(%s)"
        if self._partitions and (found := self._one(count, self.named("entry"))) != self._partitions:
            raise StoreError(
                f"the journal is divided into {found} since it was made; it cannot be into {self._partitions}"
            )

    def pages(self) -> list[KeptPage]:
        """All versions of all machines, in the order in which they were seen."""
        select = (
            f"SELECT name, version, digest, definition, seen FROM {self.named('machine')} ORDER BY seen, name, version"
        )
        return [KeptPage(*row) for row in self._connection.execute(select).fetchall()]

    def make(self, machines: Machines) -> None:
        """Make what is missing, and keep the definitions. Inside the caller's transaction."""
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"tallystick {self.name}",))
        if not self.is_complete():
            self._migrate()
        if self.is_behind():
            self._shift()
        if not are_kept(self.pages(), machines):
            self._keep(machines)
        if self._ours:
            self.views.make(with_pages(self.pages(), machines))

    def _shift(self) -> None:
        """Let the numbers of this server's transactions come after all that are there. Nobody writes meanwhile."""
        entry, shift = self.named("entry"), f"{self.named('_shift')}()"
        try:
            self._connection.execute(f"LOCK TABLE {entry} IN ACCESS EXCLUSIVE MODE")
            oldest = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"  # of those that wait for the lock, too
            newest = f"(SELECT xid FROM {entry} ORDER BY xid DESC, seq DESC LIMIT 1)::text::bigint"
            by = self._one(f"SELECT {newest} + 1 - {oldest}")
            made = f"CREATE OR REPLACE FUNCTION {shift} RETURNS bigint LANGUAGE sql IMMUTABLE"
            self._connection.execute(f"{made} AS 'SELECT {by}::bigint'")
            shifted = f"(pg_current_xact_id()::text::bigint + {by})::text::xid8"
            self._connection.execute(f"ALTER TABLE {entry} ALTER COLUMN xid SET DEFAULT ({shifted})")
        except psycopg.errors.InsufficientPrivilege as error:
            raise StoreError(RESTORED) from error

    def _migrate(self) -> None:
        if self._one("SELECT to_regnamespace(%s)", f'"{self.name}"') is None:
            self._connection.execute(f'CREATE SCHEMA "{self.name}"')
        if not self.exists():
            self.check_unused(["_migration", *MADE])
            self._connection.execute(
                f"CREATE TABLE {self.named('_migration')} (name text PRIMARY KEY, "
                "at timestamptz NOT NULL DEFAULT now(), store uuid NOT NULL DEFAULT gen_random_uuid())"
            )
        applied = self._applied()
        for name in MIGRATIONS:
            if name in applied:
                continue
            text = (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")
            partitioned = "PARTITION BY HASH (entity)" if self._partitions else ""
            text = text.replace(":schema", f'"{self.name}"').replace(":partitioned", partitioned)
            self._connection.execute(text)
            if name == "journal":
                self._divide()
            self._connection.execute(f"INSERT INTO {self.named('_migration')} (name) VALUES (%s)", (name,))

    def _divide(self) -> None:
        """Make the partitions of the journal. Triggers stand on each: rows may be written to it directly."""
        names = [f"_entry_{number}" for number in range(self._partitions)]
        for number, name in enumerate(names):
            values = f"FOR VALUES WITH (MODULUS {self._partitions}, REMAINDER {number})"
            self._connection.execute(f"CREATE TABLE {self.named(name)} PARTITION OF {self.named('entry')} {values}")
        if not names:
            self._connection.execute(f"CREATE UNIQUE INDEX entry_number ON {self.named('entry')} (seq)")
        for name in ["entry", *names]:
            on = self.named(name)
            self._connection.execute(
                f"CREATE TRIGGER entry_is_right AFTER INSERT ON {on} REFERENCING NEW TABLE AS new_entry "
                f'FOR EACH STATEMENT EXECUTE FUNCTION "{self.name}".check_entries()'
            )
            self._connection.execute(
                f"CREATE TRIGGER entry_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON {on} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION \"{self.name}\".refuse('entries are never changed or deleted')"
            )

    def check_unused(self, names: Sequence[str]) -> None:
        """Refuse to touch a table that somebody else has made. Raises StoreError."""
        for name in names:
            if self._one("SELECT to_regclass(%s)", self.named(name)) is not None:
                raise StoreError(
                    f"the schema {self.name!r} has a {name!r} already that is not ours; "
                    "give the books a schema of their own"
                )

    # Definitions

    def _keep(self, machines: Machines) -> None:
        before = self.pages()
        self.check_unused(sorted(set(machines) - {page.name for page in before}))
        now = "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        steps = Rows(self.named("transition"), STEP, {"machine_version": "integer"}, "ON CONFLICT DO NOTHING")
        for machine in machines.all():
            self._connection.execute(
                f"INSERT INTO {self.named('machine')} (name, version, digest, definition, seen) "
                f"VALUES (%s, %s, %s, %s, {now}) "
                "ON CONFLICT (name, version) DO UPDATE SET definition = excluded.definition",
                (machine.name, machine.version, digest_of(machine), machine.text),
            )
            self._connection.execute(*steps.insert(schema.steps(machine)))
        every = with_pages(self.pages(), machines)
        links = [link for name in every for link in self._make_table(every.versions(name))]
        for statement in links:  # once all tables are there
            self._connection.execute(statement)

    def _make_table(self, versions: Sequence[Machine]) -> list[str]:
        """Make a machine's table, or add what it lacks. Gives the statements that link it to others."""
        name = versions[-1].name
        columns, checks, links = dict(_columns(versions)), dict(_checks(versions)), dict(self._links(versions))
        for kind, each in [("machine", name), *(("fact or account", column) for column in columns)]:
            check_name(kind, each)
            if each in SYSTEM:
                raise StoreError(f"{name}: {each!r} is a column that every table of PostgreSQL has already")
        indexes = list(self._indexes(versions))
        made_from = repr((columns, checks, links, indexes))
        mark = hashlib.sha256(made_from.encode()).hexdigest()
        table = self.named(name)
        there = self._one("SELECT to_regclass(%s)", table)
        if there is not None and self._one("SELECT obj_description(%s::regclass)", table) == mark:
            return []
        if there is None:
            lines = ",\n  ".join(f'"{column}" {type_}' for column, type_ in columns.items())
            self._connection.execute(f"CREATE TABLE {table} (\n  {lines}\n) WITH (fillfactor = 70)")
        else:
            self._add(name, columns)
        for check, term in checks.items():
            self._connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT IF EXISTS "{check}"')
            valid = "" if there is None else "NOT VALID"  # what is there has passed a narrower one
            if term:
                self._connection.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{check}" CHECK ({term}) {valid}')
        for statement in indexes:
            self._connection.execute(statement)
        self._connection.execute(f"COMMENT ON TABLE {table} IS '{mark}'")
        have = "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'"
        linked = {each for (each,) in self._connection.execute(have, (table,))}
        return [statement for link, statement in links.items() if link not in linked]

    def _add(self, name: str, columns: dict[str, str]) -> None:
        table = self.named(name)
        query = ("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                 "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped")  # fmt: skip
        have: dict[str, str] = dict(self._connection.execute(query, (table,)).fetchall())
        for column, line in columns.items():
            type_ = line.split()[0]
            if column not in have:
                self._connection.execute(f'ALTER TABLE {table} ADD COLUMN "{column}" {line}')
            elif have[column] != type_:  # PostgreSQL refuses what cannot be carried over
                self.views.drop_all()
                using = f'"{column}"::text::{type_}'
                self._connection.execute(f'ALTER TABLE {table} ALTER COLUMN "{column}" TYPE {type_} USING {using}')

    def _links(self, versions: Sequence[Machine]) -> Iterator[tuple[str, str]]:
        for fact in schema.facts_over(versions).values():
            if fact.type.kind == "link":
                link = short(f"{fact.name}_of_{fact.type.machine}")
                to = f"REFERENCES {self.named(fact.type.machine)} (id) DEFERRABLE INITIALLY DEFERRED"
                table = self.named(versions[-1].name)
                yield link, f'ALTER TABLE {table} ADD CONSTRAINT "{link}" FOREIGN KEY ("{fact.name}") {to}'

    def _indexes(self, versions: Sequence[Machine]) -> Iterator[str]:
        """By link, by card number, by what the page wants to be found by; and one that keeps a value to one entity."""
        name, unique = versions[-1].name, versions[-1].unique
        table = self.named(name)
        for fact in schema.indexed_facts(versions):
            yield f'CREATE INDEX IF NOT EXISTS "{short(f"{name}_{fact}")}" ON {table} ("{fact}")'
        for account in schema.indexed_accounts(versions):
            index = short(f"{name}_{account}_stands")
            yield f'CREATE INDEX IF NOT EXISTS "{index}" ON {table} ("created") WHERE "{account}" > 0'
        if unique:
            index = short(f"{name}_{unique}_unique")
            yield f'CREATE UNIQUE INDEX IF NOT EXISTS "{index}" ON {table} ("{unique}", "currency")'


def short(name: str) -> str:
    """A name of an index or a constraint. PostgreSQL would cut a long one, and two might be the same then."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _columns(versions: Sequence[Machine]) -> Iterator[tuple[str, str]]:
    yield "id", 'text COLLATE "C" PRIMARY KEY'
    yield "state", "text NOT NULL"
    yield "revision", "bigint NOT NULL CHECK (revision > 0)"
    yield "machine_version", "integer NOT NULL"
    yield "currency", "text NOT NULL"
    for fact in schema.facts_over(versions).values():
        yield fact.name, _type(fact) + (' COLLATE "C"' if _type(fact) == "text" else "")
    for account in schema.accounts_over(versions):
        yield account, f'bigint NOT NULL DEFAULT 0 CHECK ("{account}" >= 0)'
    yield "calls", "integer NOT NULL CHECK (calls >= 0)"
    yield "changing", "text"
    yield "hash", "text NOT NULL"
    yield "created", 'text COLLATE "C" NOT NULL'
    yield "updated", "text NOT NULL"


def _type(fact: Fact) -> str:
    return TYPES.get(fact.type.kind, "text")


def _checks(versions: Sequence[Machine]) -> Iterator[tuple[str, str]]:
    """The CHECKs that a later version widens, by name; or drops, where there is no term."""
    states = dict.fromkeys(state for machine in versions for state in machine.states)
    yield "_state", f"state IN ({schema.quoted(states)})"
    for name, fact in schema.facts_over(versions).items():
        choices = schema.quoted(schema.choices_over(versions)[name])
        yield short(f"{name}_choice"), f'"{name}" IN ({choices})' if fact.type.kind == "choice" else ""


class PostgresTable(schema.Table):
    """The SQL of one machine's table, over all its versions."""

    def __init__(self, versions: Sequence[Machine], machines: Machines, statements: Statements) -> None:
        super().__init__(versions, machines)
        facts = schema.facts_over(versions)
        types = {name: _type(fact) for name, fact in facts.items()} | dict.fromkeys(self.accounts, "bigint")
        types |= {"revision": "bigint", "machine_version": "integer", "calls": "integer"}
        self.rows = Rows(statements.named(self.name), [*self.columns, "created", "updated"], types)
        self.select = attrs.evolve(self.rows, names=self.columns).select
        self.links = {name: fact.type.machine for name, fact in facts.items() if fact.type.kind == "link"}

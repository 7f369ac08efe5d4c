"""The views in PostgreSQL. They are for readers, so none of them ever keeps books from opening.

The comment on a view says what a row is, and ends with a mark of the text it was made from. A view whose mark is right
is not touched, so nobody who reads it is in the way. One that cannot be made, because a page does not fit or somebody
is reading it, is left as it is, and a warning says so; whoever opens the books next with the right to make views tries
again. A role without that right does not try.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from tallystick.definition.machine import Machines
from tallystick.store.postgres.failures import sentence
from tallystick.store.schema.dialect import Dialect
from tallystick.store.schema.view import View
from tallystick.store.schema.views import VIEWS, views

LOG = logging.getLogger("tallystick.books")
MARK = 16  # characters
MAY_MAKE = "SELECT has_schema_privilege(current_user, oid, 'CREATE') FROM pg_namespace WHERE nspname = %s"
COMMENTS = (
    "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = ANY(%s)"
)
READERS = (
    "SELECT r.rolname, a.is_grantable FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, "
    "aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE n.nspname = %s AND c.relname = %s "
    "AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner"
)
# A view is not worth a long wait: its readers would stand in the queue behind it.
BRIEFLY = (
    "SELECT set_config('lock_timeout', least(1000, nullif(setting::integer, 0))::text, true) "
    "FROM pg_settings WHERE name = 'lock_timeout'"
)


class Views:
    """The views of one schema, seen through a connection."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self._connection, self._schema = connection, schema
        self._readers: dict[str, list[tuple[str | None, bool]]] = {}  # of views that were dropped, to be made again

    def stale(self, machines: Machines) -> list[View]:
        """Those that are not as these machines make them, if this role may make views."""
        may = self._connection.execute(MAY_MAKE, (self._schema,)).fetchone()
        if may is None or not may[0]:
            return []
        there = self._there()
        return [each for each in views(machines, Dialect(postgres=True)) if there.get(each.name) != _comment(each)]

    def _there(self) -> dict[str, str | None]:
        """What has the name of a view, with its comment. Ours have had one in every version."""
        return dict(self._connection.execute(COMMENTS, (self._schema, list(VIEWS))).fetchall())

    def make(self, machines: Machines) -> None:
        """Make those that are not as they should be. Inside the caller's transaction."""
        stale = self.stale(machines)
        if not stale:
            return
        self._connection.execute(f'SET LOCAL search_path TO "{self._schema}"')
        self._connection.execute(BRIEFLY)
        others = {name for name, comment in self._there().items() if comment is None}
        for view in stale:
            if view.name in others:
                LOG.warning("the view %s was not made: somebody else has made one of its name", view.name)
                continue
            try:
                with self._connection.transaction():
                    self._make(view)
            except psycopg.Error as error:
                if self._connection.closed:
                    raise
                LOG.warning("the view %s was not made: %s", view.name, sentence(error))
                if isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.errors.LockNotAvailable):
                    return  # it would be so with the others

    def _make(self, view: View) -> None:
        try:
            with self._connection.transaction():
                self._connection.execute(f"CREATE OR REPLACE VIEW {view.name} AS\n{view.sql}")
        except psycopg.errors.InvalidTableDefinition:  # its columns are others, or have other types
            try:
                with self._connection.transaction():
                    self.drop(view.name)
                    self._connection.execute(f"CREATE VIEW {view.name} AS\n{view.sql}")
            except psycopg.errors.DependentObjectsStillExist:  # somebody's own view reads it, by its columns
                self._append(view)
        for reader, may_grant in self._readers.pop(view.name, ()):
            to = SQL("PUBLIC") if reader is None else Identifier(reader)
            option = SQL(" WITH GRANT OPTION" if may_grant else "")
            self._connection.execute(SQL("GRANT SELECT ON {} TO {}{}").format(Identifier(view.name), to, option))
        comment = _comment(view).replace("'", "''")
        self._connection.execute(f"COMMENT ON VIEW {view.name} IS '{comment}'")

    def _append(self, view: View) -> None:
        """Replace a view and leave its columns where they are. New ones come after them."""
        have = self._columns(f"SELECT * FROM {view.name} LIMIT 0")
        new = [each for each in self._columns(f"SELECT * FROM ({view.sql}) v LIMIT 0") if each not in have]
        listed = ", ".join(f'v."{each}"' for each in [*have, *new])
        self._connection.execute(f"CREATE OR REPLACE VIEW {view.name} AS SELECT {listed} FROM (\n{view.sql}\n) v")

    def _columns(self, query: str) -> list[str]:
        return [each.name for each in self._connection.execute(query).description or ()]

    def drop(self, name: str) -> None:
        """Drop a view, and remember who may read it."""
        readers = self._connection.execute(READERS, (self._schema, name)).fetchall()
        self._connection.execute(f'DROP VIEW IF EXISTS "{self._schema}"."{name}"')
        if readers:
            self._readers[name] = readers

    def drop_all(self) -> None:
        for name, comment in self._there().items():
            if comment is not None:
                self.drop(name)


def _comment(view: View) -> str:
    return f"{view.says} [{hashlib.sha256(view.sql.encode()).hexdigest()[:MARK]}]"

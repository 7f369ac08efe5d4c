"""Metadata for Datasette: it shows the views of an SQLite store with what they mean, and nothing else.

    tallystick datasette --out metadata.json
    datasette books.db --metadata metadata.json

The tables have card numbers in them, so they are closed, and so is SQL of one's own. Make it anew when machines are
added: it closes the tables that are there.
"""

from __future__ import annotations

from pathlib import Path

from tallystick.engine.engine import Engine
from tallystick.errors import Invalid
from tallystick.reports.asking import HasEngine
from tallystick.store.schema.dialect import Dialect
from tallystick.store.schema.dictionary import SAYS
from tallystick.store.schema.views import views


def datasette_metadata(books: HasEngine | Engine) -> dict[str, object]:
    """What goes into `metadata.json`.

    Raises:
        Invalid: the books are not in SQLite, which is what Datasette opens.
    """
    engine = books if isinstance(books, Engine) else books.engine
    if not engine.store.url.startswith("sqlite:"):
        raise Invalid("Datasette opens SQLite only; in PostgreSQL give a role the right to read the views")
    with engine.store.reading() as reading:
        tables = [name for (name,) in reading.select("SELECT name FROM sqlite_master WHERE type = 'table'")]
    shown = {
        view.name: {
            "description": view.says,
            "columns": {each: SAYS[name] for name in view.columns for each in view.names_of(name)},
        }
        for view in views(engine.machines, Dialect())
    }
    closed = {name: {"allow": False, "hidden": True} for name in tables}
    name = Path(engine.store.url.removeprefix("sqlite:///")).stem
    return {"databases": {name: {"allow_sql": False, "tables": {**closed, **shown}}}}

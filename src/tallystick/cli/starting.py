"""Commands to begin with: `demo` tells a story, `init` makes books, `key` makes a key for sealed ones."""

from __future__ import annotations

import click

from tallystick.cli.options import json_option, machines_option, store_option
from tallystick.cli.printing import print_answer


@click.command()
@json_option
@click.pass_context
def demo(ctx: click.Context, json_out: bool) -> None:
    """Tell the story of some cards, on books that are deleted afterwards."""
    import tempfile

    import tallystick
    from tallystick.cli import as_json, as_tables
    from tallystick.cli.demo_story import story, table
    from tallystick.definition.reader import packaged_folder

    pages = packaged_folder()  # the story is about these, whatever else is set
    with (
        tempfile.TemporaryDirectory() as folder,
        tallystick.open(f"sqlite:///{folder}/demo.db", machines=pages) as books,
    ):
        steps = list(story(books))
        report = as_json.verify_report(books.verify())
    answer = {"story": [step.plain() for step in steps], "verify": report}
    print_answer(json_out, answer, lambda: [table(steps), as_tables.verify_table(report)])
    ctx.exit(0 if report["clean"] else 1)


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

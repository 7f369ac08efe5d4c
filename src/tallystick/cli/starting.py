"""Commands to begin with: `demo` tells a story, `key` makes a key for sealed books."""

from __future__ import annotations

import click

from tallystick.cli.options import json_option
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
@json_option
def key(json_out: bool) -> None:
    """Print a new key for sealed books.

    Put it into TALLYSTICK_SEAL_KEY before the books are made, and their card numbers are sealed. Keep it well, and away
    from the books: without it nobody can read those numbers again.
    """
    from tallystick.engine.sealing import new_key

    new = new_key()
    print_answer(json_out, {"key": new}, lambda: [new])

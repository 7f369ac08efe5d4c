"""Commands that show machines: `machines` lists them, `diagram` draws one, `schema` is for editors."""

from __future__ import annotations

import click

from tallystick.cli.options import json_option, machines_option
from tallystick.cli.printing import print_answer, print_json, print_picture


@click.command()
@click.argument("name", required=False)
@machines_option
@json_option
def machines(name: str | None, folders: tuple[str, ...], json_out: bool) -> None:
    """List the machines, or the states and transitions of one."""
    from tallystick.cli import as_json, as_tables, parameters
    from tallystick.definition import reader
    from tallystick.diagram.model import diagram_of

    known = reader.load(*folders)
    if name is None:
        rows = [as_json.machine_row(machine) for machine in known.values()]
        print_answer(json_out, rows, lambda: [as_tables.machines_table(rows)])
    else:
        picture = diagram_of(parameters.machine_named(known, name))
        print_answer(json_out, as_json.machine(picture), lambda: [as_tables.machine_table(picture)])


@click.command()
@click.argument("name")
@click.option(
    "--format",
    "form",
    default="mermaid",
    show_default=True,
    metavar="FORMAT",
    help="svg, png, mermaid, dot or markdown.",
)
@click.option("--level", default="brief", show_default=True, help="brief, or table (in Markdown): all of it.")
@click.option("--state", metavar="STATE", help="Only what is around this state, with guards, calls and moves.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, writable=True), help="Write it to this file.")
@machines_option
@json_option
def diagram(
    name: str, form: str, level: str, state: str | None, output: str | None, folders: tuple[str, ...], json_out: bool
) -> None:  # fmt: skip
    """Draw a machine."""
    from tallystick.cli import as_json, parameters
    from tallystick.definition import reader
    from tallystick.diagram import draw
    from tallystick.diagram.model import diagram_of

    machine = parameters.machine_named(reader.load(*folders), name)
    level = "neighbourhood" if state is not None and level == "brief" else level
    picture = draw(machine, format="markdown" if level == "table" else form, level=level, state=state)
    if json_out and isinstance(picture, str):
        print_json({"format": form, "text": picture, **as_json.machine(diagram_of(machine))})
    else:
        print_picture(picture, output)


@click.command()
@json_option
def schema(json_out: bool) -> None:
    """Print the JSON Schema of a page, for your editor."""
    from tallystick.definition.format import json_schema

    print_json(json_schema())

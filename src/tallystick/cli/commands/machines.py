"""Commands that show machines: `machines` lists them, `diagram` draws one, `schema` is for editors."""

from __future__ import annotations

import click

from tallystick.cli.options import json_option, machines_option
from tallystick.cli.printing import print_answer, print_json, write


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
@click.option("--format", "form", type=click.Choice(["mermaid", "dot", "table"]), default="mermaid", show_default=True)
@click.option("--guards", is_flag=True, help="Mermaid with guards on its arrows; DOT and table always have them.")
@click.option("--loops", is_flag=True, help="Draw what keeps the state as an arrow to itself.")
@machines_option
@json_option
def diagram(name: str, form: str, guards: bool, loops: bool, folders: tuple[str, ...], json_out: bool) -> None:
    """Draw a machine: Mermaid, Graphviz, or a Markdown table."""
    from tallystick.cli import as_json, parameters
    from tallystick.definition import reader
    from tallystick.diagram.dot import to_dot
    from tallystick.diagram.mermaid import to_mermaid
    from tallystick.diagram.model import diagram_of
    from tallystick.diagram.table import to_table

    picture = diagram_of(parameters.machine_named(reader.load(*folders), name))
    match form:
        case "dot":
            text = to_dot(picture, loops=loops)
        case "table":
            text = to_table(picture)
        case _:
            text = to_mermaid(picture, guards=guards, loops=loops)
    if json_out:
        print_json({"format": form, "text": text, **as_json.machine(picture)})
    else:
        write(text)


@click.command()
@json_option
def schema(json_out: bool) -> None:
    """Print the JSON Schema of a page, for your editor."""
    from tallystick.definition.format import json_schema

    print_json(json_schema())

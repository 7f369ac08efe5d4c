"""Commands that show machines: `machines` lists them, `diagram` draws one, `schema` is for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallystick.cli.options import BooksOptions, json_option, machines_option
from tallystick.cli.printing import picture_format, print_answer, print_json, print_picture
from tallystick.errors import Invalid

if TYPE_CHECKING:
    from tallystick.definition.machine import Machine


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
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help="svg, png, mermaid, dot, markdown, scxml or xstate. Without it: what the name of the file says, or mermaid.",
)
@click.option("--level", metavar="LEVEL", help="brief, which is the default; or table (in Markdown): all of it.")
@click.option("--state", metavar="STATE", help="Only what is around this state, with guards, calls and moves.")
@click.option("--store", "url", metavar="URL", help="How many and how much of these books stands and went where.")
@click.option("--entity", metavar="ID", help="With --store: the life of one of its entities, which names the machine.")
@click.option("--output", "--out", "-o", type=click.Path(dir_okay=False, writable=True), help="Write it to this file.")
@machines_option
@json_option
def diagram(
    names: tuple[str, ...], form: str | None, level: str | None, state: str | None, url: str | None, entity: str | None,
    output: str | None, folders: tuple[str, ...], json_out: bool,
) -> None:  # fmt: skip
    """Draw a machine; or several, with the commands that they give each other."""
    from tallystick.cli import as_json, parameters
    from tallystick.definition import reader
    from tallystick.diagram import draw
    from tallystick.diagram.model import diagram_of

    level = level or ("brief" if state is None else "neighbourhood")
    form = "markdown" if level == "table" else picture_format(form, output) or "mermaid"
    if entity is not None and url is None:
        raise Invalid("--entity names one of some books: give --store, too")
    if url is None:
        known = reader.load(*folders)
        machines = [parameters.machine_named(known, name) for name in names]
        if not machines:
            raise Invalid("name a machine, or give --store and --entity")
        picture = draw(machines if len(machines) > 1 else machines[0], format=form, level=level, state=state)
    else:
        machines, picture = _from_books(BooksOptions(url, folders), names, entity, form, level)
    if json_out and isinstance(picture, str) and len(machines) == 1:
        print_json({"format": form, "text": picture, **as_json.machine(diagram_of(machines[0]))})
    else:
        print_picture(picture, output)


def _from_books(
    books: BooksOptions, names: tuple[str, ...], entity: str | None, form: str, level: str
) -> tuple[list[Machine], str | bytes]:
    """A picture with the figures of some books, or of one life of them."""
    from tallystick import reports
    from tallystick.cli import parameters
    from tallystick.diagram import draw

    with books.opened() as engine:
        if entity is not None:
            with engine.store.reading() as reading:
                found = parameters.entity_named(engine, reading, entity)
            machine = engine.machines.at(found.machine, found.machine_version)
            lived = reports.life(engine, found.machine, found.id)
            return [machine], draw(machine, format=form, level=level, life=lived)
        if len(names) != 1:
            raise Invalid("the figures of books are drawn for one machine; name it")
        machine = parameters.machine_named(engine.machines, names[0])
        return [machine], draw(machine, format=form, level=level, overlay=reports.overlay(engine, machine.name))


@click.command()
@json_option
def schema(json_out: bool) -> None:
    """Print the JSON Schema of a page, for your editor."""
    from tallystick.definition.format import json_schema

    print_json(json_schema())

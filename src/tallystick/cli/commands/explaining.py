"""`explain`: what a code of `check` or the name of an error means. The texts come with the package."""

from __future__ import annotations

import inspect
import sys
from difflib import get_close_matches
from typing import Any

import click

from tallystick.cli.options import json_option
from tallystick.cli.printing import print_json, write
from tallystick.errors import NotFound, TallystickError, nearest
from tallystick.masks import quoted


@click.command()
@click.argument("name")
@json_option
def explain(name: str, json_out: bool) -> None:
    """Say what the code of a finding or the name of an error means.

    NAME is a code that `tallystick check` prints, such as TS105, or an error, such as InDoubt. A finding is shown with
    a machine that has the mistake and one that has not. An error says what became of the money and of the key.
    """
    answer = _finding(name.upper()) or _error(name)
    if json_out:
        print_json(answer)
    elif sys.stdout.isatty():
        from rich.markdown import Markdown

        from tallystick.cli.as_tables import console

        console().print(Markdown(answer["text"]))
    else:
        write(answer["text"])


def _finding(code: str) -> dict[str, Any] | None:
    from tallystick.check.finding import TITLES, page

    return {"name": code, "title": TITLES[code], "text": page(code)} if code in TITLES else None


def _unknown(name: str, known: list[str]) -> NotFound:
    """That there is none, with the names that are most like it, however little that is."""
    plain = {each.lower(): each for each in known}
    near = [plain[each] for each in get_close_matches(name.lower(), plain, 3, cutoff=0)]
    said = nearest(name, known) or f" The nearest are {', '.join(near)}."
    return NotFound("finding or error", name, known, why=f"there is no finding or error {quoted(name)}.{said}")


def _error(name: str) -> dict[str, Any]:
    import tallystick
    from tallystick.check.finding import TITLES

    public = [getattr(tallystick, each) for each in tallystick.__all__]
    errors = {each.__name__: each for each in public if isinstance(each, type) and issubclass(each, TallystickError)}
    found = next((each for each in errors.values() if each.__name__.lower() == name.lower()), None)
    if found is None:
        raise _unknown(name, [*TITLES, *errors])
    said = inspect.getdoc(found) or ""
    text = f"# {found.__name__}\n\n{said}\n"
    return {"name": found.__name__, "title": said.partition("\n\n")[0].replace("\n", " "), "text": text}

"""How an answer is printed: as JSON, or as tables. Always as UTF-8, and to stdout."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tallystick.errors import Invalid

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDEST = 10_000  # columns

FORMATS = {".svg": "svg", ".png": "png", ".mmd": "mermaid", ".dot": "dot", ".md": "markdown", ".scxml": "scxml",
           ".json": "xstate"}  # fmt: skip


def print_answer(
    json_out: bool, answer: object, tables: Callable[[], list[RenderableType]], *, wrap: bool = True
) -> None:
    """Print the plain values of an answer as JSON; or, without `json_out`, its tables. `wrap`: break long lines."""
    if json_out:
        print_json(answer)
        return
    from rich.measure import Measurement

    from tallystick.cli.as_tables import console

    out = console()
    width = out.width
    for each in tables():
        least = Measurement.get(out, out.options.update(max_width=WIDEST), each).minimum if wrap else 0
        out.width = max(width, least)  # what has to stay whole may need more
        out.print(each, soft_wrap=not wrap)


def print_json(answer: object) -> None:
    """Print plain values as indented JSON."""
    write(json.dumps(answer, ensure_ascii=False, indent=2) + "\n")


def write(text: str) -> None:
    """Write to stdout as UTF-8, whatever the terminal's encoding; half of a character pair as JSON writes it."""
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


@contextmanager
def stdout_as_utf8() -> Iterator[TextIO]:
    """Stdout for a long text, likewise."""
    out = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "backslashreplace", newline="")
    try:
        yield out
    finally:
        out.detach()


def picture_format(form: str | None, output: str | None) -> str | None:
    """The format that was asked for; else that of the file's name, if it tells one."""
    return form or FORMATS.get(Path(output or "").suffix.lower())


def print_picture(picture: str | bytes, output: str | None) -> None:
    """Write a picture to a file, or to stdout if it is text."""
    if output is not None:
        Path(output).write_bytes(picture if isinstance(picture, bytes) else picture.encode())
    elif isinstance(picture, bytes):
        raise Invalid("a PNG is no text for a terminal; write it to a file with --output")
    else:
        write(picture)


@contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[int, int], object] | None]:
    """Takes how much is done, of how much. Drawn to stderr, and only on a terminal: None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)

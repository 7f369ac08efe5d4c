"""Commands about machines themselves: `check` says what is wrong with them, `diff` what a new version changes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from tallystick.cli.options import json_option
from tallystick.cli.printing import print_json
from tallystick.errors import Invalid

if TYPE_CHECKING:
    from rich.text import Text

    from tallystick.check import Finding, Report
    from tallystick.check.difference import Difference
    from tallystick.definition.machine import Machine, Machines


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True))
@click.option("--quick", is_flag=True, help="Only what the pages themselves show; for editing.")
@click.option(
    "--depth", type=click.IntRange(1), help="The largest amount in the model (2); one more, ten times the states."
)
@click.option("--prove", is_flag=True, help="Prove it for all amounts too; needs tallystick[prove].")
@click.option("--replays", type=click.Path(file_okay=False), metavar="FOLDER",
              help="Write the way to each finding of the model there, as lines for `tallystick run`.")  # fmt: skip
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    files: tuple[str, ...],
    quick: bool,
    depth: int | None,
    prove: bool,
    replays: str | None,
    json_out: bool,
) -> None:
    """Say what is wrong with machines, before production does.

    FILE is a page or a folder of pages, checked together with the packaged ones; without, all pages are checked.
    Each finding is told with its place and a code, such as TS105. The exit code is 1 if there is one.
    """
    from tallystick.check import check as checked
    from tallystick.definition import reader

    machines = reader.load(*files)
    with _progress() as progress:
        report = checked(
            machines, only=_of(machines, files), depth=depth, model=not quick, prove=prove, progress=progress
        )
    written = _written(report, Path(replays)) if replays is not None else {}
    _tell(json_out, _plain(report), lambda: _shown(report, written, files))
    ctx.exit(0 if report.clean else 1)


def _tell(json_out: bool, plain: object, shown: Callable[[], list[Text]]) -> None:
    """As JSON, or in lines that are not broken: an editor reads file:line:column from their start."""
    if json_out:
        print_json(plain)
        return
    from tallystick.cli.as_tables import console

    out = console()
    for each in shown():
        out.print(each, soft_wrap=True)


def _of(machines: Machines, files: tuple[str, ...]) -> list[str]:
    """The machines of these pages and folders."""
    named = [Path(file).resolve() for file in files]
    found = [
        name
        for name, machine in machines.items()
        if any(each in (Path(machine.file).resolve(), Path(machine.file).resolve().parent) for each in named)
    ]
    if files and not found:
        raise Invalid(f"there is no page in {', '.join(files)}")
    return found


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on a terminal that says how far it is; nothing elsewhere."""
    from tallystick.cli.as_tables import console

    with console(stderr=True).status("reading pages") as status:
        yield lambda text: status.update(text)


def _plain(report: Report) -> dict[str, Any]:
    return {
        "clean": report.clean,
        "findings": [attrs.asdict(each) for each in report.findings],
        "figures": {floor: dict(counted) for floor, counted in report.figures.items()},
    }


def _written(report: Report, folder: Path) -> dict[int, Path]:
    """The ways to findings as files, by the finding's number."""
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[int, Path] = {}
    for number, each in enumerate(report.findings):
        if each.replay:
            written[number] = folder / f"{number + 1}-{each.code}-{each.machine}.jsonl"
            lines = [json.dumps(dict(line), ensure_ascii=False) + "\n" for line in each.replay]
            written[number].write_text("".join(lines), encoding="utf-8")
    return written


def _shown(report: Report, written: Mapping[int, Path], files: Sequence[str]) -> list[Text]:
    from rich.text import Text

    needed = "".join(f" --machines {shlex.quote(file)}" for file in files)
    shown: list[Text] = []
    for number, each in enumerate(report.findings):
        shown.append(_told(each))
        if number in written:
            file = shlex.quote(str(written[number]))
            run = f"tallystick run {file} --provider scripted --store memory:{needed}"
            shown.append(Text(f"    to see it again: {run}", "dim"))
    if not written and any(each.replay for each in report.findings):
        shown.append(Text("The ways above can be run: --replays FOLDER writes them as files.", "dim"))
    figures = "; ".join(
        f"{floor}: {', '.join(_counted(count, what) for what, count in counted.items())}"
        for floor, counted in report.figures.items()
    )
    many = len(report.findings)
    head = ("clean", "bold green") if report.clean else (f"{many} finding{'s' if many > 1 else ''}", "bold red")
    return [*shown, Text.assemble(head, f" ({figures})")]


def _counted(count: int, what: str) -> str:
    words = what.replace("_", " ")
    return f"{count:,} {words.removesuffix('s') if count == 1 else words}"


def _told(finding: Finding) -> Text:
    """`file:line:column: TS105 sentence`, and the way there below it."""
    from rich.text import Text

    place = f"{finding.file}:{finding.line}:{finding.column}: "
    story = "".join(f"\n    {line}" for line in finding.story)
    return Text.assemble((place, "bold"), (finding.code, "red"), f" {finding.message}", (story, "dim"))


@click.command()
@click.argument("old", type=click.Path(exists=True, dir_okay=False))
@click.argument("new", type=click.Path(exists=True, dir_okay=False))
@json_option
def diff(old: str, new: str, json_out: bool) -> None:
    """Say what a new version of a machine's page changes, and for whom.

    Wording only, additions, or another behaviour; and what that means for entities that stand in the old version.
    """
    from tallystick.check.difference import difference
    from tallystick.definition import reader

    known = reader.load()
    before, after = (_only(reader.replaced(known, file), file) for file in (old, new))
    found = difference(before, after)
    _tell(json_out, attrs.asdict(found), lambda: _compared(found))


def _only(machines: Machines, file: str) -> Machine:
    (name,) = _of(machines, (file,))
    return machines[name]


def _compared(found: Difference) -> list[Text]:
    from rich.text import Text

    colour = {"nothing": "green", "wording": "green", "adds": "cyan"}.get(found.kind, "bold yellow")
    shown: list[Text] = [Text.assemble((found.kind, colour), f": {found.says}")]
    shown += [Text(f"  {each}") for each in found.changes]
    if found.in_flight:
        shown.append(Text("for entities that stand in the old version, should they be moved over:"))
        shown += [Text(f"  {each}") for each in found.in_flight]
    return shown

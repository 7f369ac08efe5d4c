"""Commands that examine pages: `check` says what is wrong with machines, `diff` what a new version changes.

Their lines are never broken, because an editor reads file:line:column at the start of each.
"""

from __future__ import annotations

import json
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from tallystick.cli.annotations import UNREAD, Remark, as_annotation, as_sarif
from tallystick.cli.commands import migrating
from tallystick.cli.options import BooksOptions, json_option, require_store
from tallystick.cli.pages import changed_since, reading, with_pages_beside
from tallystick.cli.printing import picture_format, print_answer, print_json, print_picture
from tallystick.errors import Invalid, MachineError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from tallystick.check import Finding, Report
    from tallystick.check.difference import Difference
    from tallystick.definition.machine import Machine, Machines
    from tallystick.diagram import Overlay

UNDECIDED, STOPPED = 3, 4  # exit codes of `check`, beside 0 and 1
EVERY = 5.0  # seconds between two lines of progress where stderr is no terminal


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True))
@click.option("--quick", is_flag=True, help="Only what one look at the pages shows; for editing.")
@click.option(
    "--depth", type=click.IntRange(1), help="The largest amount in the model (2). One more makes ten times the states."
)
@click.option("--changed", metavar="REF", help="Only pages that differ from this git commit, and those that read them.")
@click.option("--prove", is_flag=True, help="Prove it for all amounts too. Needs tallystick[check].")
@click.option("--explain", is_flag=True, help="Prove it, and say what was found to hold in each state.")
@click.option("--replays", type=click.Path(file_okay=False), metavar="FOLDER",
              help="Write the story of each finding of the model there, as lines for `tallystick run`.")  # fmt: skip
@click.option("--before", type=click.Path(exists=True, dir_okay=False), metavar="FILE", multiple=True,
              help="An older version of a page: does all of it have its place in the newer one?")  # fmt: skip
@click.option("--store", "url", metavar="URL", help="The same of the older versions that these books keep.")
@click.option("--sarif", type=click.Path(dir_okay=False), metavar="FILE",
              help="Write the findings there as SARIF, for programs that show them at their lines.")  # fmt: skip
@click.option("--github", is_flag=True, help="Print each finding as GitHub Actions shows it in a pull request, too.")
@json_option
@click.pass_context
def check(
    ctx: click.Context, files: tuple[str, ...], quick: bool, depth: int | None, changed: str | None, prove: bool,
    explain: bool, replays: str | None, before: tuple[str, ...], url: str | None, sarif: str | None, github: bool,
    json_out: bool,
) -> None:  # fmt: skip
    """Say what is wrong with machines, before production does.

    FILE is a page or a folder of pages. It is checked together with the pages beside it and the packaged ones. Without
    FILE, all pages are checked. Each finding has a place and a code, such as TS105. The exit code is 1 if something is
    wrong, 3 if nothing is but something could not be decided, and 4 if the check was stopped (Ctrl-C or SIGTERM) and
    tells what it knew by then.
    """
    from tallystick.check import Report
    from tallystick.check import check as check_machines

    try:
        machines, needed = with_pages_beside(files)
    except MachineError as error:
        _write_remarks([Remark(UNREAD, *attrs.astuple(each)) for each in error.faults], sarif, github=github)
        if not json_out:
            raise
        print_json({"clean": False, "faults": [attrs.asdict(each) for each in error.faults]})
        ctx.exit(1)
    only = _machines_of(machines, files)
    if changed is not None:
        only = reading(machines, changed_since(changed, machines, only or list(machines)))
        if not only:
            print_answer(json_out, _report_as_json(Report((), {})), lambda: [f"no page differs from {changed}"])
            return
    machines = _with_older(machines, before, url)
    with _progress() as progress, _stop_on_sigterm():
        report = check_machines(
            machines, only=only, depth=depth, model=not quick, prove=prove or explain, progress=progress
        )
    written = _write_replays(report, Path(replays)) if replays is not None else {}
    remarks = [
        Remark(each.code, each.file, each.line, each.column, each.message, each.decided) for each in report.findings
    ]
    print_answer(
        json_out, _report_as_json(report), lambda: _report_lines(report, written, needed, explain=explain), wrap=False
    )
    _write_remarks(remarks, sarif, github=github)
    ctx.exit(STOPPED if report.stopped else 1 if report.wrong else UNDECIDED if report.findings else 0)


def _with_older(machines: Machines, before: Sequence[str], url: str | None) -> Machines:
    """The machines, with older versions from files and from books."""
    from tallystick.definition import reader
    from tallystick.definition.machine import Machines
    from tallystick.store.open import open_store

    older = [_only(reader.replaced(machines, file), file) for file in before]
    if url is not None:
        store = open_store(url, read_only=True)
        try:
            require_store(store)
            older += store.machines(Machines([])).all()
        finally:
            store.close()
    known = [each for each in older if each.name in machines and each.version < machines[each.name].version]
    return Machines([*known, *machines.all()])


def _write_remarks(remarks: Sequence[Remark], sarif: str | None, *, github: bool) -> None:
    """Write SARIF to a file, and annotations to stderr, where GitHub reads them too."""
    from tallystick.check import TITLES

    if sarif is not None:
        Path(sarif).write_text(json.dumps(as_sarif(remarks, TITLES), indent=2, ensure_ascii=False), encoding="utf-8")
    for each in remarks if github else ():
        click.echo(as_annotation(each), err=True)


def _machines_of(machines: Machines, files: tuple[str, ...]) -> list[str]:
    """The machines of these pages and folders."""
    paths = [Path(file).resolve() for file in files]
    names = [
        name
        for name, machine in machines.items()
        if any(path in (Path(machine.file).resolve(), Path(machine.file).resolve().parent) for path in paths)
    ]
    if files and not names:
        raise Invalid(f"there is no page in {', '.join(files)}; pages end in .yaml or .yml")
    return names


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Says on stderr how far the check is: a line that changes on a terminal, elsewhere one every few seconds."""
    from tallystick.cli.as_tables import console

    stderr, said = console(stderr=True), time.monotonic()
    if stderr.is_terminal:
        with stderr.status("reading pages") as status:
            yield lambda text: status.update(text)
        return

    def say(text: str) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            click.echo(f"checking {text}", err=True)

    yield say


@contextmanager
def _stop_on_sigterm() -> Iterator[None]:
    """SIGTERM stops the check as Ctrl-C does; where signals cannot be caught, such as in a thread, nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _report_as_json(report: Report) -> dict[str, Any]:
    return {
        "clean": report.clean,
        "stopped": report.stopped,
        "findings": [attrs.asdict(each) for each in report.findings],
        "figures": {level: dict(counted) for level, counted in report.figures.items()},
        "left_out": list(report.left_out),
        "searched": list(report.searched),
        "holds": {name: dict(states) for name, states in report.holds.items()},
    }


def _write_replays(report: Report, folder: Path) -> dict[int, Path]:
    """Write the stories of findings as files. Returns the files by the number of their finding."""
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[int, Path] = {}
    for number, each in enumerate(report.findings):
        if each.replay:
            written[number] = folder / f"{number + 1}-{each.code}-{each.machine}.jsonl"
            lines = [json.dumps(dict(line), ensure_ascii=False) + "\n" for line in each.replay]
            written[number].write_text("".join(lines), encoding="utf-8")
    return written


def _report_lines(
    report: Report, written: Mapping[int, Path], files: Sequence[str], *, explain: bool = False
) -> list[RenderableType]:
    from rich.text import Text

    folders = "".join(f" --machines {shlex.quote(file)}" for file in files)
    lines: list[RenderableType] = []
    for number, each in enumerate(report.findings):
        lines.append(_finding_line(each))
        if number in written:
            file = shlex.quote(str(written[number]))
            run = f"tallystick run {file} --provider scripted --store memory:{folders}"
            lines.append(Text(f"    to see it again: {run}", "dim"))
    if not written and any(each.replay for each in report.findings):
        lines.append(Text("To run these stories yourself, write them as files with --replays FOLDER.", "dim"))
    figures = "; ".join(
        f"{level}: {', '.join(_counted(count, what) for what, count in counted.items())}"
        for level, counted in report.figures.items()
    )
    many, open_ = len(report.wrong), len(report.findings) - len(report.wrong)
    heads = [f"{many} finding{'s' if many > 1 else ''}"] if many else []
    heads += [f"{open_} not decided"] if open_ else []
    heads += [f"stopped in {report.stopped}, so this is not all"] if report.stopped else []
    head = (", ".join(heads), "bold red") if heads else ("clean", "bold green")
    lines += [
        Text(f"{name} reads its parts, which model and proof cannot do yet: only its structure was checked")
        for name in report.left_out
    ]
    lines += [
        Text(f"{name} names facts: it was tried with small amounts, and is not proved") for name in report.searched
    ]
    return [*(_holds_lines(report) if explain else []), *lines, Text.assemble(head, f" ({figures})")]


def _holds_lines(report: Report) -> Iterator[RenderableType]:
    """What was proved to hold in each state."""
    from rich.text import Text

    if not report.holds:
        yield Text("What holds in each state is not said, for not everything was proved.")
    for name, states in report.holds.items():
        yield Text(f"{name}: what holds in each state, for all amounts, while no call is open that will change it")
        for state, sentences in states.items():
            if sentences:
                yield Text.assemble("  ", (state, "bold"), f": {'; '.join(sentences)}")


def _counted(count: int, what: str) -> str:
    words = what.replace("_", " ")
    return f"{count:,} {words.removesuffix('s') if count == 1 else words}"


def _finding_line(finding: Finding) -> Text:
    """`file:line:column: TS105 sentence`, and below it the story that leads there."""
    from rich.text import Text

    place = f"{finding.file}:{finding.line}:{finding.column}: "
    story = "".join(f"\n    {line}" for line in finding.story)
    return Text.assemble((place, "bold"), (finding.code, "red"), f" {finding.message}", (story, "dim"))


@click.command()
@click.argument("old", type=click.Path(exists=True, dir_okay=False))
@click.argument("new", type=click.Path(exists=True, dir_okay=False))
@click.option("--format", "form", metavar="FORMAT",
              help="Draw it: svg, png, mermaid, dot or markdown. The name of a file says it, too.")  # fmt: skip
@click.option("--store", "url", metavar="URL", help="Say how many of these books' entities are concerned, too.")
@click.option("--output", "--out", "-o", type=click.Path(dir_okay=False, writable=True),
              help="Write the picture to this file.")  # fmt: skip
@json_option
def diff(old: str, new: str, form: str | None, url: str | None, output: str | None, json_out: bool) -> None:
    """Say what a new version of a page changes, and for whom; or draw it.

    It changes wording only, adds something, or behaves otherwise. OLD and NEW are files. The answer also says what the
    change means for entities that were made with the old version; with --store, how many of these there are, with how
    much money, and what would be in the way of `tallystick migrate`.
    """
    from rich.text import Text

    from tallystick.check.difference import difference
    from tallystick.definition import reader
    from tallystick.diagram import draw_change

    form = picture_format(form, output)
    if output is not None and form is None:
        raise Invalid("--output is for a picture; say which with --format, or by the file's name, such as change.svg")
    known = reader.load()
    before, after = (_only(reader.replaced(known, file), file) for file in (old, new))
    found = difference(before, after)
    newer = url is not None and after.version > before.version
    forecast = migrating.foretold(BooksOptions(str(url)), (new,)) if newer else None
    if form is not None:
        standing = _standing(BooksOptions(url), before) if url is not None else None
        notes = [f"in the way of moving them: {each}" for each in forecast.obstacles] if forecast is not None else []
        print_picture(draw_change(before, after, format=form, overlay=standing, notes=notes), output)
        return
    answer, lines = attrs.asdict(found), _difference_lines(found)
    if url is not None and forecast is None:
        raise Invalid(f"{new} has no later version than {old}, so nothing would be moved; give it one")
    if forecast is not None:
        answer |= {"in_books": migrating.as_json(forecast)}
        lines += [Text("in these books, if they are moved (tallystick migrate):"), *migrating.tables(forecast)]
    print_answer(json_out, answer, lambda: lines, wrap=False)


def _standing(books: BooksOptions, machine: Machine) -> Overlay:
    """How many entities of this version stand in each state of some books, with how much."""
    from tallystick import reports
    from tallystick.diagram import Standing
    from tallystick.money import Money

    with books.opened() as engine:
        figures = reports.overlay(engine, machine.name)
        counts: dict[str, int] = {}
        sums: dict[str, dict[str, dict[str, int]]] = {}
        with engine.store.reading() as reading:
            for each in reading.all(machine.name):
                if each.machine_version == machine.version:
                    counts[each.state] = counts.get(each.state, 0) + 1
                    for account, minor in each.accounts.items():
                        found = sums.setdefault(each.state, {}).setdefault(account, {})
                        found[each.currency] = found.get(each.currency, 0) + minor
    states = {
        state: Standing(count, {account: tuple(Money(minor, currency) for currency, minor in totals.items())
                                for account, totals in sums.get(state, {}).items()})
        for state, count in counts.items()
    }  # fmt: skip
    return attrs.evolve(figures, states=states)


def _only(machines: Machines, file: str) -> Machine:
    (name,) = _machines_of(machines, (file,))
    return machines[name]


def _difference_lines(found: Difference) -> list[RenderableType]:
    from rich.text import Text

    colour = {"nothing": "green", "wording": "green", "adds": "cyan"}.get(found.kind, "bold yellow")
    lines: list[RenderableType] = [Text.assemble((found.kind, colour), f": {found.says}")]
    lines += [Text(f"  {each}") for each in found.changes]
    if found.in_flight:
        lines.append(Text("for entities of the old version, if they are moved to the new one:"))
        lines += [Text(f"  {each}") for each in found.in_flight]
    return lines

"""`pytest --tallystick machines/`: four tests for every page, named `machines/payment.yaml::check` and so on.

    check         what `tallystick check` finds
    fuzz          stories with faults, judged after every step; a failure is made short and written beside the page
    crash         short stories, on SQLite, whose processes are killed on their way
    conformance   the page run by the library `transitions`, step by step beside ours

`tallystick = machines/` in pytest's configuration does the same for every run. `conftest.py` may add invariants and a
store (`pytest_tallystick_invariants`, `pytest_tallystick_store`). What is heavy is loaded when a test needs it. At the
end pytest says what the stories have reached. Where processes cannot be forked, there is no crash test.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tallystick.definition.machine import Machines
from tallystick.errors import TallystickError

SUFFIXES = (".yaml", ".yml")
REACHED = "tallystick"  # the property of a pytest report in which a test says what it reached


class PageTestFailed(Exception):
    """Says what is wrong; pytest shows it without a traceback."""


class Plugin:
    """`given` stand on the command line, `declared` in the configuration: these are added only to a whole run."""

    def __init__(self, config: pytest.Config, given: Sequence[Path], declared: Sequence[Path]) -> None:
        whole = config.args_source is not pytest.Config.ArgsSource.ARGS
        self.paths = [path.resolve() for path in (*given, *declared)]
        added = self.paths if whole else [path.resolve() for path in given]
        there = [Path(str(arg).split("::")[0]).resolve() for arg in config.args]
        for path in added:
            if not path.exists():
                raise pytest.UsageError(f"--tallystick: {path} does not exist")
            if not any(path == each or each in path.parents for each in there):
                config.args.append(str(path))

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        file = file_path.resolve()
        ours = file.suffix in SUFFIXES and any(path == file or path in file.parents for path in self.paths)
        return PageFile.from_parent(parent, path=file_path) if ours else None

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        reached = [
            str(value)
            for reports in terminalreporter.stats.values()
            for report in reports
            if getattr(report, "when", "") == "call"
            for name, value in report.user_properties
            if name == REACHED
        ]
        if reached:
            terminalreporter.write_sep("-", "what the stories reached")
            terminalreporter.write_line("\n".join(reached))


class PageFile(pytest.File):
    """A machine's page."""

    def collect(self) -> Iterable[pytest.Item]:
        for name in PAGE_TESTS:
            if name != "crash" or hasattr(os, "fork"):
                yield PageItem.from_parent(self, name=name)


@lru_cache(maxsize=64)
def _loaded(file: Path) -> tuple[Machines, str]:
    from tallystick.testing.faults.page_crashes import machine_of

    return machine_of(file)


class PageItem(pytest.Item):
    """One test of a page; its name says which."""

    def runtest(self) -> None:
        try:
            machines, name = _loaded(self.path)
            PAGE_TESTS[self.name](self, machines, name)
        except TallystickError as error:
            raise PageTestFailed(str(error)) from None

    def number(self, name: str, default: int | None) -> int | None:
        given = self.config.getoption(f"tallystick_{name}")
        declared = self.config.getini(f"tallystick_{name}")
        return int(given) if given is not None else int(declared) if declared else default

    def invariants(self, machine: str) -> list[Callable[..., object]]:
        """What `conftest.py` wants to be true."""
        return [each for found in self.ihook.pytest_tallystick_invariants(machine=machine) for each in found or ()]

    def reached(self, *lines: str) -> None:
        """These lines are shown at the end of the run."""
        self.user_properties.append((REACHED, "\n".join(lines)))

    def beside(self, kind: str) -> Path:
        """Where a story is written."""
        return self.path.with_suffix(f".{kind}.jsonl")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, PageTestFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


def _check(item: PageItem, machines: Machines, name: str) -> None:
    from tallystick.check import check
    from tallystick.testing.fuzzing.invariants import for_check

    prove = item.config.getoption("tallystick_prove") or item.config.getini("tallystick_prove")
    wanted = [for_check(each) for each in item.invariants(name)]
    report = check(machines, only=[name], depth=item.number("depth", None), prove=bool(prove), invariants=wanted)
    said = []
    for number, each in enumerate(report.findings, 1):
        said += [str(each), *(f"  {line}" for line in each.story)]
        if each.replay:
            path = item.beside(f"check-{number}")
            path.write_text("".join(json.dumps(dict(line)) + "\n" for line in each.replay), encoding="utf-8")
            said.append(f"  Written to {path}")
    if said:
        raise PageTestFailed("\n".join(said))


def _fuzz(item: PageItem, machines: Machines, name: str) -> None:
    from tallystick.store.memory import MemoryStore
    from tallystick.testing.fuzzing import fuzzer
    from tallystick.testing.fuzzing.report import failure_text, reached

    report = fuzzer.fuzz(
        machines,
        name,
        examples=item.number("examples", fuzzer.EXAMPLES) or fuzzer.EXAMPLES,
        seed=item.number("seed", 0) or 0,
        invariants=item.invariants(name),
        make_store=item.ihook.pytest_tallystick_store(machine=name) or MemoryStore,
    )
    item.reached(*reached(report.plain(machines)))
    if report.found is not None:
        path = item.beside("fuzz")
        fuzzer.write(report.found.lines, path)
        raise PageTestFailed(failure_text(report.found, path, [str(item.path.parent)]))


def _crash(item: PageItem, machines: Machines, name: str) -> None:
    from tallystick.testing.faults import page_crashes

    ran = page_crashes.page_crashes(
        machines,
        name,
        points=item.number("points", page_crashes.POINTS),
        seed=item.number("seed", 0) or 0,
        invariants=item.invariants(name),
    )
    item.reached(f"{name}: {page_crashes.summary(ran)}")
    if ran.findings:
        raise PageTestFailed("\n".join(ran.findings))


def _conformance(item: PageItem, machines: Machines, name: str) -> None:
    from tallystick.testing.fuzzing.conformance_walk import side_by_side

    found = side_by_side(machines[name], seed=item.number("seed", 0) or 0)
    if found is not None:
        raise PageTestFailed(found)


PAGE_TESTS: Mapping[str, Callable[[PageItem, Machines, str], None]] = {
    "check": _check, "fuzz": _fuzz, "crash": _crash, "conformance": _conformance,
}  # fmt: skip

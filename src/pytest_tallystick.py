"""The door for pytest to `tallystick.testing`: options, and nothing else until one of them is used.

pytest imports the entry points of every installed plugin. So this file is outside the package and imports nothing of
it. Without `--tallystick`, or `tallystick =` in the configuration, it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Hooks:
    """Functions that a `conftest.py` may have."""

    @pytest.hookspec
    def pytest_tallystick_invariants(self, machine: str) -> list[Callable[..., object]] | None:
        """Functions that look at all entities. If these are wrong, they raise, or return False or a sentence."""

    @pytest.hookspec(firstresult=True)
    def pytest_tallystick_store(self, machine: str) -> Callable[[], Any] | None:
        """A function that makes a new store for every fuzzed story, instead of one in memory."""


NUMBERS = {
    "examples": "how many stories the fuzz test of each machine writes (default: 100)",
    "seed": "the same seed, the same stories (default: 0)",
    "depth": "bounds the search of the model checker",
    "points": "at how many points of each machine's stories the crash test kills a process (default: 40)",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tallystick", "machines that know about money")
    group.addoption("--tallystick", action="append", default=[], metavar="PATH", dest="tallystick_paths",
                    help="test the machines in this folder or file: check, fuzz, crash, conformance")  # fmt: skip
    parser.addini("tallystick", "folders of machines to be tested", type="paths", default=[])
    for name, says in NUMBERS.items():
        group.addoption(f"--tallystick-{name}", type=int, default=None, help=says)
        parser.addini(f"tallystick_{name}", says, default="")
    group.addoption("--tallystick-prove", action="store_true", default=None, help="check by proof too")
    parser.addini("tallystick_prove", "check by proof too", type="bool", default=False)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    given = [Path(config.invocation_params.dir, path) for path in config.getoption("tallystick_paths")]
    declared = [Path(path) for path in config.getini("tallystick")]
    if not given and not declared:
        return
    from tallystick.testing.plugin import Plugin

    config.pluginmanager.register(Plugin(config, given, declared), "tallystick-machines")

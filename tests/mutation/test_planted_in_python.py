"""Faults planted in the core's Python, each in a copy of its own: the tests of the core have to fail on every one.

A suite that passes on a wrong core proves nothing about a right one. The copy without a fault passes them all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults import ENGINE, FAULTS, GUARDS, Fault

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.mutation]
FAILED = 1  # pytest's word for: ran, and a test failed. Anything above means that it did not run


def outcome_of(source: Path, files: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Runs our tests on the package in `source`, up to the first that fails."""
    paths = [str(ROOT / "tests" / name) for name in files]
    plain = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:pytest_cov",
        "-m",
        "",
        "--hypothesis-profile",
        "unshrunk",
    ]
    known = {
        **os.environ,
        "PYTHONPATH": str(source),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(source),
    }
    command = [sys.executable, "-m", "pytest", *plain, "--rootdir", str(ROOT), *paths]
    return subprocess.run(command, env=known, capture_output=True, text=True, timeout=300, check=False)


def copied(folder: Path) -> Path:
    """The package and its machines, as they stand in a checkout; the folder to import from."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "machines", folder / "machines")
    return folder / "src"


def test_without_a_fault_they_pass(tmp_path: Path) -> None:
    done = outcome_of(copied(tmp_path), tuple(dict.fromkeys([*GUARDS, "test_properties.py", *ENGINE])))
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_it_is_found(fault: Fault, tmp_path: Path) -> None:
    source = copied(tmp_path)
    file = source / "tallystick" / fault.file
    text = file.read_text(encoding="utf-8")
    assert text.count(fault.old) == 1, f"{fault.old!r} stands {text.count(fault.old)} times in {fault.file}"
    file.write_text(text.replace(fault.old, fault.new), encoding="utf-8")

    done = outcome_of(source, fault.by)
    assert done.returncode == FAILED, done.stdout[-2000:]

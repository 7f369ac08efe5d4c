"""A copy of the package with a fault in it, and our tests run on that copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAILED = 1  # pytest's word for: ran, and a test failed. Anything above means that it did not run
PLAIN = [
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-p",
    "no:pytest_cov",
    "--hypothesis-profile",
    "unshrunk",
]


def copied(folder: Path) -> Path:
    """The package and its machines, as they stand in a checkout; the folder to import from."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "machines", folder / "machines")
    return folder / "src"


def outcome_of(source: Path, files: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Runs our tests on the package in `source`, up to the first that fails. Raises: subprocess.TimeoutExpired."""
    known = {
        **os.environ,
        "PYTHONPATH": str(source),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(source),
    }
    paths = [str(ROOT / "tests" / name) for name in files]
    command = [sys.executable, "-m", "pytest", *PLAIN, "-m", "", "--rootdir", str(ROOT), *paths]
    return subprocess.run(command, env=known, capture_output=True, text=True, timeout=300, check=False)

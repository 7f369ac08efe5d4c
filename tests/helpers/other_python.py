"""A Python in an environment of its own, with somebody else's package: ours has to work without it."""

from __future__ import annotations

import os
import subprocess
import sys
from tempfile import mkdtemp

import pytest


def python_with(package: str) -> str:
    """The Python that PACKAGE_PYTHON names, or one that is made now. Skips the test if the package cannot be installed."""
    if given := os.environ.get(f"{package.upper()}_PYTHON"):
        return given
    folder = mkdtemp(prefix=f"{package}-")
    python = f"{folder}/bin/python"
    for command in ([sys.executable, "-m", "venv", folder], [python, "-m", "pip", "install", "-q", package]):
        done = subprocess.run(command, capture_output=True, encoding="utf-8")
        if done.returncode:
            pytest.skip(f"{package} cannot be installed here: {done.stderr.strip().splitlines()[-1]:.200}")
    return python

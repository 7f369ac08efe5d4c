"""What holds for every test.

The width of a terminal is for the test to say, not for whoever started it. Pages that were read once are kept for all
processes of a run. The folders of tests are in memory, where there is room: a commit waits for no disk then. Nothing
that is said or raised shows a secret of a sandbox (`leaks`).
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

os.environ.pop("COLUMNS", None)
pytest_plugins = ["leaks", "on_postgres"]
# How long an example takes depends on what else the machine does. "unshrunk": where that it fails is all one asks.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("unshrunk", settings.get_profile("ours"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("ours")

MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes; a whole run needs a part of it
MADE = pytest.StashKey[list[str]]()  # folders of this run


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Most tests read the same pages. Hundreds of spoilt ones are nothing to keep in somebody's home.

    Only the process that was started makes folders. Its workers get their part of them from xdist: a worker that named
    one folder for all would empty it under the others.
    """
    if hasattr(config, "workerinput"):
        return
    pages = os.environ["TALLYSTICK_CACHE"] = tempfile.mkdtemp(prefix="tallystick-pages-")
    config.stash[MADE] = [pages]
    if config.option.basetemp is None and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        config.option.basetemp = tempfile.mkdtemp(prefix="tallystick-tests-", dir=MEMORY)
        config.stash[MADE].append(config.option.basetemp)


def pytest_unconfigure(config: pytest.Config) -> None:
    for folder in config.stash.get(MADE, []):
        shutil.rmtree(folder, ignore_errors=True)

"""What holds for every test.

The width of a terminal is for the test to say, not for whoever started it. Pages that were read once are kept for all
processes of a run. Nothing that is said or raised shows a secret of a sandbox (`leaks`).
"""

import os
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, Phase, settings

os.environ.pop("COLUMNS", None)
pytest_plugins = ["leaks"]
# How long an example takes depends on what else the machine does. "unshrunk": where that it fails is all one asks.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("unshrunk", settings.get_profile("ours"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("ours")

PAGES = pytest.StashKey[str]()  # the folder where the run keeps the pages it has read


def pytest_configure(config: pytest.Config) -> None:
    """Most tests read the same pages. Hundreds of spoilt ones are nothing to keep in somebody's home."""
    if not hasattr(config, "workerinput"):  # workers of xdist get the environment of who starts them
        config.stash[PAGES] = os.environ["TALLYSTICK_CACHE"] = tempfile.mkdtemp(prefix="tallystick-pages-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if PAGES in config.stash:
        shutil.rmtree(config.stash[PAGES], ignore_errors=True)

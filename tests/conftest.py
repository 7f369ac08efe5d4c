"""What holds for every test: the width of a terminal is the test's to say, not that of whoever started it; and nothing
that is said or raised shows a secret of a sandbox (`leaks`)."""

import os

from hypothesis import Phase, settings

os.environ.pop("COLUMNS", None)
pytest_plugins = ["leaks"]
settings.register_profile("unshrunk", phases=[Phase.explicit, Phase.generate])  # where that it fails is all one asks

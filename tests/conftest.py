"""What holds for every test: the width of a terminal is the test's to say, not that of whoever started it."""

import os

from hypothesis import Phase, settings

os.environ.pop("COLUMNS", None)
settings.register_profile("unshrunk", phases=[Phase.explicit, Phase.generate])  # where that it fails is all one asks

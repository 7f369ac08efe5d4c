"""What holds for every test: the width of a terminal is the test's to say, not that of whoever started it."""

import os

os.environ.pop("COLUMNS", None)

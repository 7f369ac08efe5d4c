"""Two recoverers at once and a clock that jumps: a sample ends well, and a recoverer that does not look would be seen."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from itertools import islice
from random import Random

from tallystick.testing.faults.recovery_races import clock_jumps


def test_a_sample_of_races_and_jumps_ends_in_the_same_books() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tallystick.testing.faults", "recovery-races",
         "--json", "--races", "10", "--jumps", "2", "--story", "covered"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert (done.returncode, said["findings"]) == (0, []), done.stderr
    assert said["races"] == 10
    assert said["races about a call"] >= 5
    assert said["jumps backward"] >= 2


def test_the_clock_jumps_far_and_never_before_the_beginning() -> None:
    taken: list[timedelta] = []
    jumps = list(islice(clock_jumps(Random(1), taken), 200))
    assert jumps == taken
    assert max(jumps) > timedelta(days=3000)
    assert min(jumps) < -timedelta(days=3000)
    assert min(sum(jumps[:number], timedelta()) for number in range(1, 201)) >= timedelta()

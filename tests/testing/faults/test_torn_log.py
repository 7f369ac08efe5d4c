"""The torn-log harness: a sample of tears ends well, every kind of tear tears, and what would be lost is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from tallystick.testing.faults import torn_log as torn
from tallystick.testing.faults.our_stories import STEPS, stories
from tallystick.testing.faults.torn_log import FRAME_HEAD, HEAD, TEARS, intact, tears, torn_logs

PAGE = 512
LOG = (
    bytes(8)
    + PAGE.to_bytes(4, "big")
    + bytes(range(1, 21))
    + bytes(1 + n % 251 for n in range(3 * (FRAME_HEAD + PAGE)))
)
SHORT = attrs.evolve(stories()[0], name="short", steps=STEPS["in one step"][:2])


def test_every_frame_is_torn_at_its_border_and_around_it() -> None:
    cuts = {tear.at for tear in tears(LOG) if tear.how == "cut"}
    for frame in range(HEAD, len(LOG), FRAME_HEAD + PAGE):
        assert {frame - 1, frame, frame + 1, frame + FRAME_HEAD, frame + FRAME_HEAD + PAGE // 2} <= cuts
    assert {tear.how for tear in tears(LOG)} == set(TEARS)


@pytest.mark.parametrize("how", sorted(TEARS))
def test_a_tear_leaves_what_is_before_it_and_not_what_is_after(how: str) -> None:
    for tear in [each for each in tears(LOG) if each.how == how]:
        damaged = TEARS[how](LOG, tear.at)
        left = intact(LOG, damaged, tear.at)
        assert damaged[:left] == LOG[:left]
        assert left >= tear.at
        assert left == tear.at or how == "an old frame" or how.startswith("rubbish")
        assert damaged != LOG or how == "an old frame"


def test_a_sample_of_torn_logs_ends_in_the_same_books() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tallystick.testing.faults", "torn-log", "--json", "--tears", "30", "--story", "covered"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert (done.returncode, said["findings"]) == (0, []), done.stderr
    assert said["torn logs"] == 30
    assert said["run on to the end"] >= 20


def test_commits_that_are_not_in_the_log_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that holds its own commits back: what it has acknowledged is not there after a tear."""
    lay_out = torn._TornLogs._lay_out

    def one_commit_less(self: torn._TornLogs, folder: Path, log: bytes, number: int) -> None:
        lay_out(self, folder, log, number)
        if number > 1:
            (folder / torn.WAL).write_bytes(log[: self._moments[number].log - 1])

    monkeypatch.setattr(torn._TornLogs, "_lay_out", one_commit_less)
    found = torn_logs(SHORT, 12).findings
    assert any("the books are not those of that commit, but of commit" in each for each in found)
    assert any("but the journal does not have it" in each for each in found)

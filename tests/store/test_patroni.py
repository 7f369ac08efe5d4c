"""The recipe for high availability, as it stands: etcd and Patroni on this machine, and a leader that is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DRILL = Path(__file__).resolve().parents[2] / "examples/high_availability/drill.py"
MISSING = 77


def test_a_switchover_and_a_killed_leader_lose_nothing_and_double_nothing() -> None:
    drill = [sys.executable, str(DRILL), "--fail", "server", "--json"]
    done = subprocess.run(drill, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == MISSING:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    said = json.loads(done.stdout)
    assert said["findings"] == []
    assert said["commands acknowledged"] > 800  # before, between and after
    assert said["times a writer heard StoreError"] > 0  # they did notice

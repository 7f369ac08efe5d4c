"""Many due settlements at a sandbox with faults, while a worker is killed again and again: see `fleet_proof`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_proof import prove
from postgres_books import postgres_url


@pytest.mark.slow
def test_each_settlement_is_done_once_and_in_order_though_workers_are_killed(tmp_path: Path) -> None:
    with postgres_url() as url:
        found = prove(url, tmp_path, cards=12, due=120, workers=4, longest=120)
    assert found.faults == []
    assert found.killed > 2

"""Many due settlements at a sandbox with faults, while a worker is killed again and again: see `fleet_proof`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fleet_drivers import DRIVERS
from fleet_proof import prove
from postgres_books import postgres_url
from tallystick.engine.queue import queue


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_each_settlement_is_done_once_and_in_order_though_workers_are_killed(
    driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "BACKOFF", timedelta(seconds=1))  # what is put off waits half a minute else
    with postgres_url() as url:
        found = prove(url, tmp_path, cards=12, due=120, workers=4, longest=120, driver=DRIVERS[driver])
    assert found.faults == []
    assert found.killed > 2

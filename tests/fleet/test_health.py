"""What a worker tells of itself, and that it tells no card number."""

from __future__ import annotations

import io
import json
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from fleet_world import Fleet, Remote
from tallystick.errors import Invalid, StoreError
from tallystick.fleet.health import STALLED, health, logged, metrics, served

NUMBER = "6006491234567890"


@pytest.fixture
def fleet() -> Fleet:
    made = Fleet("memory:", Remote())
    made.ship(2)
    return made


def values(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")}


def test_metrics_count_what_waits_and_what_was_done(fleet: Fleet) -> None:
    assert isinstance(fleet.provider, Remote)
    fleet.provider.replies = {"c0": ["lost_after"], "c1": ["declined"], "c2": ["unavailable"]}
    fleet.books.settle("p3", "1.00", key="later", due=fleet.now + timedelta(hours=1))
    worker = fleet.worker()
    before = values(metrics(worker))
    assert (before['tallystick_queue{state="waiting"}'], before["tallystick_due"]) == (9, 8)
    assert before['tallystick_queue{state="dated"}'] == 0
    assert before["tallystick_oldest_due_seconds"] == 24 * 60 * 60
    worker.drain()
    after = values(metrics(worker))
    assert {name: value for name, value in after.items() if value} == {
        'tallystick_queue{state="waiting"}': 3, 'tallystick_queue{state="declined"}': 1, "tallystick_due": 1,
        "tallystick_oldest_due_seconds": 24 * 60 * 60 - 1, 'tallystick_calls_in_doubt{for="recovery"}': 1,
        'tallystick_commands_total{result="applied"}': 4, 'tallystick_commands_total{result="declined"}': 1,
        'tallystick_commands_total{result="in_doubt"}': 1, 'tallystick_commands_total{result="unavailable"}': 1,
    }  # fmt: skip
    fleet.now += timedelta(minutes=2)
    worker.recover()
    assert values(metrics(worker))['tallystick_recovered_total{result="applied"}'] == 1


def test_metrics_are_prometheus_text(fleet: Fleet) -> None:
    lines = metrics(fleet.worker()).splitlines()
    assert all(re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="\w+"\})? [0-9.e+]+', line) for line in lines)
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {re.split(r"[{ ]", line)[0] for line in lines if line[0] != "#"} <= named


def test_both_pages_are_served(fleet: Fleet) -> None:
    with served(fleet.worker("me"), "127.0.0.1", 0) as url:
        with urllib.request.urlopen(f"{url}/healthz") as answer:
            assert json.load(answer)["worker"] == "me"
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert values(answer.read().decode())["tallystick_due"] == 8
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url)


def test_where_nothing_can_be_served_it_is_said(fleet: Fleet) -> None:
    with served(fleet.worker("me"), "127.0.0.1", 0) as url:
        port = int(url.rsplit(":", 1)[1])
        with pytest.raises(Invalid, match=f"served at port {port} of 127.0.0.1: Address already in use; port 0"):
            served(fleet.worker("other"), "127.0.0.1", port).__enter__()
    with served(fleet.worker("other"), "127.0.0.1", port) as again:
        assert again == url, "and at once, after the other has stopped"
    with pytest.raises(Invalid, match=r"of nowhere\.invalid: "):
        served(fleet.worker("me"), "nowhere.invalid", 0).__enter__()


def test_a_worker_without_progress_or_books_is_not_well(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = fleet.worker()
    assert health(worker)[0]
    worker.counts.looked -= STALLED
    assert not health(worker)[0]
    worker.drain()
    assert health(worker)[0]

    @contextmanager
    def away() -> Iterator[Any]:
        raise StoreError(f"nobody is there, not even {NUMBER}")
        yield

    monkeypatch.setattr(worker.engine.store, "reading", away)
    well, said = health(worker)
    assert not well
    assert said["store"] == "nobody is there, not even …"
    with served(worker, "127.0.0.1", 0) as url:
        for page in ("healthz", "metrics"):
            with pytest.raises(urllib.error.HTTPError, match="503") as refused:
                urllib.request.urlopen(f"{url}/{page}")
            assert NUMBER not in refused.value.read().decode()


def test_each_event_is_a_line_of_json_without_card_numbers() -> None:
    stream, log = io.StringIO(), logging.getLogger("tallystick.fleet")
    with logged(stream, "info"):
        log.info(
            "command not done", extra={"id": NUMBER, "key": "o-1/ship", "why": f"card {NUMBER} is away", "count": 3}
        )
        log.info("serving", extra={"url": "http://127.0.0.1:46721"})
        log.debug("not heard")
        try:
            raise ValueError(NUMBER)
        except ValueError as error:
            log.error("failed", exc_info=error)
    log.error("not heard any more")
    first, serving, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("at").endswith("Z")
    assert first == {
        "level": "info", "event": "command not done", "id": "…7890", "key": "o-1/ship", "why": "card … is away",
        "count": 3,
    }  # fmt: skip
    assert serving["url"] == "http://127.0.0.1:46721", "an address is no card number"
    assert "ValueError: …" in second["error"]
    assert NUMBER not in stream.getvalue()


def test_a_worker_logs_what_it_did(fleet: Fleet) -> None:
    assert isinstance(fleet.provider, Remote)
    fleet.provider.replies = {"c1": ["declined"]}
    stream = io.StringIO()
    with logged(stream, "info"):
        fleet.worker().drain()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sum(line.get("commands", 0) for line in lines) == 8
    (declined,) = [line for line in lines if line["level"] == "warning"]
    assert (declined["key"], declined["result"], declined["machine"]) == ("ship1/0", "declined", "payment")

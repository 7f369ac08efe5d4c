"""The sandbox over real HTTP: paths, connections that break, many threads, kill -9 and start again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

httpx2 = pytest.importorskip("httpx2")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from tallystick.clutch.sandbox import CardSet, Sandbox  # noqa: E402
from tallystick.clutch.sandbox.server import Server  # noqa: E402

USD = {"balanceType": "Currency", "balanceCode": "USD"}
SETS: dict[str, int | CardSet] = {"EGIFT": 200, "PLASTIC": CardSet(2, physical=True)}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Sandbox(card_sets=SETS, seed=2) as sandbox, Server(sandbox) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with httpx2.Client(base_url=server.url, headers=server.sandbox.headers(), timeout=5) as opened:
        yield opened


def issue(client: Any, number: str, amount: float, **headers: str) -> Any:
    body = {"cardNumber": number, "action": "issue", "amount": {**USD, "amount": amount}}
    return client.post("/merchant/updateBalance", json=body, headers=headers)


def new_card(client: Any) -> str:
    return str(client.post("/merchant/allocate", json={"cardSetId": "EGIFT"}).json()["cardNumber"])


def test_both_paths_and_any_content_type(client: Any) -> None:
    for path in ("/merchant/search", "/search"):
        for kind in ("application/json", "application/x-www-form-urlencoded", "", "nonsense"):
            answer = client.post(path, content=b'{"filters":{}}', headers={"Content-Type": kind})
            assert (answer.status_code, answer.json()["cards"]) == (200, [])
            assert answer.headers["content-type"] == "application/json; charset=utf-8"
            assert answer.headers["access-control-allow-origin"] == "*"
    assert client.post("/merchant/nonsense", json={}).json()["errorCode"] == 9022
    assert client.get("/merchant/search").json()["success"] is False
    assert client.options("/merchant/search").headers["access-control-request-method"] == "POST, GET, OPTIONS"
    assert client.post("/search", json={}, auth=("a", "b")).status_code == 401


def test_lost_means_a_connection_closed_without_a_byte(client: Any, server: Server) -> None:
    number = new_card(client)
    for fault, available in (("lost_before", {}), ("lost_after", {"USD": 500})):
        with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
            issue(client, number, 5, **{"x-sandbox-fault": fault})
        assert server.sandbox.balances(number) == available
    assert issue(client, number, 5).status_code == 200


def test_truncated_breaks_off_after_the_headers(client: Any, server: Server) -> None:
    number = new_card(client)
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
        issue(client, number, 5, **{"x-sandbox-fault": "truncated"})
    assert server.sandbox.balances(number) == {"USD": 500}


def test_slow_outlasts_a_read_timeout_though_the_work_is_done(client: Any, server: Server) -> None:
    number = new_card(client)
    client.timeout = 0.1
    with pytest.raises(httpx2.ReadTimeout):
        issue(client, number, 5, **{"x-sandbox-fault": "slow:600ms"})
    assert server.sandbox.balances(number) == {"USD": 500}
    assert issue(client, number, 5).status_code == 200


def test_other_faults_are_plain_answers(client: Any) -> None:
    number = new_card(client)
    seen = {
        fault: issue(client, number, 5, **{"x-sandbox-fault": fault}).status_code
        for fault in ("500_before", "500_after", "429", "broken_json", "duplicate", "wrong_currency")
    }
    assert list(seen.values()) == [500, 500, 429, 200, 200, 200]


def test_the_operator_looks_in(client: Any) -> None:
    number = new_card(client)
    issue(client, number, 5)
    assert client.get("/sandbox/spend", params={"number": number, "minor": 200}).status_code == 200
    assert client.get("/sandbox/dump").json()["cards"][number]["balances"] == {"USD": 300}
    assert client.get("/sandbox/audit").json() == []
    plastic = client.get("/sandbox/inventory", params={"card_set": "PLASTIC"}).json()
    assert [len(card["pin"]) for card in plastic] == [4, 4]
    assert client.get("/sandbox/spend", params={"number": number, "minor": 301}).status_code == 400
    assert client.get("/sandbox/inventory").status_code == 400
    assert client.get("/sandbox/nonsense").status_code == 400
    assert client.get("/sandbox/dump", auth=("a", "b")).status_code == 401


def test_many_threads_on_one_card_add_up(client: Any, server: Server) -> None:
    number = new_card(client)

    def work() -> None:
        for _ in range(40):
            assert issue(client, number, 0.25).status_code == 200

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.sandbox.balances(number) == {"USD": 4000}
    assert server.sandbox.audit() == []


def test_threads_in_process_add_up() -> None:
    with Sandbox(card_sets={"EGIFT": 1}) as sandbox:
        number = sandbox.post("allocate", {"cardSetId": "EGIFT"}).json()["cardNumber"]
        body = {"cardNumber": number, "action": "issue", "amount": {**USD, "amount": 1}}
        threads = [
            threading.Thread(target=lambda: [sandbox.post("updateBalance", body) for _ in range(50)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sandbox.balances(number) == {"USD": 20_000}


def start(*options: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    command = [sys.executable, "-m", "tallystick.clutch.sandbox", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return process, json.loads(line)


def connect(known: dict[str, str]) -> Any:
    headers = {name: known[name] for name in ("brand", "location", "terminal")}
    return httpx2.Client(base_url=known["url"], headers=headers, auth=(known["api_key"], known["api_secret"]))


def test_killed_and_started_again_it_has_the_same_books(tmp_path: Path) -> None:
    options = ["--port", "0", "--card-set", "EGIFT:10", "--card-set", "PLASTIC:2:physical", "--seed", "4"]
    options += ["--state", str(tmp_path / "books.db"), "--set", "hold_above_available=partial"]
    process, known = start(*options)
    assert list(known) == ["url", "api_key", "api_secret", "brand", "location", "terminal"]
    with connect(known) as client:
        number = new_card(client)
        issue(client, number, 12.5)
        hold = {"cardNumber": number, "action": "hold", "amount": {**USD, "amount": 20}}
        held = client.post("/updateBalance", json=hold).json()["transactionId"]
        before = client.get("/sandbox/dump").json()
        pin = client.get("/sandbox/inventory", params={"card_set": "EGIFT"}).json()[0]["pin"]
        os.kill(process.pid, signal.SIGKILL)
    said = "".join(process.communicate())
    assert said == ""

    process, again = start(*options)
    assert {**again, "url": ""} == {**known, "url": ""}
    with connect(again) as client:
        assert client.get("/sandbox/dump").json() == before
        redeem = {"cardNumber": number, "action": "redeem", "redeemFromHoldTransactionId": held}
        answer = client.post("/updateBalance", json={**redeem, "amount": {**USD, "amount": 12.5}})
        assert answer.json()["success"] is True
    process.terminate()
    said = "".join(process.communicate())
    assert pin not in said
    assert said == ""


def test_killed_in_the_middle_of_work_it_keeps_every_answered_request(tmp_path: Path) -> None:
    options = ["--card-set", "EGIFT:10", "--state", str(tmp_path / "books.db")]
    process, known = start(*options)
    with connect(known) as client:
        numbers = [new_card(client) for _ in range(3)]
    answered = dict.fromkeys(numbers, 0)

    def work(number: str) -> None:
        with connect(known) as mine, contextlib.suppress(httpx2.HTTPError):
            while True:
                assert issue(mine, number, 0.01).status_code == 200
                answered[number] += 1

    threads = [threading.Thread(target=work, args=[number]) for number in numbers]
    for thread in threads:
        thread.start()
    while min(answered.values()) < 20:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    process.communicate()

    with Sandbox(state=tmp_path / "books.db") as again:
        assert again.audit() == []
        for number, count in answered.items():
            assert again.balances(number)["USD"] - count in (0, 1)


def test_options_that_cannot_be_read() -> None:
    """Of its own module; `tallystick sandbox` reads the same ones and has a test of each."""
    command = [sys.executable, "-m", "tallystick.clutch.sandbox", "--faults", "nonsense=1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "error:" in done.stderr

"""`tallystick checkout` against a sandbox over HTTP: one stage and two, a lost answer, and how it is used wrongly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tallystick as library
from tallystick.cli.main import main
from tallystick.clutch.environment import variable
from tallystick.clutch.sandbox import Faults, Sandbox, Settings
from tallystick.clutch.settings import ACCESS

pytest.importorskip("httpx2")

Run = Callable[..., Result]
BASKET: dict[str, Any] = {
    "id": "basket-1", "order": "o-9", "currency": "USD", "total": "5.00", "card": "c1",
    "products": [{"sku": "shoe", "quantity": 1, "price": "3.00"}, {"sku": "sock", "quantity": 2, "price": "1.00"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[tuple[Sandbox, dict[str, str]]]:
    """In a program that redeems at checkout."""
    from tallystick.clutch.sandbox.server import Server

    program = Settings(checkout_redeems=True, checkout_lookup_shows_products=True)
    with Sandbox(program, {"GIFT": 20}, seed=8) as books, Server(books) as server:
        known = {**server.connection(), "base_url": f"{server.url}/merchant"}
        yield books, {variable(name): known[name] for name in ACCESS}


@pytest.fixture
def number(sandbox: tuple[Sandbox, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of card c1, which carries 50.00."""
    url = f"sqlite:///{tmp_path}/books.db"
    for name, value in {**sandbox[1], "TALLYSTICK_STORE": url, "TALLYSTICK_PROVIDER": "clutch"}.items():
        monkeypatch.setenv(name, value)
    with library.open(url, provider="clutch") as books:
        sale = books.sell_electronic("c1", "50.00", "USD", order="o", key="s", card_set="GIFT")
    return str(sale.number)


@pytest.fixture
def run(number: str, tmp_path: Path) -> Run:
    def checkout(*args: str, code: int = 0, stdin: str = "", basket: object = BASKET) -> Result:
        file = tmp_path / "basket.json"
        file.write_text(json.dumps(basket).replace("basket-1", tmp_path.name))  # an id of its own in each test
        words = [str(file) if each == "BASKET" else each for each in args]
        result = CliRunner().invoke(main, ["checkout", *words], input=stdin)
        assert result.exit_code == code, result.output
        assert number not in result.output
        return result

    return checkout


def told(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_basket_is_set_up_completed_and_read(run: Run, number: str, sandbox: tuple[Sandbox, dict[str, str]]) -> None:
    set_up = told(run("BASKET", "--set-up", "--json"))
    assert (set_up["result"], set_up["card"], set_up["changes"][0]["amount"]) == ("set_up", f"…{number[-4:]}", "-5.00")
    assert sandbox[0].balances(number) == {"USD": 5000}
    done = told(run("BASKET", "--complete", set_up["transaction"], "--json"))
    assert (done["result"], sandbox[0].balances(number)) == ("confirmed", {"USD": 4500})
    read = told(run("--read", done["transaction"], "--json"))
    assert [(each["sku"], each["price"]) for each in read["bought"]] == [("shoe", "3.00"), ("sock", "1.00")]


def test_a_basket_in_one_stage_for_people(run: Run, number: str, sandbox: tuple[Sandbox, dict[str, str]]) -> None:
    text = run("BASKET").stdout
    assert "checked out; transaction" in text
    assert ["-5.00", "USD", "discount"] in [line.split() for line in text.splitlines()]
    by_number = {**BASKET, "id": "basket-2", "card": number}
    assert told(run("BASKET", "--json", basket=by_number))["card"] == f"…{number[-4:]}"
    anonymous = {**{name: each for name, each in BASKET.items() if name != "card"}, "id": "basket-3"}
    assert "no balance changes" in run("-", stdin=json.dumps(anonymous)).stdout
    assert sandbox[0].balances(number) == {"USD": 4000}


def test_a_wrong_pin_and_a_right_one(run: Run, number: str, sandbox: tuple[Sandbox, dict[str, str]]) -> None:
    pin = str(sandbox[0].pin(number))
    wrong = "0000" if pin != "0000" else "0001"
    declined = told(run("BASKET", "--pin-stdin", "--json", stdin=f"{wrong}\n", code=1))
    assert (declined["result"], declined["code"]) == ("declined", "10")
    assert pin not in run("BASKET", "--pin-stdin", stdin=f"{pin}\n").output


def test_a_lost_answer_is_looked_up(
    run: Run, number: str, sandbox: tuple[Sandbox, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sandbox[0], "faults", Faults.parse("lost_after=1"))
        lost = told(run("BASKET", "--json", code=1))
    assert (lost["result"], sandbox[0].balances(number)) == ("unknown", {"USD": 4500})
    assert "it may still be on its way" in run("BASKET", "--look-up", lost["look_up"], code=1).stdout
    asked = datetime.now(timezone.utc) - timedelta(seconds=60)
    found = told(run("BASKET", "--look-up", f"{asked:%FT%TZ}", "--json"))
    assert (found["result"], found["bought"][1]["quantity"]) == ("confirmed", "2")
    other = run("BASKET", "--look-up", f"{asked:%FT%TZ}", "--other", found["transaction"], code=1).stdout
    assert "not seen" in other


@pytest.mark.parametrize(
    ("args", "basket", "code", "says"),
    [
        ((), BASKET, 2, "give a BASKET"),
        (("BASKET", "--set-up", "--complete", "x"), BASKET, 2, "give a BASKET"),
        (("BASKET", "--read", "x"), BASKET, 2, "give a BASKET"),
        (("BASKET", "--provider", "scripted"), BASKET, 1, "scripted"),
        (("BASKET",), [], 1, "a basket is a JSON object"),
        (("BASKET",), {**BASKET, "total": 5.0}, 1, "total of the basket is text"),
        (("BASKET",), {**BASKET, "products": [{"sku": "a", "quantity": "1", "price": "1.00"}]}, 1, "whole number"),
        (("BASKET",), {**BASKET, "price": "1"}, 1, "a basket has no price"),
        (("BASKET",), {**BASKET, "card": "nobody"}, 1, "nothing with the id or card number 'nobody'"),
        (("BASKET", "--look-up", "yesterday"), BASKET, 1, "--look-up is not an ISO time"),
    ],
)
def test_how_it_is_used_wrongly(run: Run, args: tuple[str, ...], basket: object, code: int, says: str) -> None:
    assert says in run(*args, basket=basket, code=code).output


def test_stdin_has_one_thing(run: Run) -> None:
    assert "stdin has either" in run("-", "--pin-stdin", stdin="1234\n{}", code=2).output
    assert "the basket is no JSON" in run("-", stdin="{", code=1).output

"""No card number is in a foreign text that is kept or shown, whatever stands between its digits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from clutch_world import World
from tallystick.clutch.transport import Answer, Lost, NotSent
from tallystick.engine.engine import Engine
from tallystick.engine.owner import adopt
from tallystick.engine.receipt import Command
from tallystick.engine.sealing import SealedNumbers, new_key
from tallystick.masks import quoted, redacted
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Result
from tallystick.store.open import open_store

NUMBER = "4831403950302810"


def in_groups(between: str, size: int = 4) -> Callable[[str], str]:
    return lambda number: between.join(number[at : at + size] for at in range(0, len(number), size))


WAYS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "blanks": in_groups(" "),
    "dashes": in_groups("-"),
    "dots": in_groups("."),
    "slashes": in_groups(" / "),
    "no-break blanks": in_groups("\N{NO-BREAK SPACE}"),
    "narrow blanks": in_groups("\N{NARROW NO-BREAK SPACE}"),
    "no width": in_groups("\N{ZERO WIDTH SPACE}", 1),
    "a long dash": in_groups(" \N{EM DASH} "),
    "line breaks": in_groups("\r\n"),
    "brackets": in_groups(")(", 3),
    "low lines": in_groups("_"),
    "full width": lambda number: "".join(chr(ord("０") + int(each)) for each in number),
    "Arabic": lambda number: "".join(chr(ord("٠") + int(each)) for each in number),
    "superscript": lambda number: number.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")),
    "leading zeros": lambda number: f"000{number}",
}
KNOWN_WAYS = {"letters": in_groups(" x "), "markup": in_groups("&nbsp;"), "tags": in_groups("</b><b>")}


def digits(text: str) -> str:
    """The digits of a text, as plain ones."""
    return "".join(str(int(each)) if each.isdecimal() else "" for each in text.translate(
        str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")))  # fmt: skip


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_number_is_found_in_whatever_way_it_is_written(way: Callable[[str], str]) -> None:
    assert redacted(f"card {way(NUMBER)}, sorry") in ("card …, sorry", "card 000…, sorry")
    assert redacted(f"card {way(NUMBER)}, sorry", [NUMBER], long_numbers=False) == "card …, sorry"


@pytest.mark.parametrize("way", KNOWN_WAYS.values(), ids=KNOWN_WAYS)
def test_one_that_is_known_is_found_among_letters_too(way: Callable[[str], str]) -> None:
    assert redacted(f"card {way(NUMBER)}, sorry", [NUMBER]) == "card …, sorry"


def test_what_is_no_number_stays() -> None:
    said = "30.00 USD of 20,000.00 on 2026-03-02, code 12345678"
    assert redacted(said, [NUMBER, "0281", ""]) == said
    assert redacted("PIN 0281 or 02-81, not 10281", ["0281"]) == "PIN … or …, not 10281"
    assert redacted("PIN ０２８１", ["0281"]) == "PIN …"
    assert redacted("Al called Alba, al", ["Al"]) == "… called Alba, …"
    assert redacted("as transaction 1234567890", keep=["1234567890"]) == "as transaction 1234567890"
    assert redacted("as transaction 1234567890", ["1234567890"], keep=["1234567890"]) == "as transaction …"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_number_that_was_taken_for_a_name_is_masked(way: Callable[[str], str]) -> None:
    assert digits(quoted(way(NUMBER))) == NUMBER[-len(digits(quoted(way(NUMBER)))) :]
    assert len(digits(quoted(way(NUMBER)))) <= 4


@pytest.fixture
def sealed(tmp_path: Path) -> World:
    world = World(store=open_store(f"sqlite:///{tmp_path / 'b.db'}"), numbers=SealedNumbers(new_key()))
    world.card("c1", "50.00")
    world.payment("p1")
    return world


def kept(tmp_path: Path) -> str:
    """All bytes of the books; what is no ASCII is in JSON as it is."""
    return b"".join(file.read_bytes() for file in tmp_path.iterdir()).decode("utf-8", "replace")


def number(world: World) -> str:
    return str(world.entity("gift_card", "c1").facts["number"])


Hook = Callable[[str, str], Answer]


def refusal(code: object, said: str, **more: object) -> Answer:
    answer = {"success": False, "errorCode": code, "errorMessage": said, **more}
    return Answer(400, json.dumps(answer).encode())


def lost(method: str, said: str) -> Answer:
    raise Lost(said)


def unsent(method: str, said: str) -> Answer:
    raise NotSent(said)


HOOKS: dict[str, Hook] = {
    "in the text": lambda method, said: refusal(7, f"Card {said} is not valid", requestRef="r"),
    "in the code": lambda method, said: refusal(said, "no", requestRef="r"),
    "in the request": lambda method, said: refusal(7, "no", requestRef=said),
    "in the transaction": lambda method, said: Answer(
        200, json.dumps({"success": True, "transactionId": said, "requestRef": said}).encode()
    ),
    "in what is strange": lambda method, said: Answer(
        200, json.dumps({"success": True, "transactionId": said, "cardNumber": "1"}).encode()
    ),
    "on the way": lost,
    "not on the way": unsent,
}


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
@pytest.mark.parametrize("way", ["plain", "dashes", "no-break blanks", "full width"])
def test_no_answer_brings_a_number_into_sealed_books(
    sealed: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str, hook: Hook
) -> None:
    caplog.set_level(0)
    said = WAYS[way](number(sealed))

    class Saying:
        def send(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
            return hook(method, said)

        def close(self) -> None: ...

    sealed.provider._transport = Saying()
    receipt = sealed.do("payment", "p1", "authorize", amount="10.00", pin="1234")
    assert not receipt.applied
    sealed.clock.on(hours=1)
    sealed.engine.recover()
    for text in (kept(tmp_path), repr(receipt), receipt.why, caplog.text):
        assert said not in text
        assert number(sealed) not in text


PROVIDERS: dict[str, Callable[[str], Any]] = {
    "text": lambda said: Outcome(Result.DECLINED, text=f"no: {said}"),
    "code": lambda said: Outcome(Result.UNAVAILABLE, code=said),
    "doubt": lambda said: Outcome(Result.UNKNOWN, text=f"what of {said}?"),
}


@pytest.mark.parametrize("answer", PROVIDERS.values(), ids=PROVIDERS)
@pytest.mark.parametrize("found", [Ambiguous, NotSeen])
def test_nor_does_any_other_provider(
    sealed: World, tmp_path: Path, answer: Callable[[str], Any], found: Callable[[str], Any]
) -> None:
    said = in_groups(" ")(number(sealed))

    class Another:
        name, local = "another", False

        def perform(self, call: Call) -> Outcome:
            outcome: Outcome = answer(said)
            return outcome

        def look_up(self, call: Call) -> Any:
            return found(f"2026-03-02 12:00:00 at 123456789, card {said}\nor {number(sealed)} \ud800")

    adopt(sealed.store, Another(), by="ann", reason="moved", at=sealed.clock())
    world = Engine(sealed.engine.machines, sealed.store, Another(), clock=sealed.clock, numbers=sealed.numbers)
    receipt = world.try_execute(Command("payment", "p1", "authorize", {"amount": "10.00"}, "k"))
    sealed.clock.on(hours=1)
    receipts = [receipt, *world.recover(), *world.recover()]
    assert all(said not in text and number(sealed) not in text for text in (kept(tmp_path), repr(receipts)))

"""Processes on the same books go easy on Clutch together; settings come from the environment; balances by one door."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

import tallystick
from clutch_world import settings_of
from tallystick.books.balance import BalanceSettings, Said
from tallystick.books.books import Books
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.request_limits import CircuitBreaker, LeakyBucket
from tallystick.clutch.sandbox import Sandbox
from tallystick.clutch.settings import ClutchSettings, Rule
from tallystick.clutch.transport import InProcess, NotSent
from tallystick.definition import reader
from tallystick.engine.receipt import Unavailable
from tallystick.errors import Invalid, MoneyError
from tallystick.money import Money
from tallystick.provider.protocol import Call, CardFacts, NotSeen, Outcome, Reason, Result, Sharing

SECRET = "hush-4711-secret"
ACCESS = {
    "CLUTCH_BASE_URL": "https://clutch.invalid/merchant", "CLUTCH_API_KEY": "k", "CLUTCH_API_SECRET": SECRET,
    "CLUTCH_BRAND": "b", "CLUTCH_LOCATION": "oms", "CLUTCH_TERMINAL": "t",
}  # fmt: skip
MACHINES = reader.load()


@pytest.fixture(autouse=True)
def _pages_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "load", lambda *folders: MACHINES)


class Line:
    """A transport that may be down."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.inner, self.down, self.sent = sandbox, InProcess(sandbox), False, 0

    def send(self, method: str, headers: Any, body: bytes) -> Any:
        if self.down:
            raise NotSent("down")
        self.sent += 1
        return self.inner.send(method, headers, body)

    def close(self) -> None: ...


def provider_of(line: Line, **more: Any) -> ClutchProvider:
    found = settings_of(line.sandbox, card_sets={"gift": "GIFT"}, breaker_failures=2, read_attempts=1)
    return ClutchProvider(attrs.evolve(found, **more), line)


def opened(path: Path, line: Line, **more: Any) -> Books:
    return tallystick.open(f"sqlite:///{path}", provider=provider_of(line, **more))


# --- One breaker, one bucket


def test_two_who_open_the_same_books_share_the_breaker(tmp_path: Path) -> None:
    with Sandbox(card_sets={"GIFT": 5}, seed=1) as sandbox:
        broken, whole = Line(sandbox), Line(sandbox)
        one, two = opened(tmp_path / "books.db", broken), opened(tmp_path / "books.db", whole)
        elsewhere = opened(tmp_path / "other.db", whole)
        with one, two, elsewhere:
            for books in (one, elsewhere):
                books.sell_electronic("c", "50.00", "USD", order="o", key="sale")
            broken.down = True
            for key in ("r1", "r2"):
                with pytest.raises(Unavailable, match="not reached"):
                    one.reload("c", "1.00", key=key)
            before = whole.sent
            with pytest.raises(Unavailable, match="so many failures"):
                two.reload("c", "1.00", key="r3")
            assert whole.sent == before
            assert elsewhere.reload("c", "1.00", key="r3").applied  # other books, another fleet
            assert two.card("c").available == Money(5000, "USD")


def test_a_bucket_is_one_for_all(tmp_path: Path) -> None:
    with Sandbox(card_sets={"GIFT": 5}, seed=1) as sandbox:
        slow = {"rate": 0.001, "burst": 4, "longest_wait": 0.0}
        one, two = (opened(tmp_path / "books.db", Line(sandbox), **slow) for _ in range(2))
        with one, two:
            one.sell_electronic("c", "50.00", "USD", order="o", key="sale")  # allocate and issue
            two.reload("c", "1.00", key="r1")
            one.reload("c", "1.00", key="r2")
            for books in (one, two):
                with pytest.raises(Unavailable, match="waiting for their turn"):
                    books.reload("c", "1.00", key=f"r{id(books)}")


def test_what_was_given_or_not_to_be_shared_stays(tmp_path: Path) -> None:
    with Sandbox(seed=1) as sandbox:
        bucket, breaker = LeakyBucket(1.0, 1), CircuitBreaker(1, 1.0)
        own = ClutchProvider(settings_of(sandbox), Line(sandbox), bucket=bucket, breaker=breaker)
        alone = provider_of(Line(sandbox), share_limits=False)
        kept = alone._bucket, alone._breaker
        for provider in (own, alone):
            assert isinstance(provider, Sharing)
            tallystick.open(f"sqlite:///{tmp_path / 'books.db'}", provider=provider).close()
        assert (own._bucket, own._breaker) == (bucket, breaker)
        assert (alone._bucket, alone._breaker) == kept


def test_processes_share_the_breaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by the command line, this one by `open`; settings from the environment, and nothing listens there."""
    with socket.socket() as taken:  # bound and not listening: refused
        taken.bind(("127.0.0.1", 0))
        variables = ACCESS | {"CLUTCH_BASE_URL": f"http://127.0.0.1:{taken.getsockname()[1]}"}
        for name, value in (variables | {"CLUTCH_BREAKER_FAILURES": "3"}).items():
            monkeypatch.setenv(name, value)
        url = f"sqlite:///{tmp_path / 'books.db'}"
        lines = tmp_path / "lines.jsonl"
        card = {"form": "electronic", "currency": "USD", "card_set": "G"}
        wanted = [("create", card), *[("allocate", {})] * 3]
        lines.write_text("".join(
            json.dumps({"machine": "gift_card", "id": "c", "command": name, "args": args, "key": f"{name}-{index}"}) + "\n"
            for index, (name, args) in enumerate(wanted)
        ))  # fmt: skip
        command = [sys.executable, "-m", "tallystick", "run", str(lines), "--provider", "clutch", "--store", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert SECRET not in done.stdout + done.stderr
        whys = [json.loads(line)["why"] for line in done.stdout.splitlines()[1:]]
        assert len(whys) == 3
        assert all("not reached" in why for why in whys)

        def said() -> str:
            with tallystick.open(url, provider="clutch") as books, pytest.raises(Unavailable) as error:
                books.engine.execute("gift_card", "c", "allocate", key="now")
            return str(error.value)

        assert "so many failures" in said()
        monkeypatch.setenv("CLUTCH_SHARE_LIMITS", "no")
        assert "not reached (ConnectError" in said()


# --- Settings by variables


def read(**variables: str) -> ClutchSettings:
    return ClutchSettings.from_environment({**ACCESS, **variables})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "5", 5.0), ("rate", "0.5", 0.5), ("burst", "7", 7), ("read_timeout", "2.5", 2.5),
        ("return_balances", "no", False), ("share_limits", "FALSE", False), ("several_currencies", "1", True),
        ("ca_file", "/etc/ca.pem", "/etc/ca.pem"), ("pinless_numbers", "6.*", "6.*"), ("employee", "7", "7"),
        ("void_as", "return", "return"), ("numbers_as", "number", "number"), ("rate", "", 10.0),
        ("card_sets", '{"gift": "G1", "promo": "P"}', {"gift": "G1", "promo": "P"}),
        ("value_types", '{"points": ["Points", null]}', {"points": ("Points", None)}),
        ("not_done_statuses", "[429]", (429,)), ("types_of_others", '["X"]', ("X",)),
        ("rules", '[{"reason": "suspended", "text": "frozen"}]', (Rule(Reason.SUSPENDED, text="frozen"),)),
    ],
)  # fmt: skip
def test_every_kind_of_setting_is_read(name: str, text: str, value: object) -> None:
    assert getattr(read(**{f"CLUTCH_{name.upper()}": text}), name) == value


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("RATE", "fast", "a number"), ("RATE", "NaN", "a number"), ("RATE", "true", "a number"),
        ("BURST", "1.5", "a whole number"), ("RETURN_BALANCES", "maybe", "yes or no"),
        ("VOID_AS", "undo", "one of void, return"), ("CARD_SETS", "G1", "JSON"), ("CARD_SETS", "[1]", "a JSON object"),
        ("CARD_SETS", '{"gift": 1}', "text"), ("VALUE_TYPES", '{"p": ["P"]}', "a JSON list of 2"),
        ("AUTH_STATUSES", "401", "a JSON list"), ("RULES", '[{"reason": "tired"}]', "one of insufficient_funds, "),
        ("RULES", '[{"code": "7"}]', "with reason at least"), ("RULES", '[{"why": "7"}]', "some of reason, code, text"),
        ("RATE", "0", "more than 0"), ("BURST", "-1", "from 0 up"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_without_its_value(name: str, text: str, wanted: str) -> None:
    with pytest.raises(Invalid, match=wanted) as error:
        read(**{f"CLUTCH_{name}": text})
    assert name.lower() in str(error.value).lower()
    assert f" {text!r}" not in str(error.value)


def test_a_variable_that_is_no_setting_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(CLUTCH_RAET="5", CLUTCH_API_SECERT=SECRET)
    assert "CLUTCH_RAET is no setting of the Clutch adapter. Did you mean 'CLUTCH_RATE'?" in caplog.text
    assert SECRET not in caplog.text


# --- Balances by one door


class Told:
    """A provider that tells balances."""

    name, local = "told", False

    def __init__(self) -> None:
        self.closed = False

    def perform(self, call: Call) -> Outcome:
        return Outcome(Result.UNAVAILABLE)

    def look_up(self, call: Call) -> NotSeen:
        return NotSeen()

    def needs_pin(self, number: str) -> bool:
        return number.startswith("6")

    def balance(self, card: CardFacts, pin: str | None = None) -> Any:
        if pin not in (None, "1234"):
            raise Told.No
        return attrs.make_class(
            "Shown", {"available": attrs.field(default=700), "holds": attrs.field(default={"h": 5})}
        )()

    def close(self) -> None:
        self.closed = True

    class No(Exception):
        outcome = Outcome(Result.DECLINED, reason=Reason.WRONG_PIN)


def test_a_balance_is_told_by_the_books() -> None:
    asked: list[tuple[str, str]] = []
    guard = BalanceSettings(answer_every=0, captcha_after=1)
    provider = Told()
    with tallystick.open(
        "memory:", provider=provider, balances=guard, verify_captcha=lambda *said: asked.append(said) is None
    ) as books:
        found = books.balance("6001", "1234", currency="USD", client="me")
        assert (found.said, found.available, found.held) == (Said.FOUND, Money(700, "USD"), Money(5, "USD"))
        assert books.balance("6001", currency="USD", client="me").said is Said.PIN_NEEDED
        assert books.balance("5001", currency="EUR", client="me").available == Money(700, "EUR")
        assert books.balance("6001", "0000", currency="USD", client="me").said is Said.NOT_FOUND
        assert books.balance("6001", "1234", currency="USD", client="me").said is Said.CAPTCHA_NEEDED
        assert books.balance("6001", "1234", currency="USD", client="me", captcha="x").said is Said.FOUND
        assert asked == [("me", "x")]
        with pytest.raises(MoneyError):
            books.balance("6001", currency="not a currency", client="me")
    assert not provider.closed  # whoever made it closes it


def test_a_provider_that_was_opened_by_name_is_closed_with_the_books(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Told()
    monkeypatch.setattr("tallystick.books.open.provider_named", lambda name: provider)
    tallystick.open("memory:", provider="told").close()
    assert provider.closed

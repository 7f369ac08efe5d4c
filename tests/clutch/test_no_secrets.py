"""No PIN, no whole card number and no API secret is in anything that is said: logs, warnings, exceptions, reprs, notes.

Runs as in the other tests, with faults, declines, wrong PINs, a provider that raises and a store that dies; all that
comes out of them is gathered as text and searched. In the SQLite file there may be card numbers, for the owner chose
to keep them readable, but never a PIN.
"""

from __future__ import annotations

import base64
import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_traffic import Traffic

from clutch_world import Command, ProcessDied, World
from tallystick.books.books import Books
from tallystick.books.reconciling.reconcile import reconcile
from tallystick.clutch.answers import NotRead
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import Sandbox, Settings
from tallystick.clutch.settings import ClutchSettings
from tallystick.errors import TallystickError
from tallystick.provider.protocol import Call, Outcome
from tallystick.store.open import open_store

PIN_LENGTH = 9  # long enough to be found by chance nowhere
SANDBOX = Settings(pin_length=PIN_LENGTH)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that any logger says, with whatever is attached to it."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)r"))
    root = logging.getLogger()
    before, level = root.level, handler.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    handler.setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    yield said
    logging.captureWarnings(False)
    handler.setLevel(level)
    root.setLevel(before)
    root.removeHandler(handler)


def secrets_of(sandbox: Sandbox) -> dict[str, str]:
    """Every PIN and number there is, allocated or not, and what opens the door."""
    rows = sandbox._ledger.sql("select number, pin from card")
    known = sandbox.credentials
    pair = base64.b64encode(f"{known.api_key}:{known.api_secret}".encode()).decode()
    return {
        **{number: "a card number" for number, _ in rows}, **{pin: "a PIN" for _, pin in rows if pin},
        known.api_secret: "the API secret", known.api_key: "the API key", pair: "the credentials",
    }  # fmt: skip


def found(text: str, secrets: dict[str, str]) -> set[str]:
    return {what for secret, what in secrets.items() if secret in text}


def said_of(error: BaseException) -> str:
    """An exception as any tool would show it, with all that it drags along but the lines of these tests."""
    whole = "".join(traceback.format_exception(error))
    return f"{error} {error!r} {error.args!r} {vars(error)!r} {whole}"


class Raises:
    """A provider whose own exception shows all it was given."""

    name, local = "raises", False

    def __init__(self, inner: ClutchProvider) -> None:
        self.inner, self.count = inner, 0

    def perform(self, call: Call) -> Outcome:
        self.count += 1
        if self.count > 10 and self.count % 5 == 0:
            raise ValueError(f"{dict(call.secrets)} {call.card.number} {dict(call.args)}")
        return self.inner.perform(call)

    def look_up(self, call: Call) -> object:
        self.count += 1
        if self.count > 10 and self.count % 5 == 0:
            raise ValueError(f"{call.card.number} {dict(call.args)}")
        return self.inner.look_up(call)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_is_said_in_traffic(seed: int, log: io.StringIO, capfd: pytest.CaptureFixture[str]) -> None:
    run = Traffic(seed, Raises if seed % 3 == 2 else None)  # type: ignore[arg-type]
    said: list[str] = []
    run.run(30)
    world = run.world
    with warnings.catch_warnings(record=True):
        said += [f"{each!r} {each} {each.last!r} {each.outcome!r} {each.refusal!r}" for each in world.receipts]
    said += [repr(each) for machine in ("gift_card", "payment", "replacement") for each in world.all(machine)]
    said += [repr(each) for each in (world.provider, world.provider.settings, world.engine)]
    said += [f"{row!r} {row.note} {row.outcome}" for row in world.calls()]
    with world.store.reading() as reading:
        said += [repr(each) for each in [*reading.journal(), *reading.queue()]]
    said += [repr(receipt.or_raise.__self__) for receipt in world.receipts]
    for receipt in world.receipts:
        try:
            receipt.or_raise()
        except TallystickError as error:
            said.append(said_of(error))
    text = "\n".join([*said, log.getvalue(), *capfd.readouterr()])
    assert len(text) > 10_000
    secrets = {secret: what for secret, what in secrets_of(world.sandbox).items() if what != "a PIN"}
    assert found(text, secrets) == set()
    pins = [rf"(?<![\d.]){pin}(?![\d.])" for pin in world.pins.values()]
    assert not [each for each in pins if re.search(rf"pin\W{{1,4}}{each}", text, re.IGNORECASE)]


def test_nothing_that_is_said_of_long_pins(log: io.StringIO, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """PINs that could be nothing else: through every fault, wrong ones too, and nowhere in the file."""
    file = tmp_path / "books.db"
    world = World(sandbox=SANDBOX, store=open_store(f"sqlite:///{file}"), pin_length=PIN_LENGTH)
    faults = ["none", "lost_before", "lost_after", "slow:900ms", "500_before", "500_after", "429", "broken_json",
              "truncated", "wrong_currency", "short_approval", "duplicate"]  # fmt: skip
    said: list[str] = []
    world.card(amount="900.00")
    pin = world.pins["c1"]
    wrong = "987654321"
    for number, fault in enumerate(faults):
        for command, secret in (("authorize", pin), ("redeem", pin), ("authorize", wrong)):
            id = f"{command}-{number}-{secret == pin}"
            world.payment(id)
            world.line.faults = [fault]
            wanted = Command("payment", id, command, {"amount": "3.00", "pin": secret}, f"key-{id}")
            said.append(repr(wanted))
            try:
                receipt = world.engine.execute(*wanted_of(wanted), key=wanted.key)
                said.append(repr(receipt))
            except TallystickError as error:
                said += [said_of(error), repr(getattr(error, "receipt", None))]
    refused = {"amount": "3.00", "pin": 7}
    for args in (refused, {"amount": pin, "pin": pin}, {"amount": "3.00", "pin": pin, "pinn": pin}):
        try:
            world.engine.execute("payment", "authorize-0-True", "authorize", args, key="odd")
        except TallystickError as error:
            said.append(str(error) if pin in str(args["amount"]) else said_of(error))
    world.end()
    world.fate = dies_before_its_commit
    with pytest.raises(ProcessDied):
        world.do("payment", "authorize-1-True", "cancel")
    for guess in (pin, wrong):
        try:
            said.append(repr(world.provider.balance(world._facts(world.entity("gift_card", "c1")), guess)))
        except NotRead as error:
            said.append(said_of(error))
    said += [f"{row!r}" for row in world.calls()]
    text = "\n".join([*said, log.getvalue(), *capfd.readouterr()])
    assert "call-0004, attempt 1" in text
    secrets = {**secrets_of(world.sandbox), wrong: "a wrong PIN"}
    secrets = {secret: what for secret, what in secrets.items() if f'"amount": "{secret}"' not in text}
    assert found(without_amount(text, pin), secrets) == set()

    world.store.close()
    for path in tmp_path.iterdir():
        kept = path.read_bytes()
        assert not [what for secret, what in secrets.items() if "number" not in what and secret.encode() in kept], path
        assert str(world.entity("gift_card", "c1").facts["number"]).encode() in kept or path != file
    world.store.close()


def wanted_of(command: Command) -> tuple[str, str, str, dict[str, object]]:
    return command.machine, command.id, command.command, dict(command.args)


def without_amount(text: str, pin: str) -> str:
    """Who types a PIN where an amount belongs is told so with what was typed."""
    return re.sub(rf"\bamount\b[^\n]{{0,80}}{pin}", "amount …", text)


def dies_before_its_commit(where: str) -> None:
    if where == "before its commit":
        raise ProcessDied(where)


def test_a_card_number_that_is_taken_for_a_name_is_masked() -> None:
    world = World()
    world.card()
    number = str(world.entity("gift_card", "c1").facts["number"])
    books = Books(world.engine)
    said = []
    for wrong in (
        lambda: books.card(number), lambda: books.payment(number), lambda: books.settle(number, "1.00", key="w1"),
        lambda: books.authorize("p", number, "1.00", order="o", key="w2"), lambda: books.replace(number, "n", key="w3"),
        lambda: world.engine.resolve(number, "declined", by="ann", reason="r"), lambda: world.engine.queue.run(number),
        lambda: world.engine.queue.dismiss(number, by="ann", reason="r"), lambda: world.engine.send(number),
        lambda: reconcile(world.engine, number),
    ):  # fmt: skip
        with pytest.raises(TallystickError) as caught:
            wrong()
        said.append(str(caught.value))
    assert [each for each in said if number in each] == []
    assert all(f"…{number[-4:]}" in each for each in said), said


def test_settings_that_are_wrong_are_told_without_the_secret() -> None:
    known = {"api_key": "key-4f7", "api_secret": "hush-4f7", "brand": "b", "location": "l", "terminal": "t"}
    said = []
    for odd in ({"base_url": "http://example.com"}, {"base_url": "https://hush-4f7:hush-4f7@x.example"},
                {"base_url": "https://x.example", "api_secret": "hush-4f7\n"},
                {"base_url": "https://x.example", "rate": 0.0}):  # fmt: skip
        try:
            said.append(repr(ClutchSettings(**{**known, **odd})))  # type: ignore[arg-type]
        except TallystickError as error:
            said.append("".join(traceback.format_exception_only(error)) + repr(error))
    assert len(said) == 4
    assert "hush" not in " ".join(said)
    assert "key-4f7" not in " ".join(said)

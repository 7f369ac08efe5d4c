"""Nothing that a test says or raises shows a card number, a PIN or a credential of a sandbox it made.

Loaded for all tests. Listened to are the product's loggers, down to debug, with what is attached to a record; and every
error of the product that is made, whoever catches it. A number counts from twelve digits on and a PIN where it is
called one: four digits are found everywhere by chance.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tallystick.clutch.sandbox import Sandbox
from tallystick.errors import TallystickError

LONG = 12  # digits of a number that is nothing else by chance


class Listener(logging.Handler):
    """Keeps all that was said since `begin`, and the sandboxes made meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []
        self.secrets: dict[str, str] = {}

    def begin(self) -> None:
        self.said, self.secrets = [], {}

    def emit(self, record: logging.LogRecord) -> None:
        attached = {name: value for name, value in vars(record).items() if name not in ("args", "msg")}
        self.said.append(f"{record.getMessage()} {record.args!r} {attached!r}")

    def hears(self, error: TallystickError) -> None:
        """At once and as text: an error that is kept keeps everything that it came through."""
        self.said.append(f"{error} {error!r} {error.args!r} {vars(error)!r}")

    def knows(self, sandbox: Sandbox) -> None:
        known = sandbox.credentials
        pair = base64.b64encode(f"{known.api_key}:{known.api_secret}".encode()).decode()
        self.secrets |= {known.api_secret: "the API secret", pair: "the credentials"}
        for number, pin in sandbox._ledger.sql("select number, pin from card"):
            if len(number) >= LONG:
                self.secrets[number] = "a card number"
            if pin:
                self.secrets[pin] = "a PIN"

    def leaks(self) -> list[str]:
        """What was told, and in which text."""
        if not self.said or not self.secrets:
            return []
        words = re.compile(r"[0-9A-Za-z+/=]+")
        called = re.compile(r"pin\W{1,6}(\d+)", re.IGNORECASE)
        return [
            f"{what} in {text[:300]!r}"
            for text in self.said
            for word in {*words.findall(text), *called.findall(text)}
            if (what := self.secrets.get(word)) and (what != "a PIN" or word in called.findall(text))
        ]


LISTENER = Listener()


def pytest_configure() -> None:
    logger = logging.getLogger("tallystick")
    logger.addHandler(LISTENER)
    logger.setLevel(logging.DEBUG)
    _noticed(Sandbox, LISTENER.knows)
    _noticed(TallystickError, LISTENER.hears)


def _noticed(made: type, notice: Callable[[Any], object]) -> None:
    """Tell of every instance, once it is made."""
    init = made.__init__  # type: ignore[misc]

    def noticing(self: Any, *args: Any, **more: Any) -> None:
        init(self, *args, **more)
        notice(self)

    made.__init__ = noticing  # type: ignore[misc]


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    LISTENER.begin()
    yield
    assert LISTENER.leaks() == []

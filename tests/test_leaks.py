"""The listener that all tests run under hears what it has to hear."""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs
import pytest

from leaks import LISTENER, Listener
from tallystick.clutch.sandbox import Sandbox
from tallystick.errors import Invalid

LOG = logging.getLogger("tallystick.clutch")


def raised(text: str) -> None:
    with pytest.raises(Invalid):
        raise Invalid(text)


SAYS: dict[str, Callable[[str], None]] = {
    "a message": lambda secret: LOG.debug("it is %s", secret),
    "an attachment": lambda secret: LOG.warning("no matter", extra={"card": secret}),
    "an error that is caught": lambda secret: raised(f"of {secret}!"),
}


@attrs.frozen
class Known:
    number: str
    pin: str
    secret: str


@pytest.fixture
def known() -> Known:
    with Sandbox(card_sets={"GIFT": 1}, seed=3) as sandbox:
        drawn = sandbox.post("allocate", {"cardSetId": "GIFT"}).json()
        return Known(str(drawn["cardNumber"]), str(drawn["pin"]), sandbox.credentials.api_secret)


@pytest.mark.parametrize("way", SAYS)
def test_what_is_said_is_heard(known: Known, way: str) -> None:
    for text, what in (
        (known.number, "a card number"),
        (known.secret, "the API secret"),
        (f"pin={known.pin}", "a PIN"),
    ):
        SAYS[way](text)
        assert [leak.split(" in ")[0] for leak in LISTENER.leaks()] == [what]
        LISTENER.said.clear()


def test_what_is_masked_is_no_leak(known: Known) -> None:
    SAYS["a message"](f"…{known.number[-4:]} for {known.pin} minor units")
    assert LISTENER.leaks() == []
    assert Listener().leaks() == []

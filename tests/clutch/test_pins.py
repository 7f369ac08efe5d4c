"""The PIN of a card that is drawn is told once, and has to reach whoever sells the card, whatever comes after."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from clutch_world import World
from tallystick import Declined, InDoubt, Unavailable
from tallystick.books.books import Books
from tallystick.cli.options import write_pins_to
from tallystick.engine.receipt import Answered


class Shop:
    def __init__(self) -> None:
        self.world = World()
        self.books = Books(self.world.engine)
        self.told: list[tuple[str, str]] = []
        self.world.engine.on_pin = lambda card, pin: self.told.append((card, pin))

    def pin(self, card: str) -> str | None:
        return self.world.sandbox.pin(str(self.world.entity("gift_card", card).facts["number"]))

    def sell(self, card: str = "c1") -> str | None:
        return self.books.sell_electronic(card, "50.00", "USD", order="o", card_set="GIFT", key=f"sell-{card}").pin


def replaced(shop: Shop) -> str | None:
    return shop.books.replace("c1", "c2", card_set="GIFT", key="replace").pin


def refunded(shop: Shop) -> str | None:
    return shop.books.refund_to_new("p1", "5.00", "c2", card_set="GIFT", key="refund").pin


def sold(shop: Shop) -> str | None:
    return shop.sell("c2")


DRAWS: list[tuple[Callable[[Shop], str | None], int]] = [(sold, 1), (replaced, 3), (refunded, 1)]


@pytest.fixture
def shop() -> Shop:
    """With a card of 50.00, of which a payment has earned 10.00."""
    shop = Shop()
    assert shop.sell() == shop.pin("c1")
    shop.books.redeem("p1", "c1", "10.00", order="o", key="p1")
    shop.told.clear()
    return shop


@pytest.mark.parametrize(("draw", "_"), DRAWS)
def test_a_pin_is_told_with_the_sale(shop: Shop, draw: Callable[[Shop], str | None], _: int) -> None:
    pin = draw(shop)
    assert pin is not None
    assert (pin, shop.told) == (shop.pin("c2"), [("c2", pin)])
    assert draw(shop) is None, "said again, nobody knows it any more"


@pytest.mark.parametrize(("fault", "kind"), [("429", Unavailable), ("lost_after", InDoubt), ("lost_before", InDoubt)])
@pytest.mark.parametrize(("draw", "before"), DRAWS)
def test_a_pin_is_told_though_a_later_step_fails(
    shop: Shop, draw: Callable[[Shop], str | None], before: int, fault: str, kind: type[Answered]
) -> None:
    shop.world.line.faults = ["none"] * before + [fault]
    with pytest.raises(kind) as caught:
        draw(shop)
    pin = caught.value.receipt.pin
    assert pin is not None
    assert (pin, shop.told) == (shop.pin("c2"), [("c2", pin)])
    assert pin not in str(caught.value) + repr(caught.value.receipt)


def test_a_pin_of_a_card_that_recover_draws_is_told(shop: Shop) -> None:
    shop.world.line.faults = ["lost_before"]
    with pytest.raises(InDoubt) as caught:
        shop.sell("c2")
    assert (caught.value.receipt.pin, shop.told) == (None, [])
    shop.world.clock.on(minutes=5)
    assert [each.pin for each in shop.books.recover()] == [shop.pin("c2")]
    assert shop.told == [("c2", shop.pin("c2"))]


def test_who_cannot_take_a_pin_stops_nothing(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    def full(card: str, pin: str) -> None:
        raise OSError(f"no room for {pin}")

    shop.world.engine.on_pin = full
    pin = shop.sell("c2")
    assert pin == shop.pin("c2")
    assert "the PIN of card 'c2' was drawn and could not be handed on: OSError" in caplog.text
    assert str(pin) not in caplog.text


def test_a_decline_without_a_card_has_no_pin(shop: Shop) -> None:
    left = len(shop.world.sandbox.inventory("GIFT"))
    for number in range(left):
        assert shop.sell(f"more-{number}")
    with pytest.raises(Declined) as caught:
        shop.sell("one-more")
    assert caught.value.receipt.pin is None


def test_the_command_line_keeps_pins_in_a_file_of_its_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pins.jsonl"
    for card in ("c1", "c2"):
        write_pins_to(str(file))(card, "0123")
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"card": "c1", "pin": "0123"}, {"card": "c2", "pin": "0123"},
    ]  # fmt: skip
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    write_pins_to(None)("c3", "0123")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "card c3 was drawn with a PIN, and nobody has kept it: name a file for PINs with --pins\n"

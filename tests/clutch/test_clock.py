"""A provider with a clock of its own: whoever opens books with it goes by that clock."""

from __future__ import annotations

from datetime import datetime, timezone

import tallystick
from clutch_world import settings_of
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.sandbox import Sandbox
from tallystick.clutch.transport import InProcess
from tallystick.provider import Clocked
from tallystick.provider.local import LocalProvider
from tallystick.provider.scripted import BEGINS, ScriptedProvider

THEN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=timezone.utc)


def test_books_go_by_the_clock_of_their_provider() -> None:
    with Sandbox(card_sets={"GIFT": 3}, seed=2, clock=THEN.timestamp) as sandbox:
        clutch = ClutchProvider(settings_of(sandbox), InProcess(sandbox), clock=lambda: THEN)
        for provider, time in ((clutch, THEN), (ScriptedProvider(), BEGINS)):
            assert isinstance(provider, Clocked)
            with tallystick.open("memory:", provider=provider) as books:
                books.sell_electronic("c", "50.00", "USD", order="o", key="sell", card_set="GIFT")
                assert {each.at for each in books.history("gift_card", "c")} == {time}
    assert not isinstance(LocalProvider(), Clocked)

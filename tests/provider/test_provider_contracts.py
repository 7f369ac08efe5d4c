"""The contract of a provider, held by the local one and by the scripted one."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from tallystick.provider.local import LocalProvider
from tallystick.provider.protocol import CardFacts
from tallystick.provider.scripted import Reply, ScriptedProvider
from tallystick.testing.contracts import Played, provider_contract

CARDS = count()


def card(amount: int) -> CardFacts:
    return CardFacts(f"c{next(CARDS)}", "BRL", number="6006000000000042")


def scripted(folder: Path) -> Played:
    provider = ScriptedProvider()
    faults = {kind: lambda kind=kind: provider.reply_with([Reply(kind)]) for kind in
              ("lost_before", "lost_after", "declined", "unavailable")}  # fmt: skip
    return Played(provider, card, effects=lambda: len(provider.done), faults=faults, clock=provider.clock)


TestLocal = provider_contract(lambda folder: Played(LocalProvider(), card), balances=False, record=False)
TestScripted = provider_contract(scripted, balances=False)

"""Figures that a picture may show beside the declaration.

Whoever draws takes them from a store; this room reads none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from tallystick.money import Money


@attrs.frozen
class Standing:
    """How many entities stand in one state, and what stands on their accounts: one amount for each currency."""

    count: int
    money: Mapping[str, tuple[Money, ...]] = attrs.field(factory=dict)  # account (`in_doubt` too) → its totals


@attrs.frozen
class Traffic:
    """How often a transition was taken between two states, and how much it moved in all: one amount a currency."""

    count: int
    money: tuple[Money, ...] = ()


@attrs.frozen
class Overlay:
    """What has happened to all entities of one machine in a store."""

    states: Mapping[str, Standing]  # by state; a state that is missing has none
    edges: Mapping[tuple[str, str, str], Traffic]  # (state before, transition, state after); missing: never taken
    as_of: str  # the moment for which the figures are true, as it is to be printed
    verified: str = "not verified"  # "verified", or in a few words what is wrong
    source: str = ""  # which books: a name without passwords


@attrs.frozen
class LifeStep:
    """One entry of an entity's journal."""

    at: datetime
    command: str
    transition: str | None  # None: it was created
    source: str | None  # the state before
    target: str  # the state after
    phase: str = "done"  # done, asked, confirmed, declined, unavailable
    accounts: Mapping[str, Money] = attrs.field(factory=dict)  # after it, `in_doubt` too
    moved: tuple[str, ...] = ()  # "card → held 40.00 BRL"
    says: str = ""  # who, why, evidence; masked
    cause: str | None = None  # the entity that drove it: "payment o-1/1"
    asks: str | None = None  # the verb of the provider that it asked itself


@attrs.frozen
class May:
    """Whether an entity may be given a command now, and why not."""

    command: str
    allowed: bool
    why: str = ""


@attrs.frozen
class Life:
    """One entity from its creation until now. Every text of it is masked already."""

    machine: str
    id: str
    state: str
    steps: tuple[LifeStep, ...]
    may: tuple[May, ...] = ()
    as_of: str = ""
    others: tuple[Life, ...] = ()  # those that it drove or that drove it, such as the card of a payment
    accounts: Mapping[str, Money] = attrs.field(factory=dict)  # what stands on it now, if no steps are given

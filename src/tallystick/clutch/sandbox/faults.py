"""What can go wrong on the way, drawn from a seed or forced by the header `x-sandbox-fault`.

    lost_before     nothing done, connection closed without an answer
    lost_after      done, connection closed without an answer
    late            connection closed at once, done only after a while (`:2000ms`): behind the back of a quick look
    slow            done, the answer waits (`:250ms`)
    500_before      nothing done, HTTP 500          500_after   done, HTTP 500
    429             nothing done, HTTP 429
    broken_json     done, the answer is not JSON    truncated   done, the answer stops half way
    duplicate       done twice, one answer; once, if it has a `customRequestId` and the sandbox remembers it
    short_approval  a hold or redemption approves less than asked (`:4.00`, else a random part)
    wrong_currency  done, the answer names another currency
    other_channel   another channel uses the card just before: spends a part (or `:5.00`), does the `:same`
                    to the card, or does the same at our own location (`:twin`)

A SPEC is `lost_after=0.02,slow=0.01:250ms` or `all=0.05`: chances per request. At most one fault is drawn for a
request, so the chances add up; `all` shares its chance evenly between all but `late`, and a fault named beside
`all` has its own chance instead. The header forces faults, several at once if need be
(`other_channel:same,lost_after`), and `none` forbids them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen

FAULT_HEADER = "x-sandbox-fault"


class Fault(StrEnum):
    """What can go wrong with a request; see above."""

    LOST_BEFORE = "lost_before"
    LOST_AFTER = "lost_after"
    LATE = "late"
    SLOW = "slow"
    SERVER_ERROR_BEFORE = "500_before"
    SERVER_ERROR_AFTER = "500_after"
    RATE_LIMITED = "429"
    BROKEN_JSON = "broken_json"
    TRUNCATED = "truncated"
    DUPLICATE = "duplicate"
    SHORT_APPROVAL = "short_approval"
    WRONG_CURRENCY = "wrong_currency"
    OTHER_CHANNEL = "other_channel"


# `late` is left out of `all`: no look at the books can be sure before it has happened, so it is asked for by name.
ALL = tuple(fault for fault in Fault if fault is not Fault.LATE)

DEFAULT_DELAY = {Fault.SLOW: "250ms", Fault.LATE: "2000ms"}

# What happens to one request: each fault with its argument, "" when none was given.
Plan = Mapping[Fault, str]


@frozen
class Faults:
    """The chances of one sandbox."""

    chances: Mapping[Fault, float] = {}
    arguments: Mapping[Fault, str] = {}

    @classmethod
    def parse(cls, spec: str) -> Faults:
        """Read a SPEC. Raises: ValueError."""
        chances: dict[Fault, float] = {}
        arguments: dict[Fault, str] = {}
        shared = 0.0
        for part in filter(None, (part.strip() for part in spec.split(","))):
            name, equals, rest = part.partition("=")
            chance, _, argument = rest.partition(":")
            if name == "all":
                shared = _chance(part, chance)
                continue
            fault = _fault(name)
            chances[fault] = _chance(part, chance if equals else "")
            arguments[fault] = _argument(fault, argument)
        for fault in ALL:
            if shared:
                chances.setdefault(fault, shared / len(ALL))
        if sum(chances.values()) > 1 + 1e-9:
            raise ValueError(f"faults {spec!r}: the chances add up to more than 1")
        return cls(chances, arguments)

    def draw(self, rng: random.Random, forced: str | None) -> Plan:
        """The faults of one request. Takes one number from `rng` each time. Raises: ValueError for a bad header."""
        roll = rng.random()
        if forced is not None:
            return _forced(forced)
        for fault, chance in self.chances.items():
            roll -= chance
            if roll < 0:
                return {fault: self.arguments.get(fault, "")}
        return {}


def seconds(fault: Fault, argument: str) -> float:
    """The delay a fault was given, `250ms`."""
    return int((argument or DEFAULT_DELAY[fault]).removesuffix("ms")) / 1000


def _forced(header: str) -> Plan:
    plan: dict[Fault, str] = {}
    for part in filter(None, (part.strip() for part in header.split(","))):
        name, _, argument = part.partition(":")
        if name != "none":
            fault = _fault(name)
            plan[fault] = _argument(fault, argument)
    return plan


def _fault(name: str) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        raise ValueError(f"unknown fault {name!r}; known are {', '.join(Fault)}") from None


def _chance(part: str, text: str) -> float:
    try:
        chance = float(text)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise ValueError(f"fault {part!r} needs a chance from 0 to 1")
    return chance


def _argument(fault: Fault, text: str) -> str:
    """Only a few faults take one: a delay, an amount, or how the other channel behaves."""
    amount = text.replace(".", "", 1).isdecimal()
    good = {
        Fault.SLOW: text.removesuffix("ms").isdecimal(),
        Fault.LATE: text.removesuffix("ms").isdecimal(),
        Fault.SHORT_APPROVAL: amount,
        Fault.OTHER_CHANNEL: amount or text in ("same", "twin"),
    }
    if text and (len(text) > 20 or not good.get(fault, False)):
        raise ValueError(f"fault {fault} cannot take {text!r}")
    return text

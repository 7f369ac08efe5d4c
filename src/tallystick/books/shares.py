"""How an amount is shared over parts: pure reckoning, without books. The page of a tender checks that it adds up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from tallystick.errors import Invalid
from tallystick.money import Money

How = Literal["first", "last", "ratio"]


def shared(amount: Money, room: Mapping[str, Money], how: How = "first") -> dict[str, Money]:
    """What each part has of an amount, without parts that have nothing. `room`: the most for each, in order.

    "first" fills the parts in order, "last" from the end. "ratio" gives each its share of the room; the minor units
    that are left by rounding go to the largest remainders, of equal ones to the first. What finds no room is left out,
    so the shares may come to less than the amount.
    """
    if how not in get_args(How):
        raise Invalid(f"how an amount is shared is one of {', '.join(get_args(How))}, not {how!r:.60}")
    order = list(room)[:: -1 if how == "last" else 1]
    total = sum(each.minor for each in room.values())
    wanted = min(amount.minor, total)
    given = dict.fromkeys(order, 0)
    if how == "ratio" and total:
        given = {id: wanted * room[id].minor // total for id in order}
        remainders = sorted(order, key=lambda id: -(wanted * room[id].minor % total))
        for id in remainders[: wanted - sum(given.values())]:
            given[id] += 1
    else:
        left = wanted
        for id in order:
            given[id] = min(room[id].minor, left)
            left -= given[id]
    return {id: Money(minor, amount.currency) for id, minor in given.items() if minor}

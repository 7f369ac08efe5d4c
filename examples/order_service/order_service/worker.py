"""Goes on with whatever was left: `python -m order_service.worker FOLDER`. Start as many as you like.

Two of them may go on with the same thing. Everything has a key, so it is done once; and what a row says next is written
only if nobody else has written it meanwhile.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from order_service import cards, checkout, orders, uncovered
from order_service.database import Shop, open_shop
from order_service.models import Checkout, LostCard, Order, SoldCard, Transaction
from order_service.paying import No, NotYet
from tallystick import TallystickError

log = logging.getLogger("order_service")
GRACE = timedelta(seconds=60)  # a call may still be on its way for that long; see `books.recover`
OPEN = "open", "waiting", "holding", "charging", "undoing"


def run_once(shop: Shop, grace: timedelta = GRACE) -> int:
    """Do what can be done now. How many things were looked at."""
    done = 0
    for job in (lambda: shop.books.recover(grace), shop.books.run_due):
        done += _safely(job)
    for kind, go_on in WORK:
        for id in due(shop, kind):
            done += _safely(go_on, shop, id)
    _safely(uncovered.cover_all, shop)
    _safely(checkout.forgotten, shop)
    return done


WORK: Sequence[tuple[type[Any], Callable[[Shop, str], None]]] = (
    (Checkout, checkout.advance),
    (Transaction, orders.perform),
    (SoldCard, cards.fulfil),
    (LostCard, cards.replace),
)


def due(shop: Shop, kind: type[Any]) -> list[str]:
    """Open rows whose time has come, in no order, so that several workers seldom meet."""
    wanted = select(kind.id).where(kind.state.in_(OPEN), kind.due <= time.time())
    if kind is SoldCard:
        wanted = wanted.join(Order).where(Order.state == "paid")
    with shop.read() as session:
        found = list(session.scalars(wanted))
    random.shuffle(found)
    return found


def _safely(job: Callable[..., Any], *args: Any) -> int:
    """What goes wrong with one thing is no reason to leave the others."""
    try:
        result = job(*args)
    except (TallystickError, NotYet, No) as error:
        log.warning("%s", error)
        return 0
    return len(result) if isinstance(result, list) else 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="order_service.worker", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--grace", type=float, default=GRACE.total_seconds(), help="seconds")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two rounds")
    parsed = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    shop = open_shop(parsed.folder)
    while True:
        run_once(shop, timedelta(seconds=parsed.grace))
        time.sleep(parsed.pause)


if __name__ == "__main__":
    main()

"""Every way value moves: issue, redeem, hold, redeem from a hold, release, adjust, void.

Each function checks everything first and refuses with the error of the settings; after that it must succeed. All
amounts are minor units of the value type. The caller holds a transaction of the books.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from tallystick.clutch.sandbox.ledger import Card, Entry, Hold, Ledger, Operation, Origin, Update
from tallystick.clutch.sandbox.settings import Refused, ValueType

# Lowers an approval below what was asked, as the fault short_approval does.
Cap = Callable[[int, ValueType], int]


@frozen
class Order:
    """One change of balance as asked for; `minor` is positive or zero except in an adjustment."""

    value: ValueType
    minor: int
    most_possible: bool = False  # redeemMaxOnOverdraw
    hold_id: str | None = None
    release_rest: bool = False
    return_related: bool = False
    expires: str | None = None
    cap: Cap | None = None


@frozen
class Done:
    """What was done: how much of it, in minor units, and whether that is less than asked."""

    transaction_id: str
    approved: int
    short: bool = False


def issue(ledger: Ledger, origin: Origin, card: Card, order: Order) -> Done:
    _check_status(ledger, card, "issue")
    _check_amount(ledger, order)
    _check_limits(ledger, card, order.value, order.minor)

    return _move(ledger, origin, card, "issue", order, order.minor)


def redeem(ledger: Ledger, origin: Origin, card: Card, order: Order) -> Done:
    _check_status(ledger, card, "redeem")
    _check_amount(ledger, order)
    approved = _approve(ledger, card, order, partial=order.most_possible)
    if not approved and order.minor and ledger.settings.overdraw_of_nothing == "error":
        raise Refused(ledger.settings.errors.insufficient_funds)

    return _move(ledger, origin, card, "redeem", order, -approved)


def hold(ledger: Ledger, origin: Origin, card: Card, order: Order) -> Done:
    settings = ledger.settings
    _check_status(ledger, card, "hold")
    _check_amount(ledger, order)
    partial = settings.hold_above_available == "partial" or (order.most_possible and settings.overdraw_flag_covers_hold)
    approved = _approve(ledger, card, order, partial=partial)
    if not approved and order.minor:
        raise Refused(settings.errors.insufficient_funds)

    transaction_id = ledger.next_transaction_id(origin)
    ledger.add(card.number, order.value, -approved)
    ledger.place_hold(transaction_id, card.number, order.value, approved)
    ledger.record(origin, "hold", card.number, [Update(order.value, 0)], hold_id=transaction_id)
    return Done(transaction_id, approved, approved < order.minor)


def adjust(ledger: Ledger, origin: Origin, card: Card, order: Order) -> Done:
    """A correction of what is available, up or down: without limits, and on suspended cards too."""
    _check_status(ledger, card, "adjustment")
    if ledger.available(card.number, order.value) + order.minor < 0:
        raise Refused(ledger.settings.errors.insufficient_funds)

    return _move(ledger, origin, card, "adjustment", order, order.minor)


def redeem_from_hold(ledger: Ledger, origin: Origin, card: Card, order: Order) -> Done:
    """Redeem out of a hold, or with amount 0 and the release flag give the whole hold back."""
    settings = ledger.settings
    releasing = order.release_rest or (order.minor == 0 and settings.zero_from_hold == "release")
    operation: Operation = "release" if releasing and order.minor == 0 else "redeem_from_hold"
    _check_status(ledger, card, operation)
    held = _open_hold(ledger, card, order)
    if order.minor < 0 or (order.minor == 0 and not releasing and settings.zero_from_hold == "error"):
        raise Refused(settings.errors.bad_amount)
    taken = min(order.minor, held.amount)
    extra = _beyond_hold(ledger, card, order, order.minor - taken)

    rest = held.amount - taken
    if releasing:
        ledger.add(card.number, order.value, rest)
        ledger.set_hold(held.id, 0)
    else:
        _keep_rest(ledger, origin, held, rest)
    ledger.add(card.number, order.value, -extra)
    updates = [Update(order.value, -(taken + extra))]
    transaction_id = ledger.record(origin, operation, card.number, updates, hold_id=held.id)
    return Done(transaction_id, taken + extra, taken + extra < order.minor)


def void(ledger: Ledger, origin: Origin, entry: Entry) -> str:
    """Undo one line of history, once; returns the transactionId of the void."""
    settings, card = ledger.settings, ledger.card(entry.number or "")
    if entry.voided_by is not None:
        raise Refused(settings.errors.already_voided)
    if card is None or not _voidable(ledger, entry):
        raise Refused(settings.errors.not_voidable)
    _check_status(ledger, card, "void")

    if entry.operation == "hold":
        back = _void_hold(ledger, entry)
    elif entry.operation == "redeem_from_hold" and settings.void_of_redeemed_hold == "hold":
        back = _refill_hold(ledger, entry)
    else:
        back = _void_updates(ledger, entry)
    transaction_id = ledger.record(origin, "void", card.number, back, hold_id=entry.hold_id)
    ledger.mark_voided(entry.transaction_id, transaction_id)
    return transaction_id


# --- The checks


def _check_status(ledger: Ledger, card: Card, work: str) -> None:
    if card.status == "inventory":
        raise Refused(ledger.settings.errors.not_activated)
    if card.status == "suspended" and work in ledger.settings.suspended_refuses:
        raise Refused(ledger.settings.errors.card_suspended)


def _check_amount(ledger: Ledger, order: Order) -> None:
    if order.minor < 0 or (order.minor == 0 and ledger.settings.zero_amount == "error"):
        raise Refused(ledger.settings.errors.bad_amount)


def _check_limits(ledger: Ledger, card: Card, value: ValueType, minor: int) -> None:
    settings = ledger.settings
    held = sum(hold.amount for hold in ledger.open_holds(card.number) if hold.value == value)
    after = ledger.available(card.number, value) + held + minor
    if (settings.max_issue is not None and minor > settings.max_issue) or (
        settings.max_balance is not None and after > settings.max_balance
    ):
        raise Refused(settings.errors.over_limit)


def _approve(ledger: Ledger, card: Card, order: Order, *, partial: bool) -> int:
    """How much of what is available the caller gets."""
    available = ledger.available(card.number, order.value)
    wanted = order.minor if order.cap is None else min(order.minor, order.cap(order.minor, order.value))
    if wanted > available and not partial:
        raise Refused(ledger.settings.errors.insufficient_funds)
    return min(wanted, available)


def _open_hold(ledger: Ledger, card: Card, order: Order) -> Hold:
    held = ledger.hold(order.hold_id or "")
    if held is None or held.number != card.number or held.value != order.value or not held.amount:
        raise Refused(ledger.settings.errors.unknown_hold)
    return held


def _beyond_hold(ledger: Ledger, card: Card, order: Order, extra: int) -> int:
    """What a redemption takes from the available balance because its hold is too small."""
    settings = ledger.settings
    if not extra:
        return 0
    if not settings.redeem_above_hold:
        if order.most_possible:
            return 0
        raise Refused(settings.errors.above_hold)
    available = ledger.available(card.number, order.value)
    if extra > available and not order.most_possible:
        raise Refused(settings.errors.insufficient_funds)
    return min(extra, available)


def _voidable(ledger: Ledger, entry: Entry) -> bool:
    settings = ledger.settings
    late = settings.void_within_seconds is not None and ledger.now() - entry.time > settings.void_within_seconds * 1000
    if late or entry.operation in ("allocate", "account", "void", "release", "checkout_setup"):
        return False
    if entry.operation == "redeem_from_hold":
        return settings.void_of_redeemed_hold != "error"
    return entry.operation != "hold" or (settings.void_of_hold == "release" and _untouched(ledger, entry))


def _untouched(ledger: Ledger, entry: Entry) -> bool:
    held = ledger.hold(entry.hold_id or "")
    return held is not None and held.amount == held.placed


# --- The deeds


def _move(ledger: Ledger, origin: Origin, card: Card, operation: Operation, order: Order, minor: int) -> Done:
    ledger.add(card.number, order.value, minor)
    transaction_id = ledger.record(
        origin,
        operation,
        card.number,
        [Update(order.value, minor)],
        return_related=order.return_related,
        expires=order.expires,
    )
    return Done(transaction_id, abs(minor), operation == "redeem" and -minor < order.minor)


def _keep_rest(ledger: Ledger, origin: Origin, held: Hold, rest: int) -> None:
    if rest in (0, held.amount) or ledger.settings.remainder_keeps_id:
        ledger.set_hold(held.id, rest)
    else:
        ledger.set_hold(held.id, 0)
        ledger.place_hold(ledger.next_transaction_id(origin), held.number, held.value, rest)


def _void_hold(ledger: Ledger, entry: Entry) -> list[Update]:
    held = ledger.hold(entry.hold_id or "")
    assert held is not None
    ledger.set_hold(held.id, 0)
    ledger.add(held.number, held.value, held.amount)
    return [Update(held.value, 0)]


def _refill_hold(ledger: Ledger, entry: Entry) -> list[Update]:
    """Give a redemption back to its hold; what it took beyond the hold goes to the available balance."""
    held = ledger.hold(entry.hold_id or "")
    assert held is not None
    redeemed = -sum(update.minor for update in entry.updates)
    into_hold = min(redeemed, held.placed - held.amount)
    ledger.set_hold(held.id, held.amount + into_hold)
    ledger.add(held.number, held.value, redeemed - into_hold)
    return [Update(held.value, redeemed)]


def _void_updates(ledger: Ledger, entry: Entry) -> list[Update]:
    number = entry.number or ""
    for update in entry.updates:
        if ledger.available(number, update.value) < update.minor:
            raise Refused(ledger.settings.errors.insufficient_funds)
    for update in entry.updates:
        ledger.add(number, update.value, -update.minor)
    return [Update(update.value, -update.minor) for update in entry.updates]

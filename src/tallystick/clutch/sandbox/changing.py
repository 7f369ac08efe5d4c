"""The methods that change something: allocate, updateBalance, updateAccount, voidTransaction."""

from __future__ import annotations

from tallystick.clutch.sandbox import moves
from tallystick.clutch.sandbox.books import Card, Status
from tallystick.clutch.sandbox.call import Call, Json, balance_entries, decimal
from tallystick.clutch.sandbox.moves import Done, Order
from tallystick.clutch.sandbox.settings import Refused

ACCOUNT_FIELDS = (
    "primaryCustomer",
    "alternateCustomer",
    "giverCustomer",
    "countAsEnrollment",
    "thirdPartyUpdates",
    "brandDemographics",
    "customCardNumber",
    "customData",
)
ACTIONS = {"issue": moves.issue, "redeem": moves.redeem, "hold": moves.hold}


def allocate(call: Call) -> Json:
    """Activate the next free card of a set, or the one whose number is given."""
    if call.text("cardNumber") is not None:
        card, by_number = _named_card(call), True
    else:
        card, by_number = _next_card(call), False

    if card.status == "inventory":
        call.books.set_status(card.number, "active")
    call.books.record(call.origin, "allocate", card.number)
    with_pin = card.pin is not None and (not by_number or call.settings.pin_returned_by_number)
    return {"cardNumber": card.number, **({"pin": card.pin} if with_pin else {})}


def _named_card(call: Call) -> Card:
    """With a set beside the number, which nobody documents, the card must be of that set."""
    card, wanted = call.card(), call.text("cardSetId")
    if wanted is not None and card.card_set != wanted:
        raise Refused(call.errors.unknown_card)
    if card.status == "suspended" and "allocate" in call.settings.suspended_refuses:
        raise Refused(call.errors.card_suspended)
    if card.status != "inventory" and call.settings.allocate_twice == "error":
        raise Refused(call.errors.already_allocated)
    return card


def _next_card(call: Call) -> Card:
    wanted = call.text("cardSetId")
    card_set = None if wanted is None else call.books.card_set(wanted)
    if wanted is None or (card_set is not None and card_set.physical and not call.settings.physical_by_set):
        raise Refused(call.errors.no_card_number)
    if card_set is None:
        raise Refused(call.errors.unknown_card_set)
    card = call.books.free_card(wanted)
    if card is None:
        raise Refused(call.errors.card_set_exhausted)
    return card


def update_balance(call: Call) -> Json:
    """Issue, redeem or hold; a redemption from a hold and its release are a redeem that names the hold."""
    card, action, amount = call.card(), call.text("action"), call.part("amount")
    move = ACTIONS.get(action or "")
    if move is None:
        raise Refused(call.errors.unknown_action)
    expires = call.moment("issuedBalanceExpiration")
    value = call.value_type(amount)
    order = Order(
        value,
        call.minor(amount.get("amount"), value),
        most_possible=call.flag("redeemMaxOnOverdraw"),
        hold_id=call.text("redeemFromHoldTransactionId"),
        release_rest=call.flag("releaseHoldRemainder"),
        return_related=call.flag("isReturnRelated"),
        expires=None if expires is None else f"{expires:%Y-%m-%d %H:%M:%S}",
        cap=call.cap,
    )

    if action == "redeem" and order.hold_id is not None:
        done = moves.redeem_from_hold(call.books, call.origin, card, order)
    elif call.flag(call.settings.adjustment_field) and action != "hold":
        minor = order.minor if action == "issue" else -order.minor
        done = moves.adjust(call.books, call.origin, card, Order(value, minor))
    else:
        done = move(call.books, call.origin, card, order)
    return _moved(call, card, order, done)


def _moved(call: Call, card: Card, order: Order, done: Done) -> Json:
    settings = call.settings
    answer: Json = {"transactionId": done.transaction_id, "cardNumber": card.number, "didOverdraw": done.short}
    if settings.approved_field:
        answer[settings.approved_field] = decimal(order.value, done.approved)
    if settings.due_field:
        answer[settings.due_field] = decimal(order.value, abs(order.minor) - done.approved)
    return answer | _balances(call, card)


def _balances(call: Call, card: Card) -> Json:
    return {"balances": balance_entries(call, card.number)} if call.flag("returnBalances") else {}


def update_account(call: Call) -> Json:
    """Demographics and status; what is not sent stays."""
    card = call.card()
    if card.status == "inventory":
        raise Refused(call.errors.not_activated)
    status = _wanted_status(call)
    call.part("primaryCustomer"), call.part("alternateCustomer")
    sent = {name: call.body[name] for name in ACCOUNT_FIELDS if call.body.get(name) is not None}

    if sent:
        call.books.set_account(card.number, card.account | sent)
    if status is not None:
        call.books.set_status(card.number, status)
    call.books.record(call.origin, "account", card.number)
    return {}


def _wanted_status(call: Call) -> Status | None:
    settings = call.settings
    word = call.text(settings.status_field)
    if word is None:
        return None
    known: dict[str, Status] = {settings.status_active: "active", settings.status_suspended: "suspended"}
    if word not in known:
        raise Refused(call.errors.unknown_status)
    return known[word]


def void_transaction(call: Call) -> Json:
    """Undo a change of balance by its stored id. A `cardNumber` beside it, if sent, must be the transaction's."""
    wanted, number = call.text(call.settings.void_field), call.text("cardNumber")
    entry = None if wanted is None else call.books.entry(wanted)
    if entry is None or number not in (None, entry.number):
        raise Refused(call.errors.unknown_transaction)
    card = call.books.card(entry.number or "")
    if card is not None:
        call.check_pin(card)

    transaction_id = moves.void(call.books, call.origin, entry)
    assert card is not None  # void refuses what belongs to no card
    return {"transactionId": transaction_id, "cardNumber": card.number, **_balances(call, card)}

"""The methods that change something: allocate, updateBalance, updateAccount, voidTransaction."""

from __future__ import annotations

from tallystick.clutch.sandbox import balance_moves
from tallystick.clutch.sandbox.balance_moves import Done, Order
from tallystick.clutch.sandbox.ledger import Card, Status
from tallystick.clutch.sandbox.request import Json, Request, balance_entries, decimal
from tallystick.clutch.sandbox.settings import Refused

ACCOUNT_FIELDS = ("primaryCustomer", "alternateCustomer", "giverCustomer", "countAsEnrollment", "thirdPartyUpdates",
                  "brandDemographics", "customCardNumber", "customData")  # fmt: skip
ACTIONS = {"issue": balance_moves.issue, "redeem": balance_moves.redeem, "hold": balance_moves.hold}


def allocate(request: Request) -> Json:
    """Activate the next free card of a set, or the one whose number is given."""
    if request.text("cardNumber") is not None:
        card, by_number = _named_card(request), True
    else:
        card, by_number = _next_card(request), False

    if card.status == "inventory":
        request.ledger.set_status(card.number, "active")
    request.ledger.record(request.origin, "allocate", card.number)
    with_pin = card.pin is not None and (not by_number or request.settings.pin_returned_by_number)
    return {"cardNumber": card.number, **({"pin": card.pin} if with_pin else {})}


def _named_card(request: Request) -> Card:
    """If a set is named beside the number, which nobody documents, the card must be of that set."""
    card, wanted = request.card(), request.text("cardSetId")
    if wanted is not None and card.card_set != wanted:
        raise Refused(request.errors.unknown_card)
    if card.status == "suspended" and "allocate" in request.settings.suspended_refuses:
        raise Refused(request.errors.card_suspended)
    if card.status != "inventory" and request.settings.allocate_twice == "error":
        raise Refused(request.errors.already_allocated)
    return card


def _next_card(request: Request) -> Card:
    wanted = request.text("cardSetId")
    card_set = None if wanted is None else request.ledger.card_set(wanted)
    if wanted is None or (card_set is not None and card_set.physical and not request.settings.physical_by_set):
        raise Refused(request.errors.no_card_number)
    if card_set is None:
        raise Refused(request.errors.unknown_card_set)
    card = request.ledger.free_card(wanted)
    if card is None:
        raise Refused(request.errors.card_set_exhausted)
    return card


def update_balance(request: Request) -> Json:
    """Issue, redeem or hold; a redemption from a hold and its release are a redeem that names the hold."""
    card, action, amount = request.card(), request.text("action"), request.part("amount")
    move = ACTIONS.get(action or "")
    if move is None:
        raise Refused(request.errors.unknown_action)
    expires = request.moment("issuedBalanceExpiration")
    value = request.value_type(amount)
    order = Order(
        value,
        request.minor(amount.get("amount"), value),
        most_possible=request.flag("redeemMaxOnOverdraw"),
        hold_id=request.text("redeemFromHoldTransactionId"),
        release_rest=request.flag("releaseHoldRemainder"),
        return_related=request.flag("isReturnRelated"),
        expires=None if expires is None else f"{expires:%Y-%m-%d %H:%M:%S}",
        cap=request.cap,
    )

    if action == "redeem" and order.hold_id is not None:
        done = balance_moves.redeem_from_hold(request.ledger, request.origin, card, order)
    elif request.flag(request.settings.adjustment_field) and action != "hold":
        minor = order.minor if action == "issue" else -order.minor
        done = balance_moves.adjust(request.ledger, request.origin, card, Order(value, minor))
    else:
        done = move(request.ledger, request.origin, card, order)
    return _moved(request, card, order, done)


def _moved(request: Request, card: Card, order: Order, done: Done) -> Json:
    settings = request.settings
    answer: Json = {"transactionId": done.transaction_id, "cardNumber": card.number, "didOverdraw": done.short}
    if settings.approved_field:
        answer[settings.approved_field] = decimal(order.value, done.approved)
    if settings.due_field:
        answer[settings.due_field] = decimal(order.value, abs(order.minor) - done.approved)
    return answer | _balances(request, card)


def _balances(request: Request, card: Card) -> Json:
    return {"balances": balance_entries(request, card.number)} if request.flag("returnBalances") else {}


def update_account(request: Request) -> Json:
    """Demographics and status; what is not sent stays."""
    card = request.card()
    if card.status == "inventory":
        raise Refused(request.errors.not_activated)
    status = _wanted_status(request)
    request.part("primaryCustomer"), request.part("alternateCustomer")
    sent = {name: request.body[name] for name in ACCOUNT_FIELDS if request.body.get(name) is not None}

    if sent:
        request.ledger.set_account(card.number, card.account | sent)
    if status is not None:
        request.ledger.set_status(card.number, status)
    request.ledger.record(request.origin, "account", card.number)
    return {}


def _wanted_status(request: Request) -> Status | None:
    settings = request.settings
    word = request.text(settings.status_field)
    if word is None:
        return None
    known: dict[str, Status] = {settings.status_active: "active", settings.status_suspended: "suspended"}
    if word not in known:
        raise Refused(request.errors.unknown_status)
    return known[word]


def void_transaction(request: Request) -> Json:
    """Undo what a request has done, by its `requestRef`. Of a card's request, the `cardNumber` is needed too."""
    wanted, number = request.text("requestRef"), request.text("cardNumber")
    entry = None if wanted is None else request.ledger.entry(wanted)
    if entry is None or number not in (None, entry.number):
        raise Refused(request.errors.unknown_transaction)
    if number is None and entry.number is not None:
        raise Refused(request.errors.no_card_number)
    card = request.ledger.card(entry.number or "")
    if card is not None:
        request.check_pin(card)

    transaction_id = balance_moves.void(request.ledger, request.origin, entry)
    assert card is not None  # void refuses what belongs to no card
    return {"transactionId": transaction_id, "cardNumber": card.number, **_balances(request, card)}

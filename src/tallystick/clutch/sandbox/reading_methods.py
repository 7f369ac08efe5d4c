"""The methods that move nothing: search, cardHistory, checkoutLookup."""

from __future__ import annotations

from typing import Any

from tallystick.clutch.sandbox.exact_json import dumps, loads
from tallystick.clutch.sandbox.ledger import Card, Entry, Update
from tallystick.clutch.sandbox.request import Json, Request, balance_entries, mutation_of, utc
from tallystick.clutch.sandbox.settings import Refused

FILTERS = {"cardNumber": "number", "customCardNumber": "custom_number", "email": "email", "phone": "phone"}


def search(request: Request) -> Json:
    """An unknown card is an empty list, even with a PIN; a known one with a wrong PIN is an error. Both recorded."""
    filters = request.part("filters")
    wanted = {column: text for name, column in FILTERS.items() if (text := request.text(name, filters)) is not None}
    limit, offset = request.count("limit", request.settings.default_limit), request.count("offset", 0)
    fields = request.part("returnFields")

    cards = []
    if wanted or (request.settings.empty_filter_lists_all and not filters):
        cards = request.ledger.find(wanted, _statuses(request), limit, offset)
    for card in cards:
        request.check_pin(card)
    return {"cards": [_card(request, card, fields) for card in cards], "usedCache": False}


def _statuses(request: Request) -> list[str]:
    if request.flag("includeInactive"):
        return ["active", "suspended", "inventory"]
    return ["active"] if request.settings.suspended_is_inactive else ["active", "suspended"]


def _card(request: Request, card: Card, fields: Json) -> Json:
    shown: Json = {"cardNumber": card.number, "cardSetId": card.card_set}
    known = _fields(request, card)
    for name in fields:
        if request.flag(name, fields) and name in known and (value := known[name]()) is not None:
            shown[name] = value
    return shown


def _fields(request: Request, card: Card) -> dict[str, Any]:
    """Every return field, each made only when asked for; None is left out."""
    account, settings = card.account, request.settings
    status = {"active": settings.status_active, "suspended": settings.status_suspended,
              "inventory": settings.status_inventory}  # fmt: skip
    return {
        "balances": lambda: balance_entries(request, card.number),
        # The time of day is 00:00:00 in every recording.
        "activationDate": lambda: utc(card.activated)[:10] + " 00:00:00" if card.activated is not None else None,
        "customer": lambda: account.get("primaryCustomer"),
        "alternateCustomer": lambda: account.get("alternateCustomer"),
        "giverCustomer": lambda: account.get("giverCustomer"),
        "isEnrolled": lambda: bool(account.get("countAsEnrollment")),
        "customData": lambda: account.get("customData"),
        "customCardNumber": lambda: account.get("customCardNumber"),
        "brandDemographics": lambda: _demographics(account),
        "mailings": list,
        "checkouts": lambda: _checkouts(request, card),
        settings.status_field: lambda: status[card.status],
    }


def _demographics(account: Json) -> str | None:
    """A JSON text within the JSON, as a client reads it."""
    pairs = account.get("brandDemographics")
    return dumps(pairs) if pairs else None


def _checkouts(request: Request, card: Card) -> list[Json]:
    rows = request.ledger.sql(
        "select id from checkout where number = ? and stage = 'complete' order by rowid desc", (card.number,)
    )
    return [{"transactionId": checkout_id} for (checkout_id,) in rows]


def card_history(request: Request) -> Json:
    """A page of a card's history, newest first; counts of all and of those the filters leave."""
    card = request.card()
    if card.status == "inventory":
        raise Refused(request.errors.not_activated)
    types = request.parts("restrictTransactionTypes")
    begin = request.moment("beginDate")
    limit, offset = request.count("limit", request.settings.default_limit), request.count("offset", 0)

    entries = request.ledger.history(card.number)
    since = int(begin.timestamp() * 1000) if begin else 0
    matching = [entry for entry in entries if (not types or entry.call_type in types) and entry.time >= since]
    answer: Json = {
        "transactions": [_transaction(entry) for entry in matching[offset : offset + limit]],
        "transactionCount": len(entries),
        "matchCount": len(matching),
    }
    if entries:
        answer |= {"oldestTransaction": utc(entries[-1].time), "newestTransaction": utc(entries[0].time)}
    return answer


def _transaction(entry: Entry) -> Json:
    location = {} if entry.location is None else {"location": entry.location}
    updates = [mutation_of(update) for update in entry.updates] if entry.shown else []
    return {
        "transactionId": entry.transaction_id, "isLegacy": False, "transactionTime": entry.time, **location,
        "callType": entry.call_type, "balanceUpdates": updates, "requestRef": entry.request_ref,
    }  # fmt: skip


def checkout_lookup(request: Request) -> Json:
    rows = request.ledger.sql(
        "select location, products, mutations from checkout where id = ? and stage = 'complete'",
        (request.text("checkoutTransactionId"),),
    )
    if not rows:
        raise Refused(request.errors.unknown_checkout)
    location, products, mutations = rows[0]
    whole = request.settings.checkout_lookup_shows_products
    return {
        "skus": [each if whole else {"sku": each["sku"]} for each in loads(products)],
        "balanceMutations": [_mutation(request, *mutation) for mutation in loads(mutations)],
        "locationId": location,
    }


def _mutation(request: Request, kind: str, code: str, minor: int, discount: bool) -> Json:
    value = request.ledger.value(kind, code)
    assert value is not None
    return {**mutation_of(Update(value, minor)), "isDiscount": discount}

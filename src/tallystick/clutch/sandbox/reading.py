"""The methods that move nothing: search, cardHistory, checkoutLookup."""

from __future__ import annotations

from typing import Any

from tallystick.clutch.sandbox.books import Card, Entry, Update
from tallystick.clutch.sandbox.call import Call, Json, balance_entries, mutation_of, utc
from tallystick.clutch.sandbox.jsontext import dumps, loads
from tallystick.clutch.sandbox.settings import Refused

FILTERS = {"cardNumber": "number", "customCardNumber": "custom_number", "email": "email", "phone": "phone"}


def search(call: Call) -> Json:
    """An unknown card is an empty list, even with a PIN; a known one with a wrong PIN is an error. Both recorded."""
    filters = call.part("filters")
    wanted = {column: text for name, column in FILTERS.items() if (text := call.text(name, filters)) is not None}
    limit, offset = call.count("limit", call.settings.default_limit), call.count("offset", 0)
    fields = call.part("returnFields")

    cards = []
    if wanted or (call.settings.empty_filter_lists_all and not filters):
        cards = call.books.find(wanted, _statuses(call), limit, offset)
    for card in cards:
        call.check_pin(card)
    return {"cards": [_card(call, card, fields) for card in cards], "usedCache": False}


def _statuses(call: Call) -> list[str]:
    if call.flag("includeInactive"):
        return ["active", "suspended", "inventory"]
    return ["active"] if call.settings.suspended_is_inactive else ["active", "suspended"]


def _card(call: Call, card: Card, fields: Json) -> Json:
    shown: Json = {"cardNumber": card.number, "cardSetId": card.card_set}
    known = _fields(call, card)
    for name in fields:
        if call.flag(name, fields) and name in known and (value := known[name]()) is not None:
            shown[name] = value
    return shown


def _fields(call: Call, card: Card) -> dict[str, Any]:
    """Every return field, each made only when asked for; None is left out."""
    account, settings = card.account, call.settings
    status = {
        "active": settings.status_active,
        "suspended": settings.status_suspended,
        "inventory": settings.status_inventory,
    }
    return {
        "balances": lambda: balance_entries(call, card.number),
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
        "checkouts": lambda: _checkouts(call, card),
        settings.status_field: lambda: status[card.status],
    }


def _demographics(account: Json) -> str | None:
    """A JSON text within the JSON, as a client reads it."""
    pairs = account.get("brandDemographics")
    return dumps(pairs) if pairs else None


def _checkouts(call: Call, card: Card) -> list[Json]:
    rows = call.books.sql(
        "select id from checkout where number = ? and stage = 'complete' order by rowid desc", (card.number,)
    )
    return [{"transactionId": checkout_id} for (checkout_id,) in rows]


def card_history(call: Call) -> Json:
    """A page of a card's history, newest first; counts of all and of those the filters leave."""
    card = call.card()
    if card.status == "inventory":
        raise Refused(call.errors.not_activated)
    types = call.parts("restrictTransactionTypes")
    begin = call.moment("beginDate")
    limit, offset = call.count("limit", call.settings.default_limit), call.count("offset", 0)

    entries = call.books.history(card.number)
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
    return {
        "transactionId": entry.transaction_id,
        "isLegacy": False,
        "transactionTime": entry.time,
        **location,
        "callType": entry.call_type,
        "balanceUpdates": [mutation_of(update) for update in entry.updates] if entry.shown else [],
        "requestRef": entry.request_ref,
    }


def checkout_lookup(call: Call) -> Json:
    rows = call.books.sql(
        "select location, products, mutations from checkout where id = ? and stage = 'complete'",
        (call.text("checkoutTransactionId"),),
    )
    if not rows:
        raise Refused(call.errors.unknown_checkout)
    location, products, mutations = rows[0]
    whole = call.settings.checkout_lookup_shows_products
    return {
        "skus": [each if whole else {"sku": each["sku"]} for each in loads(products)],
        "balanceMutations": [_mutation(call, *mutation) for mutation in loads(mutations)],
        "locationId": location,
    }


def _mutation(call: Call, kind: str, code: str, minor: int, discount: bool) -> Json:
    value = call.books.value(kind, code)
    assert value is not None
    return {**mutation_of(Update(value, minor)), "isDiscount": discount}

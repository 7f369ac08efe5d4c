"""checkout in one stage and in two. What a program does at checkout is unknown: by default, nothing but a record.

One stage: `isSetup` false. Two stages: `isSetup` true works out the mutations without applying them; a later call with
`isSetup` false names the setup's transactionId, works them out again and applies them.
"""

from __future__ import annotations

import json

from tallystick.clutch.sandbox.exact_json import dumps
from tallystick.clutch.sandbox.ledger import Card, Update
from tallystick.clutch.sandbox.request import MAX_DIGITS, Json, Request, balance_entries, decimal, mutation_of
from tallystick.clutch.sandbox.settings import Refused, ValueType

# A change of balance, and whether it lowers what the customer pays.
Mutation = tuple[Update, bool]


def checkout(request: Request) -> Json:
    """An anonymous checkout leaves `cardNumber` out (documented)."""
    card = request.card() if request.text("cardNumber") is not None else None
    _check_card(request, card)
    currency = request.ledger.value("Currency", request.settings.checkout_currency)
    if currency is None:
        raise Refused(request.errors.unknown_value_type)
    products, total = _basket(request, currency)
    setup, is_setup = request.text(request.settings.checkout_setup_field), request.flag("isSetup")
    if setup is not None:
        _check_setup(request, setup, card)

    mutations = _mutations(request, card, currency, total)
    if not is_setup:
        for update, _ in mutations:
            request.ledger.add(card.number if card else "", update.value, update.minor)
    transaction_id = _record(request, card, products, total, mutations, is_setup)
    if setup is not None and not is_setup:
        request.ledger.sql("update checkout set completed_by = ? where id = ?", (transaction_id, setup))
    return _answer(request, card, currency, transaction_id, total, mutations)


def _check_card(request: Request, card: Card | None) -> None:
    if card is None:
        return
    if card.status == "inventory":
        raise Refused(request.errors.not_activated)
    if card.status == "suspended" and "checkout" in request.settings.suspended_refuses:
        raise Refused(request.errors.card_suspended)


def _basket(request: Request, currency: ValueType) -> tuple[list[Json], int]:
    """The products, and the total: as sent, or added up from the products."""
    products, total = list[Json](), 0
    for product in request.parts("products"):
        if not isinstance(product, dict):
            raise Refused(request.errors.bad_request)
        bought_at = {name: product[name] for name in ("amountPurchased", "unitPrice") if name in product}
        products.append({"sku": request.text("sku", product) or "", **bought_at})
        bought = request.minor(product.get("amountPurchased", 1), ValueType("", "", 0))
        total += bought * request.minor(product.get("unitPrice", 0), currency)
    if request.body.get("checkoutTotal") is not None:
        total = request.minor(request.body["checkoutTotal"], currency)
    if not 0 <= total < 10**MAX_DIGITS:
        raise Refused(request.errors.bad_amount)
    return products, total


def _check_setup(request: Request, setup: str, card: Card | None) -> None:
    """A setup is completed once, by the same card."""
    rows = request.ledger.sql(
        "select number from checkout where id = ? and stage = 'setup' and completed_by is null", (setup,)
    )
    if not rows or rows[0][0] != (card.number if card else None):
        raise Refused(request.errors.unknown_checkout)


def _mutations(request: Request, card: Card | None, currency: ValueType, total: int) -> list[Mutation]:
    settings, mutations = request.settings, list[Mutation]()
    if card is None:
        return mutations
    spent = min(total, request.ledger.available(card.number, currency)) if settings.checkout_redeems else 0
    if spent:
        mutations.append((Update(currency, -spent), True))
    points = request.ledger.value("Points", "")
    earned = settings.checkout_points_per_unit * ((total - spent) // 10**currency.scale)
    if points is not None and earned:
        mutations.append((Update(points, earned), False))
    return mutations


def _record(
    request: Request, card: Card | None, products: list[Json], total: int, mutations: list[Mutation], is_setup: bool
) -> str:
    number = card.number if card else None
    updates = [] if is_setup else [update for update, _ in mutations]
    transaction_id = request.ledger.record(
        request.origin, "checkout_setup" if is_setup else "checkout", number, updates
    )
    stored = json.dumps([(update.value.kind, update.value.code, update.minor, less) for update, less in mutations])
    stage = "setup" if is_setup else "complete"
    request.ledger.sql(
        "insert into checkout (id, number, location, products, total, mutations, stage) values (?, ?, ?, ?, ?, ?, ?)",
        (transaction_id, number, request.origin.location, dumps(products), total, stored, stage),
    )
    return transaction_id


def _answer(
    request: Request, card: Card | None, currency: ValueType, transaction_id: str, total: int, mutations: list[Mutation]
) -> Json:
    discount = -sum(update.minor for update, is_discount in mutations if is_discount)
    answer: Json = {
        "transactionId": transaction_id,
        **({"cardNumber": card.number} if card is not None else {}),
        "responseMessages": [],
        "checkoutTotalBeforeDiscount": decimal(currency, total),
        "totalDiscount": decimal(currency, discount),
    }
    if request.flag("returnBalanceMutations"):
        answer["balanceMutations"] = [{**mutation_of(update), "isDiscount": less} for update, less in mutations]
    if request.flag("returnBalances") and card is not None:
        answer["balances"] = balance_entries(request, card.number)
    return answer

"""`checkout`: a basket is told to Clutch, in one stage or two, and what became of it is looked up.

A checkout has no machine and no journal: what it changes on a card is for Clutch's program to decide, and reaches our
books by `reconcile --apply`. It is sent once, whatever comes back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tallystick.cli.options import books_options, stdin_line
from tallystick.cli.printing import print_answer
from tallystick.errors import Invalid, NotFound
from tallystick.masks import mask

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tallystick.cli.options import BooksOptions
    from tallystick.clutch.checkout import Basket, Checkout
    from tallystick.engine.engine import Engine
    from tallystick.provider.protocol import Ambiguous, NotSeen, Outcome

KEYS = {"id": str, "currency": str, "total": str, "products": list}  # what every basket has
PRODUCT = {"sku": str, "quantity": int, "price": str}


@click.command()
@click.argument("basket", metavar="[BASKET]", required=False, type=click.File(encoding="utf-8"))
@click.option("--set-up", "set_up", is_flag=True, help="Only work out what it would change; nothing is applied.")
@click.option("--complete", metavar="ID", help="Apply what was set up under this transaction.")
@click.option("--look-up", "asked", metavar="TIME", help="What became of a checkout of this basket, asked at TIME.")
@click.option("--other", "others", metavar="ID", multiple=True, help="With --look-up: a transaction that is another's.")
@click.option("--read", "transaction", metavar="ID", help="What the checkout with this transaction was; no BASKET.")
@click.option("--pin-stdin", is_flag=True, help="Read the PIN from the first line of stdin.")
@books_options
@click.pass_context
def checkout(
    ctx: click.Context, basket: Any, set_up: bool, complete: str | None, asked: str | None, others: tuple[str, ...],
    transaction: str | None, pin_stdin: bool, books: BooksOptions, json_out: bool,
) -> None:  # fmt: skip
    """Tell Clutch what is bought; its program answers with discounts and points.

    BASKET is a JSON file, or - for stdin: id, currency, total, products (each with sku, quantity and the price of one),
    and perhaps order and card: an id of ours or a full number. The exit code is 1 if it was not done, or if that is not
    known.
    """
    modes = [set_up, complete is not None, asked is not None, transaction is not None]
    if sum(modes) > 1 or (basket is None) is not (transaction is not None):
        raise click.UsageError("give a BASKET with one of --set-up, --complete, --look-up, or none; or --read ID alone")
    if pin_stdin and basket is not None and basket.name == "<stdin>":
        raise click.UsageError("stdin has either the PIN or the BASKET: write the basket into a file")
    from tallystick.cli import parameters
    from tallystick.clutch.checkout import Checkout, Checkouts
    from tallystick.clutch.client import ClutchProvider

    told = _read(basket) if basket is not None else {}
    pin = stdin_line("PIN") if pin_stdin else None
    with books.opened(asks=True) as engine:
        if not isinstance(engine.provider, ClutchProvider):
            raise Invalid(f"a checkout is Clutch's: name --provider clutch, not {engine.provider.name}")
        checkouts, at = Checkouts(engine.provider), engine.now()
        found: Checkout | Outcome | NotSeen | Ambiguous
        if transaction is not None:
            found = checkouts.read(transaction)
        else:
            wanted = _basket(told, engine)
            if asked is not None:
                found = checkouts.look_up(wanted, parameters.moment("--look-up", asked), claimed=others)
            elif complete is not None:
                found = checkouts.complete(wanted, complete, pin)
            else:
                found = checkouts.set_up(wanted, pin) if set_up else checkouts.one_stage(wanted, pin)
            told = {"id": wanted.id, "card": mask(wanted.card) if wanted.card else None}
    plain = {**told, **_plain(found, set_up=set_up)}
    if plain["result"] == "unknown":
        plain["look_up"] = f"{at:%FT%TZ}"
    print_answer(json_out, plain, lambda: _tables(plain))
    ctx.exit(0 if isinstance(found, Checkout) else 1)


def _read(file: Any) -> Any:
    try:
        return json.load(file)
    except ValueError as error:
        raise Invalid(f"the basket is no JSON: {error}") from None


def _basket(told: object, engine: Engine) -> Basket:
    """A basket as it stands in a file. Raises Invalid."""
    from tallystick import money
    from tallystick.clutch.checkout import Basket, Product

    known = _typed("basket", told, {**KEYS, "order": str, "card": str}, optional=("order", "card"))
    products = [_typed("product", each, PRODUCT) for each in known["products"]]
    currency = known["currency"]
    lines = [Product(each["sku"], each["quantity"], money.parse(each["price"], currency)) for each in products]
    card = known.get("card")
    number = _number(engine, card) if card is not None else None
    return Basket(known["id"], currency, lines, money.parse(known["total"], currency), number, known.get("order"))


def _typed(what: str, told: object, types: Mapping[str, type], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise Invalid(f"a {what} is a JSON object with {', '.join(types)}")
    for name, type_ in types.items():
        if name in optional and name not in told:
            continue
        if type(told.get(name)) is not type_:
            kind = {str: 'text, such as "5.00"', int: "a whole number", list: "a list"}[type_]
            raise Invalid(f"{name} of the {what} is {kind}")
    if unknown := told.keys() - types.keys():
        raise Invalid(f"a {what} has no {', '.join(sorted(unknown))}; it has {', '.join(types)}")
    return told


def _number(engine: Engine, card: str) -> str:
    """The number of a card of our books; or it is one already."""
    from tallystick.cli import parameters

    try:
        with engine.store.reading() as reading:
            found = parameters.entity_named(engine, reading, card)
    except NotFound:
        if card.isdigit():
            return card
        raise
    number = found.facts.get("number")
    if not number:
        raise Invalid(f"{found.machine} {found.id!r} has no card number")
    return engine.numbers.opened(str(number))


def _plain(found: Checkout | Outcome | NotSeen | Ambiguous, *, set_up: bool) -> dict[str, Any]:
    from tallystick.provider.protocol import Ambiguous, NotSeen, Outcome

    match found:
        case Outcome():
            return {"result": found.result.value, "why": found.text, "code": found.code, "request": found.request}
        case NotSeen():
            return {"result": "not_seen", "why": found.evidence}
        case Ambiguous():
            return {"result": "ambiguous", "why": found.evidence}
    return {
        "result": "set_up" if set_up else "confirmed",
        "transaction": found.reference, "request": found.request, "location": found.location,
        "changes": [
            {"type": kind, "code": code, "amount": str(amount), "discount": discount}
            for kind, code, amount, discount in found.mutations
        ],
        "bought": [
            {"sku": each.sku, "quantity": _text(each.quantity), "price": _text(each.price)} for each in found.bought
        ],
    }  # fmt: skip


def _text(shown: object) -> str | None:
    return None if shown is None else str(shown)


def _tables(plain: Mapping[str, Any]) -> list[RenderableType]:
    from tallystick.cli.as_tables import grid

    if "changes" not in plain:
        later = f"; look it up with --look-up {plain['look_up']}" if "look_up" in plain else ""
        return [f"{plain['result'].replace('_', ' ')}: {plain['why'] or 'no reason was given'}{later}"]
    says = {"set_up": "set up, nothing is applied", "confirmed": "checked out"}[plain["result"]]
    changes = [
        [each["amount"], each["code"] or each["type"], "discount" if each["discount"] else ""]
        for each in plain["changes"]
    ]
    bought = [[each["sku"], each["quantity"] or "", each["price"] or ""] for each in plain["bought"]]
    head = f"{says}; transaction {plain['transaction'] or 'not named'}"
    return [
        head if changes else f"{head}; no balance changes",
        *([grid("amount", "of", "", rows=changes, right=["amount"])] if changes else []),
        *([grid("bought", "quantity", "price of one", rows=bought)] if bought else []),
    ]

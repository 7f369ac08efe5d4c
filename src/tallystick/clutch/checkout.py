"""Checkouts: a basket is told to Clutch, whose programs answer with discounts and points; in one stage or in two.

They are no verb of the protocol and have no machine. The program decides which balances a checkout changes and by how
much, and only the answer tells (docs/explanation/why.md). So checkouts stand apart: with their own requests, answers,
and look-up.
What a checkout changed on a card reaches our books like the act of another channel: by `observe`, or by
`reconcile --apply`.

    look_up    a set-up applies nothing, so it is done again. For the others, each unclaimed entry of the checkout type,
               at our location and of that time, is read with checkoutLookup. It fits if it shows the same goods,
               quantities and prices. One fits: done. None: not seen. A person decides about several, about one that
               shows the goods without quantities or prices, and about an anonymous one, which stands on no card
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import attrs

from tallystick.clutch import answers, lookup
from tallystick.clutch.answers import (
    Entry,
    Json,
    NotRead,
    StrangeAnswer,
    digits,
    id_of,
    number,
    objects,
    text_of,
    with_pin,
)
from tallystick.clutch.client import ClutchProvider
from tallystick.clutch.settings import ClutchSettings
from tallystick.clutch.transport import Answer
from tallystick.clutch.wire import Request
from tallystick.provider.protocol import Ambiguous, Call, CardFacts, NotSeen, Outcome, Result


@attrs.frozen
class Product:
    """A line of a basket; `price` is of one, in minor units."""

    sku: str
    quantity: int
    price: int


@attrs.frozen
class Basket:
    """What is bought. `id` is ours and unique; without a card it is anonymous."""

    id: str
    currency: str
    products: Sequence[Product]
    total: int
    card: str | None = attrs.field(default=None, repr=False)
    order: str | None = None


@attrs.frozen(order=True)
class Bought:
    """A line of a basket as a look-up shows it: perhaps the SKU alone."""

    sku: str
    quantity: Decimal | None = None
    price: Decimal | None = None


@attrs.frozen
class Checkout:
    """What Clutch made of a basket. Mutations: balanceType, balanceCode, signed amount, whether it is a discount."""

    reference: str | None
    request: str | None
    location: str | None
    mutations: tuple[tuple[str, str | None, Decimal, bool], ...]
    bought: tuple[Bought, ...] = ()  # only a look-up shows them


# Words


def request(
    settings: ClutchSettings, basket: Basket, pin: str | None = None, *,
    sets_up: bool = False, completes: str | None = None,
) -> Request:  # fmt: skip
    """A checkout in one stage. Of two stages, the first `sets_up`, and the second `completes` the id of the first."""
    whose = {} if basket.card is None else {"cardNumber": digits(basket.card, settings.numbers_as)}
    lines = [
        {"sku": each.sku, "amountPurchased": each.quantity, "unitPrice": number(each.price, basket.currency)}
        for each in basket.products
    ]
    body = {"products": lines, "isSetup": sets_up, "checkoutTotal": number(basket.total, basket.currency)}
    first = {} if completes is None else {settings.checkout_setup_field: completes}
    returned = {"returnBalances": True, "returnBalanceMutations": True}
    secret = with_pin(pin, basket.card or "", settings)
    return Request("checkout", {**whose, **body, **first, **returned, **secret})


def looked_up(transaction: str) -> Request:
    """Ask about a checkout whose id is known."""
    return Request("checkoutLookup", {"checkoutTransactionId": transaction}, reads=True)


def checked_out(answer: Json) -> Checkout:
    """The success of a checkout, or of its look-up. Raises: StrangeAnswer."""
    mutations = []
    for each in objects(answer.get("balanceMutations") or [], "balanceMutations"):
        amount = each.get("amount")
        if isinstance(amount, bool) or not isinstance(amount, (int, Decimal)):
            raise StrangeAnswer("an amount is none")
        kind, code = text_of(each.get("balanceType")), text_of(each.get("balanceCode"))
        mutations.append((kind or "", code, Decimal(amount), each.get("isDiscount") is True))
    bought = tuple(
        Bought(text_of(each.get("sku")) or "", _shown(each.get("amountPurchased")), _shown(each.get("unitPrice")))
        for each in objects(answer.get("skus") or [], "skus")
    )
    reference, request_ref = id_of(answer.get("transactionId")), id_of(answer.get("requestRef"))
    return Checkout(reference, request_ref, text_of(answer.get("locationId")), tuple(mutations), bought)


def _shown(value: object) -> Decimal | None:
    """A number, if it is one."""
    return Decimal(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None


# Asked for


class Checkouts:
    """Checkouts of one provider. Each is sent once, whatever comes back; `look_up` says what became of a lost one."""

    def __init__(self, provider: ClutchProvider) -> None:
        self._provider, self._settings = provider, provider.settings

    def one_stage(self, basket: Basket, pin: str | None = None) -> Checkout | Outcome:
        return self._sent(basket, request(self._settings, basket, pin), pin)

    def set_up(self, basket: Basket, pin: str | None = None) -> Checkout | Outcome:
        """Let Clutch work out what it would change; nothing is applied."""
        first = attrs.evolve(basket, id=f"{basket.id}/set-up")  # under one id both stages might have one answer
        return self._sent(first, request(self._settings, basket, pin, sets_up=True), pin)

    def complete(self, basket: Basket, set_up: str, pin: str | None = None) -> Checkout | Outcome:
        """Apply what was set up under this transaction id."""
        return self._sent(basket, request(self._settings, basket, pin, completes=set_up), pin)

    def read(self, transaction: str) -> Checkout:
        """What a checkout was, by its id. Raises: NotRead."""
        return self._provider.read(looked_up(transaction), checked_out)

    def look_up(
        self, basket: Basket, asked_at: datetime, *, claimed: Collection[str] = (), sets_up: bool = False
    ) -> Checkout | NotSeen | Ambiguous:
        """What became of a checkout that got no answer. `claimed`: transactions that are known to be others."""
        if sets_up:
            return NotSeen("a set-up applies nothing; it is done again")
        if basket.card is None:
            return Ambiguous("an anonymous checkout stands on no card; Clutch's portal may show it")
        quiet = timedelta(seconds=self._settings.quiet_period)
        if self._provider.clock() < asked_at + quiet:
            return Ambiguous(f"asked less than {quiet.total_seconds():g} s ago; it may still be on its way")
        try:
            return self._found(basket, asked_at, claimed)
        except NotRead as error:
            return Ambiguous(str(error))

    def _found(self, basket: Basket, asked_at: datetime, claimed: Collection[str]) -> Checkout | NotSeen | Ambiguous:
        """What the record says. Raises: NotRead."""
        card = CardFacts(basket.id, basket.currency, basket.card)
        history = self._provider.history(card, asked_at - timedelta(seconds=self._settings.clock_skew))
        call = Call(basket.id, "checkout", card, {}, opened_at=asked_at, asked_at=asked_at, claimed=claimed)
        case = lookup.Case(call, self._settings, None, history)
        certain = any(entry.call == basket.id for entry in history.entries)
        sure, maybe = lookup.of_kind(case, self._settings.type_checkout)
        read = {entry: self.read(entry.id) for entry in (*sure, *maybe)}
        fits = {entry: lookup.YES if certain else _fit(checkout, basket) for entry, checkout in read.items()}
        fitting = [entry for entry, fit in fits.items() if fit]
        if len(fitting) == 1 and fitting[0] in sure and fits[fitting[0]] == lookup.YES:
            return attrs.evolve(read[fitting[0]], reference=fitting[0].id, request=fitting[0].request)
        if not fitting and history.complete:
            return NotSeen("no checkout of these goods that is not accounted for")
        return Ambiguous(_evidence(fitting))

    def _sent(self, basket: Basket, asked: Request, pin: str | None) -> Checkout | Outcome:
        secrets: Mapping[str, str] = {"pin": pin} if pin else {}
        card = CardFacts(basket.id, basket.currency, basket.card)
        call = Call(basket.id, "checkout", card, {}, secrets, basket.order, asked_at=self._provider.clock())
        answer = self._provider.send(asked, call)
        if not isinstance(answer, Answer):
            return answer
        success = answers.envelope(self._settings, answer.status, answer.body, (basket.card or "", *secrets.values()))
        try:
            return success if isinstance(success, Outcome) else checked_out(success)
        except StrangeAnswer as strange:
            return Outcome(Result.UNKNOWN, text=str(strange))


def _fit(checkout: Checkout, basket: Basket) -> int:
    """How well what was bought fits: surely only if all of it is shown, and is the same."""
    ours = sorted(
        Bought(each.sku, Decimal(each.quantity), Decimal(number(each.price, basket.currency)))
        for each in basket.products
    )
    if all(each.quantity is not None and each.price is not None for each in checkout.bought):
        return lookup.YES if sorted(checkout.bought) == ours else lookup.NO
    if sorted(each.sku for each in checkout.bought) != [each.sku for each in ours]:
        return lookup.NO
    return lookup.MAYBE if all(any(_may_be(one, each) for one in ours) for each in checkout.bought) else lookup.NO


def _may_be(ours: Bought, theirs: Bought) -> bool:
    """Whether what is shown of a line is as ours has it."""
    return ours.sku == theirs.sku and theirs.quantity in (None, ours.quantity) and theirs.price in (None, ours.price)


def _evidence(entries: Sequence[Entry]) -> str:
    if not entries:
        return "the history is too long; nothing was found in the part that was read"
    lines = [f"{each.at:%F %T} at {each.location or 'no location'}, transaction {each.id}" for each in entries]
    return f"{len(lines)} may be it: {'; '.join(lines)}"

"""Where the provider is called: what it is told of a call, and what it answers.

A call is performed or looked up, a card is observed, and every end of that is a value. No transaction is open then. The
text of a foreign exception may hold a secret, so only its type is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

import attrs

from tallystick.core.entity import Entity
from tallystick.engine.sealing import Numbers
from tallystick.errors import StoreError
from tallystick.masks import quoted, redacted
from tallystick.money import LIMIT
from tallystick.provider.protocol import (
    Ambiguous,
    Call,
    CardFacts,
    NotSeen,
    Observed,
    Observer,
    Outcome,
    Provider,
    Result,
    Unread,
)
from tallystick.store.rows import CallRow

OnPin = Callable[[str, str], object]  # the id of a card, and the PIN that was drawn for it


def card_facts(card: Entity) -> CardFacts:
    """What a provider may know of a card."""
    fact = card.facts.get
    number, card_set, form, kind = fact("number"), fact("card_set"), fact("form"), fact("kind")
    return CardFacts(card.id, card.currency, number, card_set, form, kind)  # type: ignore[arg-type]  # texts, if any


def call_of(row: CallRow, card: Entity) -> Call:
    """A call that the books keep, as the provider sees it."""
    args = json.loads(row.args)
    order = args.pop("order", None)
    opened, asked = datetime.fromisoformat(row.opened), datetime.fromisoformat(row.asked)
    return Call(
        row.id, row.verb, card_facts(card), args, order=order, opened_at=opened, asked_at=asked, attempt=row.attempts
    )


def performed(provider: Provider, numbers: Numbers, call: Call, on_pin: OnPin | None) -> Outcome:
    """Send a call once. If the provider raises, or its answer cannot be kept, the outcome is unknown."""
    try:
        outcome = numbers.perform(provider, call)
    except Exception as error:  # noqa: BLE001  # whatever went wrong, it may have been done
        return Outcome(Result.UNKNOWN, text=f"{type(error).__name__} in provider {provider.name}")
    _hand_on(on_pin, call, outcome)
    return _readable(outcome, numbers, call) or Outcome(Result.UNKNOWN, text="the provider's answer cannot be kept")


def looked_up(provider: Provider, numbers: Numbers, call: Call) -> Outcome | NotSeen | Ambiguous:
    """What the provider's own record says became of a call."""
    try:
        found = numbers.look_up(provider, call)
    except Exception as error:  # noqa: BLE001  # not knowing is no answer
        return Ambiguous(f"{type(error).__name__} while looking it up", later=True)
    if isinstance(found, NotSeen | Ambiguous):  # times and transactions in it are for a person: long numbers stay
        evidence = redacted(_in_one_line(found.evidence) or "", _secrets(numbers, call), long_numbers=False)
        return attrs.evolve(found, evidence=evidence)
    return _readable(found, numbers, call) or Ambiguous("what the provider's record says of it cannot be read")


def observed(observer: Observer, numbers: Numbers, card: CardFacts, *, history: bool = True) -> Observed | Unread:
    """A card as the provider has it. Whatever is odd about that ends as `Unread`: of this card, not of all."""
    try:
        found = numbers.observe(observer, card, history=history)
    except Exception as error:  # noqa: BLE001  # its text may hold a secret
        return Unread(f"{type(error).__name__} while reading it")
    if isinstance(found, Unread):
        return Unread(redacted(_in_one_line(found.why) or ""))
    return found if _can_be(found) else Unread("what the provider shows of it cannot be")


def _can_be(found: object) -> bool:
    """Whether a card can look like this: ids that can be kept, and amounts within bounds."""
    if not isinstance(found, Observed):
        return False
    amounts = [found.available, *found.holds.values(), sum(found.holds.values())]
    changes = [line.amount for line in found.lines if line.amount is not None]
    ids = [*found.holds, *(line.id for line in found.lines), *(line.request or "-" for line in found.lines)]
    return (
        all(type(each) is int and 0 <= each <= LIMIT for each in amounts)
        and all(type(each) is int and abs(each) <= LIMIT for each in changes)
        and all(isinstance(each, str) and each.isprintable() and each for each in ids)
        and all(line.at.tzinfo is not None for line in found.lines)
    )


def _secrets(numbers: Numbers, call: Call) -> list[str]:
    """What no text about this call may show: the card's number as the provider knows it, and what was passed on."""
    known = [each for each in (call.card.number, call.args.get("number")) if isinstance(each, str)]
    with suppress(StoreError):  # it cannot be opened, so the provider was never told
        known = [numbers.opened(each) for each in known]
    return [*known, *call.secrets.values()]


def _readable(outcome: object, numbers: Numbers, call: Call) -> Outcome | None:
    """The outcome with its text in one line, or None: it is no outcome, or has names that cannot be kept."""
    if not isinstance(outcome, Outcome):
        return None
    ids = [id for id in (outcome.reference, outcome.request) if isinstance(id, str)]
    hide = _secrets(numbers, call) if outcome.text or outcome.code else []
    said = [_shown(text, hide, ids) for text in (outcome.text, outcome.code)]
    names = (*said, outcome.reference, outcome.request, outcome.number, outcome.pin)
    amounts = (outcome.amount, outcome.available)
    if all(name is None or (isinstance(name, str) and name.isprintable()) for name in names) and all(
        amount is None or type(amount) is int for amount in amounts
    ):
        return attrs.evolve(outcome, text=said[0], code=said[1])
    return None


def _hand_on(on_pin: OnPin | None, call: Call, outcome: object) -> None:
    """Give a PIN to `on_pin` at once, because nobody keeps it. If that fails, the books go on without it."""
    pin = getattr(outcome, "pin", None)
    if on_pin is None or not pin:
        return
    try:
        on_pin(call.card.id, pin)
    except Exception as error:  # noqa: BLE001  # its text may hold the PIN
        import logging

        card, log = quoted(call.card.id), logging.getLogger("tallystick.books")
        log.error("the PIN of card %s was drawn and could not be handed on: %s", card, type(error).__name__)


def _shown(text: str | None, hide: Sequence[str], ids: Sequence[str]) -> str | None:
    """Text for people; the ids in it may be numbers, and are needed."""
    return redacted(_in_one_line(text) or "", hide, keep=ids) if isinstance(text, str) else text


def _in_one_line(text: str | None) -> str | None:
    """The text without control characters. They must not make a clear answer unclear."""
    if not isinstance(text, str):
        return text
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())

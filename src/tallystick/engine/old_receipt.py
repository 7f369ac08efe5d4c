"""What the store keeps of a call and a command, made into what is told of them again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime

import attrs

from tallystick.core import resolve
from tallystick.core.entity import Entity, InFlight, Posting, Ref
from tallystick.definition.machine import Machines
from tallystick.engine.receipt import Ended, Receipt
from tallystick.errors import quoted
from tallystick.provider.protocol import Call, CardFacts, Outcome, Reason, Result
from tallystick.store.rows import CallRow, Record, encode

_log = logging.getLogger("tallystick.books")

_ENDED = {
    "open": Ended.IN_DOUBT,
    "confirmed": Ended.APPLIED,
    "declined": Ended.DECLINED,
    "unavailable": Ended.UNAVAILABLE,
}


def card_facts(card: Entity) -> CardFacts:
    """What a provider may know of a card."""
    fact = card.facts.get
    number, card_set, form, kind = fact("number"), fact("card_set"), fact("form"), fact("kind")
    return CardFacts(card.id, card.currency, number, card_set, form, kind)  # type: ignore[arg-type]  # texts, if any


def call_of(row: CallRow, card: Entity) -> Call:
    """The call as the provider sees it, from its row."""
    args = json.loads(row.args)
    order = args.pop("order", None)
    opened, asked = datetime.fromisoformat(row.opened), datetime.fromisoformat(row.asked)
    return Call(
        row.id, row.verb, card_facts(card), args, order=order, opened_at=opened, asked_at=asked, attempt=row.attempts
    )


def same_card(row: CallRow, card: Entity, machines: Machines, having: Callable[[str, str], list[Entity]]) -> list[Ref]:
    """Whom a call is about at the provider: its card, and the other balances of a card with several."""
    unique = machines[row.machine].unique
    number = (card.facts.get(unique) if unique else None) or json.loads(row.args).get("number")
    refs = [each.ref for each in having(row.machine, str(number))] if unique and number else []
    return list(dict.fromkeys([card.ref, *refs]))


def ids_of(row: CallRow) -> list[str]:
    """The provider's names for what a closed call did: the transaction's and the request's."""
    outcome = outcome_told(row.outcome)
    return [id for id in (outcome.reference, outcome.request) if id] if outcome else []


def _before(after: dict[str, int], postings: list[tuple[str, str, int]]) -> dict[str, int]:
    """The accounts before the postings of an entry."""
    return resolve.post(after, [Posting(target, source, amount) for source, target, amount in postings])


def readable(outcome: object) -> Outcome | None:
    """An outcome as it can be kept: what is said for people in one line. None, if it is none or names oddly."""
    if not isinstance(outcome, Outcome):
        return None
    said = [_in_one_line(text) for text in (outcome.text, outcome.code)]
    names = (*said, outcome.reference, outcome.request, outcome.number, outcome.pin)
    amounts = (outcome.amount, outcome.available)
    if all(name is None or (isinstance(name, str) and name.isprintable()) for name in names) and all(
        amount is None or type(amount) is int for amount in amounts
    ):
        return attrs.evolve(outcome, text=said[0], code=said[1])
    return None


def hand_on(on_pin: Callable[[str, str], object] | None, call: Call, outcome: object) -> None:
    """A PIN goes to whom it is for at once, as nobody keeps it; where that fails, the books go on without it."""
    pin = getattr(outcome, "pin", None)
    if on_pin is None or not pin:
        return
    try:
        on_pin(call.card.id, pin)
    except Exception as error:  # noqa: BLE001  # its text may hold the PIN
        card = quoted(call.card.id)
        _log.error("the PIN of card %s was drawn and could not be handed on: %s", card, type(error).__name__)


def _in_one_line(text: str | None) -> str | None:
    """A control character in what a provider says must not make its clear answer an unclear one."""
    if not isinstance(text, str):
        return text
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def outcome_kept(outcome: Outcome) -> str:
    """An outcome as it may be stored: no PIN, and the number only where the machine put it."""
    fields = attrs.asdict(
        outcome, filter=lambda field, value: value is not None and field.name not in ("pin", "number")
    )
    return encode(fields)


def outcome_told(text: str | None) -> Outcome | None:
    if text is None:
        return None
    fields = json.loads(text)
    reason = Reason(fields.pop("reason")) if "reason" in fields else None
    return Outcome(Result(fields.pop("result")), reason=reason, **fields)


def in_flight(
    machine: str,
    id: str,
    transition: str,
    command: str,
    args: dict[str, object],
    amounts: list[int],
    partial: str | None,
) -> InFlight:
    return InFlight(machine, id, transition, command, args, tuple(amounts), partial)


def _why(row: CallRow | None, outcome: Outcome | None) -> str:
    if row is None or (row.state == "confirmed" and (row.attempts < 2 or not row.note)):
        return ""
    if row.state == "confirmed":  # what an earlier attempt may have left behind
        return f"{row.verb} was sent {row.attempts} times: {row.note}"
    if row.state == "open":
        note = row.note or "no answer came"
        return f"{row.verb} was sent to the provider and its answer is not known: {note} (call {row.id})"
    said = f"{outcome.reason or ''} {outcome.text or ''}".strip() if outcome else ""
    ended = "declined" if row.state == "declined" else "was not reached for"
    return f"the provider {ended} {row.verb}{f': {said}' if said else ''}"


def told(seen: Record, row: CallRow | None, caused: list[Record]) -> Receipt:
    """What became of a command: `seen` carries its key, `caused` are all other entries it made, in order.

    With a call, what it tells of is the last time it was asked, and the answer to that.
    """
    mine = [seen, *(each for each in caused if (each.machine, each.entity) == (seen.machine, seen.entity))]
    told_of, outcome = [seen], None
    if row is not None:
        asked = max(number for number, each in enumerate(mine) if each.phase == "asked")
        told_of = mine[asked:]
        outcome = outcome_told(row.outcome)
    first, last = told_of[0], told_of[-1]
    return Receipt(
        _ENDED[row.state] if row else Ended.APPLIED,
        str(seen.key), seen.machine, seen.entity, seen.command, last.to_state, seen.currency,
        _before(json.loads(first.after), json.loads(first.postings)), json.loads(last.after),
        tuple(Posting(*posting) for each in told_of for posting in json.loads(each.postings)), last.transition, outcome,
        call=row.id if row else None, why=_why(row, outcome), replayed=True,
    )  # fmt: skip

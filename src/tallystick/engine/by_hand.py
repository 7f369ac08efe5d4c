"""What only a person can say: what became of a call, and what becomes of a queued command that nobody takes further.

Nothing here decides anything: a person does, with name and reason, and both are kept with the call or the command.
"""

from __future__ import annotations

import json

import attrs

from tallystick.core.arguments import LONGEST
from tallystick.core.resolve import strange
from tallystick.engine import end_call
from tallystick.engine.old_receipt import in_flight
from tallystick.engine.unit_of_work import Unit
from tallystick.errors import Invalid, nearest, quoted
from tallystick.provider.protocol import Outcome, Result
from tallystick.provider.verbs import REPEATABLE
from tallystick.store.rows import CallRow, QueueRow

SAID = (Result.CONFIRMED, Result.DECLINED, Result.UNAVAILABLE)
NUMBERED = "allocate"  # its answer is a card number
GIVEN_UP = ("refused", "parked")  # a queued command that nobody tries any more
ENDED = (*GIVEN_UP, "declined")  # or that the provider has ended: its key is used, so it can only be laid aside


def named(by: object, reason: object) -> None:
    """Raises Invalid unless it is said who decides, and why."""
    for name, given in (("by", by), ("reason", reason)):
        if not isinstance(given, str) or not 0 < len(given) <= LONGEST or not given.isprintable():
            raise Invalid(
                f"who decides (by) and why (reason) has to be said in printable text; {name} is {given!r:.60}"
            )


def outcome(
    row: CallRow, result: str, *, reference: str | None = None, amount: int | None = None, number: str | None = None
) -> Outcome:
    """The outcome that a person says a call had.

    Raises:
        Invalid: the call is not open, or it cannot have had this outcome.
    """
    if result not in SAID:
        raise Invalid(f"a person says {', '.join(SAID[:-1])} or {SAID[-1]}, not {result!r}.{nearest(result, SAID)}")
    if row.state != "open":
        raise Invalid(f"call {row.id} is not open: it was {row.state} already")
    if result != Result.CONFIRMED and (reference or amount is not None or number):
        raise Invalid(f"what was {result} has neither reference nor amount nor number")
    if number is not None and row.verb != NUMBERED:
        raise Invalid(f"only an allocation gives a card number; call {row.id} is {row.verb}")
    for name, given in (("reference", reference), ("number", number)):
        if given is not None and not (0 < len(given) <= LONGEST and given.isprintable()):
            raise Invalid(f"the {name} has to be a printable text of 1 to {LONGEST} characters")
    said = Outcome(Result(result), reference=reference, amount=amount, number=number)
    partial = any(in_flight(*each).partial for each in json.loads(row.steps))
    odd = strange(said, end_call.asked_of(row), partial=partial)
    if odd:
        raise Invalid(odd.replace("the provider confirms", "you confirm"))
    if result == Result.CONFIRMED and row.verb not in REPEATABLE and not reference:  # else a later call may claim it
        raise Invalid(f"a confirmed {row.verb} has to be named by the provider's id of what it did: --reference")
    if result == Result.CONFIRMED and row.verb == NUMBERED and not number:
        raise Invalid("a confirmed allocation has to give the card that was drawn: --number")
    return said


def dismiss(unit: Unit, key: str, by: str, reason: str) -> QueueRow:
    """A queued command that was given up is not to be shown any more."""
    return _keep(unit, attrs.evolve(_waiting_for(unit, key, ENDED), state="dismissed", note=f"{by}: {reason}"))


def again(unit: Unit, key: str, by: str, reason: str) -> QueueRow:
    """A queued command that was given up is due now, with all its attempts before it."""
    row = attrs.evolve(
        _waiting_for(unit, key, GIVEN_UP), state="waiting", due=unit.at, attempts=0, note=f"{by}: {reason}"
    )
    return _keep(unit, row)


def _waiting_for(unit: Unit, key: str, states: tuple[str, ...]) -> QueueRow:
    row = unit.queued(key)
    if row is None or row.state not in states:
        state = f"it is {row.state}" if row is not None else "nothing is queued under it"
        would = f"what is {' or '.join(states)} may be" if row is not None else "see tallystick stuck"
        raise Invalid(f"no command waits for this under the key {quoted(key)}: {state}; {would}")
    return row


def _keep(unit: Unit, row: QueueRow) -> QueueRow:
    unit.changes.queue[row.key] = row
    return row

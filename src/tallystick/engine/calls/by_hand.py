"""What only a person can say: what became of a call. Who says it and why is kept with the call."""

from __future__ import annotations

from tallystick.core import arguments
from tallystick.core.arguments import LONGEST
from tallystick.core.resolve import strange
from tallystick.errors import Invalid, NotFound, nearest
from tallystick.masks import quoted
from tallystick.money import Money
from tallystick.provider.protocol import Outcome, Result
from tallystick.provider.verbs import REPEATABLE
from tallystick.store.protocol import Store
from tallystick.store.rows import CallRow

SHORTEST_PREFIX = 4  # characters of a call's id that may stand for the whole
SAID = (Result.CONFIRMED, Result.DECLINED, Result.UNAVAILABLE)
DISMISSED = "dismissed"  # a late answer was dealt with
NUMBERED = "allocate"  # its answer is a card number


def named(by: object, reason: object) -> None:
    """Raises Invalid unless it is said who decides, and why."""
    for name, given in (("by", by), ("reason", reason)):
        if not isinstance(given, str) or not 0 < len(given) <= LONGEST or not given.isprintable():
            raise Invalid(
                f"who decides (by) and why (reason) has to be said in printable text; {name} is {given!r:.60}"
            )


def call_named(store: Store, call: str) -> CallRow:
    """The call with this id, or the one that waits and begins so. Raises NotFound, or Invalid for several."""
    begins = []
    if isinstance(call, str) and call.isprintable():
        with store.reading() as reading:
            row = reading.call(call)
            if row is not None:
                return row
            waiting = [*reading.calls(), *reading.late_answers()] if len(call) >= SHORTEST_PREFIX else []
            begins = [each for each in waiting if each.id.startswith(call)]
    if len(begins) > 1:
        raise Invalid(f"{len(begins)} open calls begin with {quoted(call)}; give more of the id")
    if not begins:
        why = f"there is no call {quoted(call)}; `tallystick stuck` and `waiting` list those that are open"
        raise NotFound("call", call, why=why)
    return begins[0]


def outcome(
    row: CallRow,
    result: str,
    *,
    reference: str | None = None,
    amount: Money | str | None = None,
    number: str | None = None,
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
    minor = arguments.minor("the amount", amount, row.currency) if amount is not None else None
    said = Outcome(Result(result), reference=reference, amount=minor, number=number)
    partial = any(step.partial for step in row.in_flight)
    odd = strange(said, row.amount, partial=partial)
    if odd:
        raise Invalid(odd.replace("the provider confirms", "you confirm"))
    if result == Result.CONFIRMED and row.verb not in REPEATABLE and not reference:  # else a later call may claim it
        raise Invalid(f"a confirmed {row.verb} has to be named by the provider's id of what it did: --reference")
    if result == Result.CONFIRMED and row.verb == NUMBERED and not number:
        raise Invalid("a confirmed allocation has to give the card that was drawn: --number")
    return said

"""What is to be done about a call whose answer never came: a process crashed, or the line broke.

The provider's own record decides. If it does not say, a person does. Nothing is sent again that may have been done,
unless the provider does a call only once, however often it is sent under its id. We cannot send a call with a secret
again, because nobody has kept the secret.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from tallystick.definition.machine import Machines
from tallystick.engine.calls.ask_provider import call_of
from tallystick.engine.uniqueness import balances_of
from tallystick.provider.protocol import Ambiguous, Call, NotSeen, Outcome, Result
from tallystick.provider.verbs import REPEATABLE
from tallystick.store.protocol import Reading
from tallystick.store.rows import CallRow

NEVER_SENT = NotSeen("it was never sent")  # it was opened in a caller's transaction, and the caller has not sent it


class End(NamedTuple):
    """The call ended so."""

    outcome: Outcome
    found: bool  # in the provider's record


class SendAgain(NamedTuple):
    """It is sent once more under the same id: it is surely not done, or is not done twice."""

    evidence: str


class Wait(NamedTuple):
    """It stays open: a person has to look. `later`: the next look-up may still decide."""

    evidence: str
    later: bool


def next_step(
    row: CallRow, call: Call, found: Outcome | NotSeen | Ambiguous, *, repeats: bool = False
) -> End | SendAgain | Wait:
    """What to do about an open call, by what its look-up has found. `repeats`: as `Repeating.may_repeat` has it."""
    if repeats and not row.secret and not (isinstance(found, Ambiguous) and found.later):
        if not isinstance(found, Outcome):
            return SendAgain(found.evidence)
        if call.in_doubt and found.result is Result.CONFIRMED:  # its own first answer tells them apart for sure
            return SendAgain("another call is in doubt, and what was found may be that one's")
    if isinstance(found, Outcome):
        return End(found, found=True)
    if isinstance(found, NotSeen):
        if row.secret:
            text = "not seen by the provider; it carried a secret, so only its caller can send it again"
            return End(Outcome(Result.UNAVAILABLE, text=text), found=False)
        if row.attempts < 2 or row.verb in REPEATABLE:
            return SendAgain(found.evidence)
    later = isinstance(found, Ambiguous) and found.later
    return Wait(found.evidence or "sent twice, and not seen; a person has to look", later)


def known(reading: Reading, machines: Machines, row: CallRow) -> Call:
    """A call with all that our books know of its card: what other calls there were, and which of them are open."""
    card = reading.entity(row.machine, row.entity)
    assert card is not None
    unique = machines[row.machine].unique or ""
    refs = balances_of(row, card, machines, lambda name, value: reading.linked(name, unique, value))
    others = [each for ref in refs for each in reading.calls_on(*ref) if each.id != row.id]
    claimed = [id for each in others for id in each.ids]
    in_doubt = [call_of(each, card) for each in others if each.state == "open" and each.entity == row.entity]
    return attrs.evolve(call_of(row, card), claimed=claimed, in_doubt=in_doubt)

"""What ends a call, or does not yet: the second half of a command, inside one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs

from tallystick.core import resolve
from tallystick.core.entity import Entity, InFlight
from tallystick.definition.machine import Machine, Row
from tallystick.engine import uniqueness
from tallystick.engine.old_receipt import ids_of, in_flight, outcome_kept, same_card
from tallystick.engine.receipt import Ended, Receipt, stamp
from tallystick.engine.unit_of_work import Unit
from tallystick.errors import Invalid, quoted
from tallystick.provider.protocol import Call, Outcome, Result
from tallystick.store.rows import CallRow, QueueRow, Stamp

AsOf = tuple[int, str]  # how often a call was sent, and when last
LATE = timedelta(seconds=20)  # look-ups leave what a younger call may have done to that call


def close(
    unit: Unit,
    id: str,
    outcome: Outcome,
    *,
    by: str | None = None,
    reason: str | None = None,
    as_of: AsOf | None = None,
    found: bool = False,
) -> Receipt:
    """Resolve a call with its outcome; somebody may have been faster.

    `as_of` says of which attempt that is the outcome: that one attempt came to nothing does not end the next. What was
    `found` in the provider's record is one attempt's alone, and only if no other call accounts for it.

    Raises:
        Invalid: a person (`by`) names what another call accounts for.
    """
    row = _row(unit, id)
    if row.state != "open":
        return _too_late(unit, row, outcome)
    if as_of not in (None, (row.attempts, row.asked)) and (found or outcome.result is not Result.CONFIRMED):
        return unit.told_of(row)
    steps = [in_flight(*each) for each in json.loads(row.steps)]
    unit.reach([(step.machine, step.id) for step in steps])
    outcome = unit.numbers.outcome(resolve.meant(outcome, partial=any(step.partial for step in steps)))
    if (by or found or _late(unit, row)) and (other := _claimed(unit, row, outcome)):
        if by:
            raise Invalid(_taken(unit, row, outcome, other))
        return attrs.evolve(note(unit, id, f"what was found is what call {other} did already"), replayed=False)
    odd = uniqueness.odd(unit, _landing(unit, steps), outcome) if outcome.result is Result.CONFIRMED else ""
    plan = odd or resolve.resolve(unit.machines, id, steps, unit.world, outcome, asked_of(row))
    if isinstance(plan, str):
        why = plan if outcome.result is not Result.UNKNOWN else outcome.text or plan
        return attrs.evolve(note(unit, id, why), replayed=False)
    seen = unit.keyed.get(row.key) or unit.transaction.keyed([row.key])[row.key]
    keys = unit.remember(plan, Stamp(row.key, "", unit.at, by or seen.by, reason or seen.reason), first=False)
    state = plan.entries[0].phase
    said = f"{by}: {reason}" if by else row.note
    closed = attrs.evolve(row, state=state, closed=unit.at, outcome=outcome_kept(outcome), note=said)
    unit.changes.calls[id] = closed
    receipt = attrs.evolve(unit.told(seen, closed), replayed=False, follow_ups=keys)
    _tell_queue(unit, receipt)
    return receipt


def _landing(unit: Unit, steps: list[InFlight]) -> Iterator[tuple[Machine, Row, Entity, object]]:
    """The steps of a call as they would land now."""
    for step in steps:
        entity = unit.world[step.machine, step.id]
        machine = unit.machines.at(step.machine, entity.machine_version)
        yield machine, machine.rows[step.transition], entity, step.args


def _too_late(unit: Unit, row: CallRow, outcome: Outcome) -> Receipt:
    """An answer to a closed call. A confirmation of what was given back is kept, for a person to see."""
    if outcome.result is Result.CONFIRMED and row.state != "confirmed":
        text = f"it was closed as {row.state}, but then the provider confirmed it as {outcome.reference or 'done'}"
        unit.changes.calls[row.id] = attrs.evolve(row, note=text)
    return unit.told_of(row)


def _tell_queue(unit: Unit, receipt: Receipt) -> None:
    """A queued command that was surely not done waits for its next try, or for a person; a declined one is over."""
    queued = unit.queued(receipt.key)
    if queued is None:
        return
    if receipt.result is Ended.DECLINED:
        unit.changes.queue[receipt.key] = attrs.evolve(queued, state="declined", why=receipt.why)
    elif receipt.result is Ended.UNAVAILABLE:
        state, due = unit.later(queued.attempts, _patient(unit, queued))
        unit.changes.queue[receipt.key] = attrs.evolve(queued, state=state, due=due, why=receipt.why)


def put_off(unit: Unit, key: str, receipt: Receipt) -> None:
    """A queued command was refused: it waits while a call or a follow-up is in its way, else that was its end.

    A shipment that comes before the hold that follows the last one has only to wait for it. A patient command waits,
    and longer, for amounts too: what is held on a card may ship in a week.
    """
    queued = unit.queued(key)
    if queued is None or queued.state != "waiting":
        return
    attempts = queued.attempts + 1
    state, due = "refused", queued.due
    refusal = receipt.refusal
    if refusal is not None:
        patient = _patient(unit, queued)  # after a week of waiting, a call in its way is no reason to give it up
        in_its_way = refusal.waits or set(unit.follows(queued.machine, queued.entity)) - {key}
        if in_its_way or (patient and refusal.by_amounts):
            state, due = unit.later(attempts, patient)
    unit.changes.queue[key] = attrs.evolve(queued, attempts=attempts, state=state, due=due, why=receipt.why)


def _patient(unit: Unit, queued: QueueRow) -> bool:
    unit.reach([(queued.machine, queued.entity)])
    version = unit.world[queued.machine, queued.entity].machine_version
    return unit.machines.at(queued.machine, version).commands[queued.command].patient


def claim(unit: Unit, id: str, as_of: AsOf, *, again: bool, evidence: str = "") -> CallRow | None:
    """The call as sent now, once more if `again`, which stays with it together with the evidence for that.

    None, if it is closed or somebody else has sent it since `as_of`.
    """
    row = _row(unit, id)
    if row.state != "open" or (row.attempts, row.asked) != as_of:
        return None
    claimed = attrs.evolve(row, attempts=row.attempts + again, asked=unit.at, note=evidence or row.note)
    unit.changes.calls[id] = claimed
    return claimed


def note(unit: Unit, id: str, evidence: str) -> Receipt:
    """Keep why a call is still open."""
    row = _row(unit, id)
    if row.state == "open":
        row = attrs.evolve(row, note=evidence)
        unit.changes.calls[id] = row
    return unit.told_of(row)


def now(unit: Unit, id: str) -> Receipt:
    """What is known of a call's command by now."""
    return unit.told_of(_row(unit, id))


def _late(unit: Unit, row: CallRow) -> bool:
    """Whether an answer comes so late that a look-up may have given what it tells of to a call that is alike."""
    return datetime.fromisoformat(unit.at) - datetime.fromisoformat(row.asked) > LATE


def _claimed(unit: Unit, row: CallRow, outcome: Outcome) -> str | None:
    """Another call that accounts for what was found of this one: nothing was done once for two."""
    ids = {id for id in (outcome.reference, outcome.request) if id}
    if outcome.result is not Result.CONFIRMED or not ids:
        return None
    unit.reach([(row.machine, row.entity)])
    of_card = same_card(row, unit.world[row.machine, row.entity], unit.machines, unit.having)
    others = {each.id: each for ref in of_card for each in unit.transaction.calls_on(*ref)}
    others |= {id: each for id, each in unit.changes.calls.items() if (each.machine, each.entity) in of_card}
    claims = (id for id, each in others.items() if each.state == "confirmed" and ids & set(ids_of(each)))
    return next((id for id in claims if id != row.id), None)


def _taken(unit: Unit, row: CallRow, outcome: Outcome, other: str) -> str:
    claims = _row(unit, other)
    return (
        f"{outcome.reference} is what call {other} did ({claims.verb}, key {claims.key!r}), and nothing is done once "
        f"for two; name what call {row.id} did itself, or say declined or unavailable if nothing shows it"
    )


def as_of(call: Call) -> AsOf:
    """Which attempt of a call this is."""
    assert call.asked_at is not None
    return call.attempt, stamp(call.asked_at)


def asked_of(row: CallRow) -> int | None:
    """The amount that the provider was asked for, if the verb has one."""
    amount = json.loads(row.args).get("amount")
    return amount if isinstance(amount, int) else None


def _row(unit: Unit, id: str) -> CallRow:
    row = unit.call(id)
    if row is None:
        raise Invalid(f"there is no call {quoted(id)}")
    return row

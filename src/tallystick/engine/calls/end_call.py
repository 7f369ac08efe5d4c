"""The step "resolve": an outcome ends a call, or does not yet. The second half of a command, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import attrs

from tallystick.core import resolve
from tallystick.core.decide import decide
from tallystick.core.entity import Entity, InFlight, Posting, Request
from tallystick.core.refusal import Refusal
from tallystick.core.resolve import post
from tallystick.definition.declared import IN_DOUBT
from tallystick.definition.machine import Machine, Row
from tallystick.engine import uniqueness
from tallystick.engine.journal import write_down
from tallystick.engine.old_receipt import receipt_of_call
from tallystick.engine.queue import rows as queue_rows
from tallystick.engine.receipt import Receipt
from tallystick.engine.unit_of_work import Job, UnitOfWork
from tallystick.errors import Invalid, NotFound
from tallystick.provider.protocol import Outcome, Result
from tallystick.provider.verbs import REPEATABLE
from tallystick.store.rows import CallRow, Stamp, encode_outcome, moved_on

Attempt = tuple[int, str]  # how often a call was sent, and when last
LATE = timedelta(seconds=20)  # a look-up gives no line to a call if a younger call may have it


def marking_sent(id: str, attempt: Attempt, **more: Any) -> Job:
    """The job that writes down that a call is sent now; `more` as `mark_sent` has it."""
    return Job(partial(mark_sent, id=id, attempt=attempt, **more), call=id)


def noting(id: str, evidence: str, *, unclear: bool) -> Job:
    """The job that keeps why a call is still open. `unclear`: a person has to look."""
    return Job(partial(note, id=id, evidence=evidence, unclear=unclear), call=id)


def dismissing(id: str, by: str, reason: str) -> Job:
    """The job that lays aside an answer that came too late."""
    return Job(partial(dismiss_late, id=id, by=by, reason=reason), call=id)


def telling(id: str) -> Job:
    """The job that says what became of a call's command by now."""
    return Job(lambda work: receipt_of_call(work, _row(work, id)), call=id)


def resolve_call(
    work: UnitOfWork,
    id: str,
    outcome: Outcome,
    *,
    by: str | None = None,
    reason: str | None = None,
    provider: str = "",
    attempt: Attempt | None = None,
    found: bool = False,
    heard: bool = False,
) -> Receipt:
    """End a call with its outcome, unless somebody was faster.

    `attempt` says which sending of the call had this outcome. If that one came to nothing, a later one may still
    succeed. If the outcome was `found` in the provider's record, it belongs to this sending, and to no other call.
    `heard`: it is the provider's own answer, which counts even after the end of the call.
    A transaction of the `provider` is claimed by the call that it ends, and ends no other.

    Raises:
        Invalid: a person (`by`) names what belongs to another call.
    """
    row = _row(work, id)
    steps = row.in_flight
    outcome = resolve.meant(outcome, partial=any(step.partial for step in steps))
    if row.state != "open":
        return _too_late(work, row, outcome, heard=heard, last=attempt == (row.attempts, row.asked))
    if attempt not in (None, (row.attempts, row.asked)) and (found or outcome.result is not Result.CONFIRMED):
        return receipt_of_call(work, row)
    if outcome.number is not None:
        outcome = work.numbers.outcome(outcome)
    claims = _claims(row, outcome, provider)
    other = _claiming(work, claims) if claims else None
    if other is None and (by or found or _late(work, row)):
        other = _claimed(work, row, outcome)
    if other is not None:
        taken = f"{outcome.reference} is what call {other.id} did ({other.verb}, key {other.key!r})"
        taken += ", and nothing is done once for two"
        if by:
            instead = f"name what call {row.id} did itself, or say declined or unavailable if nothing shows it"
            raise Invalid(f"{taken}; {instead}")
        why = (
            f"what was found is what call {other.id} did already"
            if found
            else f"the answer names a transaction of another: {taken}"
        )
        return attrs.evolve(note(work, id, why, found), replayed=False)
    odd = ""
    landing = list(_landing(work, steps))
    if outcome.result is Result.CONFIRMED and any(fires.gives_unique for _, fires, _, _ in landing):
        odd = uniqueness.odd(work, landing, outcome)
    plan = odd or resolve.resolve(work.machines, id, steps, work.world, outcome, row.amount)
    if isinstance(plan, str):
        why = plan if outcome.result is not Result.UNKNOWN else outcome.text or plan
        return attrs.evolve(note(work, id, why, found), replayed=False)
    seen = work.keyed[row.key]
    keys = write_down(work, plan, Stamp(row.key, "", work.at, by or seen.by, reason or seen.reason, seen.occurred_at),
                      first=False)  # fmt: skip
    state = plan.entries[0].phase
    said = f"{by}: {reason}" if by else row.note
    closed = moved_on(row, state=state, closed=work.at, outcome=encode_outcome(outcome), note=said, claims=claims)
    work.changes.calls[id] = closed
    receipt = attrs.evolve(receipt_of_call(work, closed), replayed=False, follow_ups=keys)
    if receipt.key in work.queue:
        queue_rows.call_ended(work, receipt)
    return receipt


def _landing(work: UnitOfWork, steps: list[InFlight]) -> Iterator[tuple[Machine, Row, Entity, object]]:
    """The steps of a call, each with its machine, its row and its entity as it is now."""
    for step in steps:
        entity = work.world[step.machine, step.id]
        machine = work.machines.at(step.machine, entity.machine_version)
        yield machine, machine.rows[step.transition], entity, step.args


def _too_late(work: UnitOfWork, row: CallRow, outcome: Outcome, *, heard: bool, last: bool) -> Receipt:
    """An answer to a closed call. If it says otherwise, it is kept for a person; money stays where it is.

    `last`: it is the answer to the last sending, so that a no means that the record or a person was wrong.
    """
    confirmed = outcome.result is Result.CONFIRMED
    otherwise = confirmed
    if row.state == "confirmed" and confirmed:  # done once more, if another transaction is named
        named = {id for id in (outcome.reference, outcome.request) if id}
        otherwise = heard and row.verb not in REPEATABLE and bool(named) and named.isdisjoint(row.ids)
    elif row.state == "confirmed":
        otherwise = heard and last and outcome.result is not Result.UNKNOWN
    if otherwise and row.late is None:
        said = f"confirmed it as {outcome.reference or 'done'}" if confirmed else f"said {outcome.result}"
        text = f"it was closed as {row.state}, but then the provider {said}"
        row = moved_on(row, note=text, late=encode_outcome(outcome), unclear=True)
        work.changes.calls[row.id] = row
    return receipt_of_call(work, row)


def dismiss_late(work: UnitOfWork, id: str, by: str, reason: str) -> Receipt:
    """A person has dealt with an answer that came too late. Raises Invalid: there is none."""
    row = _row(work, id)
    if row.late is None or not row.unclear:
        raise Invalid(f"call {row.id} is {row.state}, and no later answer of it waits for a person")
    row = moved_on(row, unclear=False, note=f"{row.note}; {by}: {reason}")
    work.changes.calls[row.id] = row
    return receipt_of_call(work, row)


def mark_sent(
    work: UnitOfWork, id: str, attempt: Attempt, *, again: bool, evidence: str = ""
) -> CallRow | Receipt | None:
    """Write down that the call is sent now. `again`: once more; then the evidence for that is kept too.

    None: it is closed, or somebody else has sent it since that `attempt`. A receipt: it was never sent, and by now the
    machines would refuse it, so it ended here and its value is back.
    """
    row = _row(work, id)
    if row.state != "open" or (row.attempts, row.asked) != attempt:
        return None
    refused = "" if row.attempts else _refused_by_now(work, row)
    if refused:
        return resolve_call(work, id, Outcome(Result.UNAVAILABLE, text=f"it was not sent: {refused}"))
    claimed = moved_on(
        row, attempts=row.attempts + again, asked=work.at, note=evidence or row.note, unclear=row.unclear and not again
    )
    work.changes.calls[id] = claimed
    return claimed


def _refused_by_now(work: UnitOfWork, row: CallRow) -> str:
    """Why the command that has opened a call would be refused if it were given only now; nothing if it would not."""
    world = dict(work.world)
    for _, fires, entity, _ in _landing(work, steps := row.in_flight):
        amounts = next(step.amounts for step in steps if (step.machine, step.id) == entity.ref)
        back = [Posting(IN_DOUBT, source, each) for (source, _), each in zip(fires.lines, amounts, strict=True)]
        changing = None if fires.changes else entity.changing
        accounts = post(entity.accounts, back)
        world[entity.ref] = attrs.evolve(entity, accounts=accounts, calls=entity.calls - 1, changing=changing)
    first = steps[0]
    version = world[first.machine, first.id].machine_version
    left_out = work.machines.at(first.machine, version).commands[first.command].left_out()
    request = Request(first.machine, first.id, first.command, {**left_out, **first.args}, work.at)
    now = decide(work.machines, request, world)
    if isinstance(now, Refusal):
        return now.why
    fired = [(each.entity.ref, each.row.name, tuple(each.amounts)) for each in now.steps]
    written = [((each.machine, each.id), each.transition, tuple(each.amounts)) for each in steps]
    return "" if sorted(fired) == sorted(written) else "by now it would be something else"


def note(work: UnitOfWork, id: str, evidence: str, unclear: bool = False) -> Receipt:
    """Keep why a call is still open. `unclear`: a person has to look, until it is sent again or ended."""
    row = _row(work, id)
    if row.state == "open":
        row = moved_on(row, note=evidence, unclear=row.unclear or unclear)
        work.changes.calls[id] = row
    return receipt_of_call(work, row)


def _late(work: UnitOfWork, row: CallRow) -> bool:
    """Whether an answer is so late that a look-up may have given its line to another call that looks alike."""
    return datetime.fromisoformat(work.at) - datetime.fromisoformat(row.asked) > LATE


def _claims(row: CallRow, outcome: Outcome, provider: str) -> str | None:
    """What a call claims by being confirmed: the transaction that moved value for it."""
    if outcome.result is not Result.CONFIRMED or not outcome.reference or row.verb in REPEATABLE:
        return None
    return f"{provider} {outcome.reference}"


def _claiming(work: UnitOfWork, claims: str) -> CallRow | None:
    """The call that has claimed this, here or before."""
    here = (row for row in work.changes.calls.values() if row.claims == claims)
    return next(here, None) or work.books.claiming(claims)


def _claimed(work: UnitOfWork, row: CallRow, outcome: Outcome) -> CallRow | None:
    """Another call that has claimed what this outcome names: nothing is done once for two calls."""
    ids = {id for id in (outcome.reference, outcome.request) if id}
    if outcome.result is not Result.CONFIRMED or not ids:
        return None
    of_card = uniqueness.balances_of(row, work.world[row.machine, row.entity], work.machines, work.having)
    others = {each.id: each for ref in of_card for each in work.books.calls_on(*ref)}
    others |= {id: each for id, each in work.changes.calls.items() if (each.machine, each.entity) in of_card}
    claims = (each for each in others.values() if each.state == "confirmed" and ids & set(each.ids))
    return next((each for each in claims if each.id != row.id), None)


def _row(work: UnitOfWork, id: str) -> CallRow:
    row = work.changes.calls.get(id) or work.books.call(id)
    if row is None:
        raise NotFound("call", id)
    return row

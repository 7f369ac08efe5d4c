"""What a transition queues to follow: for its own entity, or for each of its parts.

It depends on the values after the transition, and on what the command was given and has read. All of that stands in the
entry, so whoever replays the journal finds the same follow-ups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from tallystick.core.entity import Request
from tallystick.definition.declared import EACH, SHARE, Then
from tallystick.definition.machine import Row
from tallystick.provider.protocol import Outcome

Shares = tuple[tuple[str, int], ...]  # (id of a part, minor units), in the order in which they are done


def follow_ups(
    machine: str, id: str, row: Row, accounts: Mapping[str, int], facts: Mapping[str, object],
    args: Mapping[str, object], state: str, outcome: Outcome | None,
) -> Iterator[tuple[Then, Request]]:  # fmt: skip
    """The follow-ups of a transition that has fired, in the order of its page; and the place there."""
    for then, when, at, parameters in row.then:
        if when is not None and not when(accounts, facts, args, state, outcome):
            continue
        for part, given in _about(id, then, args):
            due = at(accounts, facts, given, state, outcome) if at is not None else None
            if at is not None and due is None:
                continue
            arguments = {name: value(accounts, facts, given, state, outcome) for name, value in parameters}
            yield then, Request(then.each or machine, part, then.command, arguments, due=due, after=then.after)


def _about(id: str, then: Then, args: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Whom a follow-up is for, and the values that its arguments are made of."""
    if then.each is None:
        yield id, args
    elif then.shares is None:
        for part in cast(tuple[str, ...], args[f"{then.each}.{EACH}"]):
            yield part, args
    else:
        for part, share in cast(Shares, args[then.shares]):
            yield part, {**args, SHARE: share}

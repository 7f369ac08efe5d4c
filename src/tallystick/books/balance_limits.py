"""How often balance checks are answered: limits, and what is remembered of a card or a client.

Pure: values and functions over them. Checks and failures leak away over time; too many failures lock, each further one
for twice as long.
"""

from __future__ import annotations

from math import ceil

import attrs

from tallystick.errors import Invalid


@attrs.frozen
class Limit:
    """How often one card, or one client, is answered. Times are seconds. Raises: Invalid."""

    checks: int  # at once; they come back evenly over `window`
    window: float  # seconds
    failures: int  # so many lock
    lockout: float  # the first; each further failure doubles it
    longest_lockout: float  # seconds
    forget: float  # after this time one failure is forgotten, after twice as long two, …

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if not value > 0:
                raise Invalid(f"{name} of a limit has to be more than 0, not {value!r}")


CARD = Limit(checks=10, window=600, failures=5, lockout=900, longest_lockout=86_400, forget=21_600)
CLIENT = Limit(checks=30, window=600, failures=10, lockout=300, longest_lockout=86_400, forget=3_600)


@attrs.frozen
class Tries:
    """What is remembered of a card or a client. Times are seconds since 1970."""

    checks: float = 0.0  # in the bucket
    failures: float = 0.0  # those that are not forgotten yet
    at: float = 0.0  # when these were counted
    until: float = 0.0  # locked


def counted(tries: Tries, now: float, limit: Limit) -> Tries:
    """What counts by now: checks and failures are forgotten over time."""
    now = max(now, tries.at)  # a clock set back forgets nothing
    passed = now - tries.at
    checks = max(0.0, tries.checks - passed * limit.checks / limit.window)
    return Tries(checks, max(0.0, tries.failures - passed / limit.forget), now, tries.until)


def admitted(tries: Tries, now: float, limit: Limit) -> Tries | None:
    """With one check more, which counts as failed until `forgiven`. None: the check is not allowed."""
    tries = counted(tries, now, limit)
    if tries.at < tries.until or tries.checks + 1 > limit.checks:
        return None
    failures = tries.failures + 1
    more = ceil(failures - 1e-9) - limit.failures  # a failure that has leaked a little is still one
    pause = 0.0 if more < 0 else min(limit.longest_lockout, limit.lockout * 2 ** min(more, 64))
    return Tries(tries.checks + 1, failures, tries.at, tries.at + pause)


def forgiven(tries: Tries, now: float, limit: Limit) -> Tries:
    """After a check that has not failed: take back its failure, and the lock that came with it."""
    tries = counted(tries, now, limit)
    return attrs.evolve(tries, failures=max(0.0, tries.failures - 1), until=0.0)


def over(tries: Tries, limit: Limit) -> float:
    """The time when nothing of it counts any more."""
    leaks = max(tries.checks * limit.window / limit.checks, tries.failures * limit.forget)
    return max(tries.at + leaks, tries.until)

"""What an error of PostgreSQL means for the caller."""

from __future__ import annotations

import psycopg
from psycopg import errors

from tallystick.errors import Conflict, StoreBusy, StoreError
from tallystick.masks import masked

IN_THE_WAY = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
NOTHING = "nothing was written"


def sentence(error: psycopg.Error) -> str:
    """What PostgreSQL said, in one line. Not its details: these repeat values of the row, such as a card number."""
    return masked(" ".join((error.diag.message_primary or str(error)).split()))


def failure(error: psycopg.Error, after: str = NOTHING) -> StoreError:
    """The error of ours for one after which nothing is written."""
    said = f"PostgreSQL: {sentence(error)}; {after}"
    if isinstance(error, IN_THE_WAY):
        return Conflict(said)
    if isinstance(error, errors.LockNotAvailable):
        return StoreBusy(f"another transaction has what this one needs, and did not end in time: {said}")
    return StoreError(said)

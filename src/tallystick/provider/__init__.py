"""The other half of the stick: who performs a call, and what may come back.

Keeps: a call is sent by `perform` alone, and every end of it is an `Outcome`, never an exception.

Read in this order: `verbs` (what may be asked), `protocol` (what a provider promises), `local` (no provider: our own
books are the truth), `scripted` (says what a test or a rehearsal wants it to say).

Knows money and errors only. The definition checks pages against the verbs; the engine performs the calls. A provider
of somebody else's implements `Provider` and registers under the entry-point group `tallystick.providers`, as `clutch`
does.
"""

from tallystick.provider.protocol import (
    Ambiguous,
    Call,
    CardFacts,
    Cell,
    Cells,
    Line,
    NotSeen,
    Observed,
    Observer,
    Outcome,
    Provider,
    Reason,
    Result,
    Sharing,
    Unread,
)
from tallystick.provider.verbs import REPEATABLE, VERBS

__all__ = [
    "REPEATABLE",
    "VERBS",
    "Ambiguous",
    "Call",
    "CardFacts",
    "Cell",
    "Cells",
    "Line",
    "NotSeen",
    "Observed",
    "Observer",
    "Outcome",
    "Provider",
    "Reason",
    "Result",
    "Sharing",
    "Unread",
]

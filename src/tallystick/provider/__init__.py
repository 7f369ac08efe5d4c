"""The provider: who performs a call, and what may come back.

Keeps: only `perform` sends a call, and every end of it is an `Outcome`, never an exception.

Read in this order: `verbs` (what a page may ask for, and what that does at the provider's), `protocol` (what a provider
promises), `half` (what a provider knows of one card), `local` (our own books are the truth), `scripted` (does what a
test or a rehearsal wants).

Knows money and errors only. The definition checks pages against the verbs. The engine performs the calls. To add a
provider, implement `Provider` and register it in the entry-point group `tallystick.providers`, as `clutch` does.
"""

from tallystick.provider.protocol import (
    Able,
    Ambiguous,
    Call,
    CardFacts,
    Cell,
    Cells,
    ChecksPins,
    Clocked,
    Identified,
    Line,
    NotSeen,
    Observed,
    Observer,
    Outcome,
    Provider,
    Reason,
    Repeating,
    Result,
    Sharing,
    Unread,
)
from tallystick.provider.verbs import ABILITIES, EFFECTS, REPEATABLE, VERBS, Effect

__all__ = [
    "ABILITIES",
    "EFFECTS",
    "REPEATABLE",
    "VERBS",
    "Able",
    "Ambiguous",
    "Call",
    "CardFacts",
    "Cell",
    "Cells",
    "ChecksPins",
    "Clocked",
    "Effect",
    "Identified",
    "Line",
    "NotSeen",
    "Observed",
    "Observer",
    "Outcome",
    "Provider",
    "Reason",
    "Repeating",
    "Result",
    "Sharing",
    "Unread",
]

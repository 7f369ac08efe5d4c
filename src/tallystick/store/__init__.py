"""Where everything is kept: one protocol, three stores, and one contract that tests them all.

Keeps: a write is whole or does not happen; an entry is never changed; a key names one command for ever; what was
committed survives a power cut. A store knows nothing of money or of what a machine means.

Read in this order: `rows` (what is kept), `waits` (which commands of the queue are asked for), `protocol` (what a store
promises), `memory` with `memory_copy`, `sums` (rows that reports of large books are made of), `sqlite` with
`sqlite_rows`, `connections` and `schema/`, `postgres/`, `open` (a store by its URL), `cursor` (where a reader of all
entries stands), `shared_text` (small values that all processes on a store share).

Knows the core's values and the definition, whose pages it keeps. Only the engine writes to a store. Everybody above may
read from it. Each database has its own file with plain SQL, because two plain files and one contract are shorter than
one clever layer.
"""

from tallystick.store.open import open_store
from tallystick.store.protocol import Reading, Store, Transaction
from tallystick.store.rows import CallRow, Changes, EntryRow, QueueRow, Stamp

__all__ = ["CallRow", "Changes", "EntryRow", "QueueRow", "Reading", "Stamp", "Store", "Transaction", "open_store"]

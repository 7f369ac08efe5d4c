"""Is every cent where the journal says, and does the journal say what the machines allow?

Keeps: `verify` reads only, in one consistent look, and trusts nothing that it can compute itself. Memory holds one life
at a time. It never stops at what it finds: something that cannot be read is a finding too. Each finding has a code,
where it is, and what is wrong.

Read in this order: `report` (what is found), `replay` (an entity as its journal makes it), `calls` (calls beside the
entries that opened and ended them), `queue` (queued commands beside the entries that queued and executed them),
`definitions` (kept pages beside the table of declared steps), `checkpoint` (what shows that entries were removed),
`sums` (kept sums beside the journal), `scratch` (what has to be sorted first), `verifier` (all of it, and the
invariants).

The books and the command line call it, and the fuzz kit at the end of every walk. It calls the store and the core.
"""

from tallystick.engine.verify.checkpoint import keep, replace
from tallystick.engine.verify.report import Checkpoint, Finding, Replaced, Report
from tallystick.engine.verify.verifier import Progress, verify

__all__ = ["Checkpoint", "Finding", "Progress", "Replaced", "Report", "keep", "replace", "verify"]

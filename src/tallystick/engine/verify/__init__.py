"""Is every cent where the journal says, and does the journal say what the machines allow?

Keeps: it reads only, in one consistent look, and trusts nothing that it can compute itself. It never stops at what it
finds: something that cannot be read is a finding too. Each finding has a code, where it is, and what is wrong.

Read in this order: `report` (what is found), `replay` (an entity as its journal makes it), `calls` (calls beside the
entries that opened and ended them), `queue` (queued commands beside the entries that queued and executed them),
`definitions` (kept pages beside the table of declared steps), `verifier` (all of it, and the invariants).

The books and the command line call it, and the fuzz kit at the end of every walk. It calls the store and the core.
"""

from tallystick.engine.verify.report import Finding, Report
from tallystick.engine.verify.verifier import verify

__all__ = ["Finding", "Report", "verify"]

"""Kept sums: reports of large books without reading the journal.

    _flow      what has moved, by day and by all that tells entries apart
    _standing  what stands now, by state, and by the day of creation or of the last use
    _seen      how each entity was counted: what has to be taken off when it is counted anew

They are made from the journal in its order, piece by piece: a piece and the cursor behind it are one transaction. So
two who count at once do not count twice, and who is killed has counted a piece or not. No command waits for them:
`verify`, a worker or a long report brings them up to date, and a report counts the entries behind the cursor itself.

Keeps: the sums and what comes after their cursor are the whole journal, whatever its times are. How a machine's page
names things is not in them, so a new page changes nothing; but who is a customer's command is, so then they are made
anew, by whoever knows the newest pages. `verify` compares them with the journal.

Read in this order: `tally` (what an entry adds), `kept` (up to where they are, bringing them up to date, and what
a report takes).
"""

from tallystick.engine.sums.kept import Sums, bring, forget, keep_up, summed

__all__ = ["Sums", "bring", "forget", "keep_up", "summed"]

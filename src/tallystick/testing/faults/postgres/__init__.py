"""The same faults on a real PostgreSQL, and servers that fail while writers work.

Read in this order: `proxy` (a line that is cut at a chosen trip) and `crash` (stories that are disturbed at their
trips); `failover` (writers that say each command until it is answered, and what must be true whatever became of the
servers meanwhile).
"""

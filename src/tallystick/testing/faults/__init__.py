"""Kills processes, breaks databases, tears files and sets clocks while a story is told; then compares the books.

Keeps: whatever happened on the way, at its end a story leaves the books of a run that nobody disturbed.

Read in this order: `story` (what is said, and what "the same books" means), `our_stories`, `file_provider` (a provider
whose books no crash takes), `points` (where a process may die), then what is done: `crash`, `torn_log`,
`failing_database`, `recovery_races`, and `page_crashes`, which composes stories for any page. `report` and `harness`
are what their command lines share.

The command line of Python (`python -m tallystick.testing.faults.crash`), pytest's plugin and tests call it. It runs
the books on SQLite, takes the fuzz kit's guide to compose stories, and lets the referee judge.
"""

"""Kills processes, breaks databases, tears files and sets clocks while stories run; then compares the books.

Keeps: whatever happens on the way, a story ends with the books of an undisturbed run.

Read in this order: `story` (what is said, and a process that runs it) with `our_stories` and `file_provider` (a
provider whose books no crash takes); `trial` (how a story ends undisturbed, and copies of its files) with `comparison`
and `report`; `kill_points`, `connection_watch` and `child_process`, with which a run is disturbed. Then what is done:
`crash`, `torn_log`, `failing_database`, `recovery_races`, and `page_crashes`, for which `story_composer` makes up
stories about any page. `postgres/` disturbs the same stories on a PostgreSQL, and lets servers fail.
`verb_sweep` says verbs again after a fault at each of their steps.

`python -m tallystick.testing.faults`, pytest's plugin and tests call this room. It runs the books on SQLite, asks the
fuzz kit's guide where a story could go, and lets the referee judge.
"""

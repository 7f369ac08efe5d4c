"""The opponents: what a good engineer writes by hand, and today's choices.

`in_memory` (a machine as ifs), `by_hand` (the same rows in SQLite), `rules` (who decides in it: ifs, or one of two
libraries of state machines), `by_hand_postgres`, `by_hand_clutch`, `orm` (SQLAlchemy), `event_sourced` (eventsourcing).
"""

"""Commands that wait for their time, for a call to end, or for a person.

Keeps: what waits is in the commit that made it wait, so a crash cannot lose it or do it twice. Commands of one card run
in the order of their times.

Read in this order: `rows` (how a command comes to wait, and what ends that), `declared_order` (of what follows one
command), `batch` (many of them in one transaction), `parts` (fewer, where one is busy or at fault), `roots` (what may
not be worked on at the same time), `threads` (the rest may), `listing` (what waits, page by page), `queue` (what users
ask it), `drain` (groups of
what is due, for a fleet of processes).

Knows the rows of the store and the engine's steps. The engine owns it; `books` and the command line ask it.
"""

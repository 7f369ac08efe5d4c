"""PostgreSQL: many writers at once, each with its own entities; every commit on disk before it is answered.

Keeps what every store keeps, and two things of its own. A connection on which a pipeline has failed is never used
again: psycopg remembers statements as prepared that the server has skipped. A password is in no message and no `url`.

Read in this order: `url` (what a URL may say), `store` (transactions, looks, definitions), `reading` and `transaction`
(what they send), `statements` (the SQL of rows that every store has), `schema` with `journal.sql` and `feed.sql`
(the tables), `views` (when a view is made), `connections`, `failures` (what an error of the database means).

A command needs two trips to the server: BEGIN, locks and reads in one pipeline; all writes and COMMIT in another.
It needs psycopg 3, which is loaded only where a URL names PostgreSQL: `pip install 'tallystick[postgres]'`.
"""

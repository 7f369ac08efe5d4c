-- A million cards may wait for the date on which they expire. They are counted and listed apart from the few that a
-- person looks at: `store/waits.py` has the same words. The first index has all columns that counting needs, its own
-- condition too: else SQLite reads every row.

CREATE INDEX queue_dated ON queue (machine, command, due, key, attempts, state, cause)
WHERE state = 'waiting' AND cause IS NOT NULL AND attempts = 0;
CREATE INDEX queue_other ON queue (due) WHERE state = 'waiting' AND (cause IS NULL OR attempts > 0);

-- A million cards may wait for the date on which they expire. They are counted and listed apart from the few that a
-- person looks at: `store/waits.py` has the same words.

CREATE INDEX queue_dated ON queue (machine, command, due)
WHERE state = 'waiting' AND cause IS NOT NULL AND attempts = 0;
CREATE INDEX queue_other ON queue (due) WHERE state = 'waiting' AND (cause IS NULL OR attempts > 0);

-- When something happened, where that is not when it was written; reports of a day go by it.

ALTER TABLE entry ADD COLUMN occurred_at TEXT;  -- NULL: `at` says it
ALTER TABLE queue ADD COLUMN occurred_at TEXT;  -- of the command that it follows at once, if that says so

DROP INDEX IF EXISTS entry_at;
CREATE INDEX entry_happened ON entry (coalesce(occurred_at, at));

DROP INDEX IF EXISTS entry_held_again;
CREATE INDEX entry_held_again ON entry (coalesce(occurred_at, at)) WHERE command = 'hold_again';

DROP TRIGGER IF EXISTS queue_stays;
CREATE TRIGGER queue_stays BEFORE UPDATE OF key, machine, entity, command, args, cause, occurred_at ON queue
BEGIN SELECT RAISE(ABORT, 'what a queued command does is never changed'); END;

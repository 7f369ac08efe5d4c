-- When something happened, where that is not when it was written; reports of a day go by it.

ALTER TABLE :schema.entry ADD COLUMN occurred_at text COLLATE "C";  -- NULL: `at` says it
ALTER TABLE :schema.queue ADD COLUMN occurred_at text COLLATE "C";  -- of the command that it follows at once

DROP INDEX IF EXISTS :schema.entry_at;
CREATE INDEX entry_happened ON :schema.entry (coalesce(occurred_at, at), seq);

DROP INDEX IF EXISTS :schema.entry_held_again;
CREATE INDEX entry_held_again ON :schema.entry (coalesce(occurred_at, at)) WHERE command = 'hold_again';

DROP TRIGGER IF EXISTS queue_stays ON :schema.queue;
CREATE TRIGGER queue_stays BEFORE UPDATE ON :schema.queue FOR EACH ROW
WHEN ((OLD.key, OLD.machine, OLD.entity, OLD.command, OLD.args::text, OLD.cause, OLD.occurred_at)
      IS DISTINCT FROM (NEW.key, NEW.machine, NEW.entity, NEW.command, NEW.args::text, NEW.cause, NEW.occurred_at))
EXECUTE FUNCTION :schema.refuse('what a queued command does is never changed');

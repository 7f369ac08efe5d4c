-- The tables every store has, whatever its machines. The machines' own tables are made from their pages.
-- Text is UTF-8; times are ISO 8601 in UTC; amounts are minor units; args, postings, facts, after are JSON.

CREATE TABLE machine (
  name        TEXT NOT NULL,
  version     INTEGER NOT NULL,
  digest      TEXT NOT NULL,          -- of the behaviour; wording may change, behaviour needs a new version
  definition  TEXT NOT NULL,          -- the page: entities made with it run on it for ever
  seen        TEXT NOT NULL,
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- INSERT OR REPLACE would delete the row in its way without firing the trigger on DELETE; so everywhere below.
CREATE TRIGGER machine_is_new BEFORE INSERT ON machine
WHEN EXISTS (SELECT 1 FROM machine WHERE name = NEW.name AND version = NEW.version)
BEGIN SELECT RAISE(ABORT, 'this version of the machine is kept already; pages are never replaced'); END;

CREATE TRIGGER machine_stays BEFORE UPDATE OF name, version, digest, seen ON machine
BEGIN SELECT RAISE(ABORT, 'a kept page may change its wording only'); END;

CREATE TRIGGER machine_remains BEFORE DELETE ON machine
BEGIN SELECT RAISE(ABORT, 'kept pages are never deleted'); END;

-- Every step that the pages declare; an entry that is not among them is refused.
CREATE TABLE transition (
  machine         TEXT NOT NULL,
  machine_version INTEGER NOT NULL,
  name            TEXT NOT NULL,
  command         TEXT NOT NULL,
  phase           TEXT NOT NULL CHECK (phase IN ('done', 'asked', 'confirmed', 'declined', 'unavailable')),
  from_state      TEXT NOT NULL,      -- '' where an entity begins
  to_state        TEXT NOT NULL,
  PRIMARY KEY (machine, machine_version, name, command, phase, from_state, to_state),
  FOREIGN KEY (machine, machine_version) REFERENCES machine (name, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER transition_stays BEFORE UPDATE ON transition
BEGIN SELECT RAISE(ABORT, 'declared steps are never changed'); END;

CREATE TRIGGER transition_remains BEFORE DELETE ON transition
BEGIN SELECT RAISE(ABORT, 'declared steps are never deleted'); END;

CREATE TABLE entry (
  seq             INTEGER PRIMARY KEY,
  machine         TEXT NOT NULL,
  entity          TEXT NOT NULL,
  revision        INTEGER NOT NULL CHECK (revision > 0),
  machine_version INTEGER NOT NULL,
  transition      TEXT NOT NULL,
  command         TEXT NOT NULL,
  phase           TEXT NOT NULL,
  from_state      TEXT,               -- NULL where the entity begins
  to_state        TEXT NOT NULL,
  args            TEXT NOT NULL,      -- never a secret
  postings        TEXT NOT NULL,      -- [[source, target, amount], …]
  facts           TEXT NOT NULL,      -- those that changed
  after           TEXT NOT NULL,      -- every account afterwards
  currency        TEXT NOT NULL,
  call            TEXT,
  key             TEXT,               -- of the command, on the first entry it made
  cause           TEXT,               -- of the command, on every other entry it made
  fingerprint     TEXT,               -- what the key stands for
  by              TEXT,
  reason          TEXT,
  at              TEXT NOT NULL,
  hash            TEXT NOT NULL,      -- SHA-256 of the entity's previous hash and this row
  UNIQUE (machine, entity, revision)
) STRICT;

CREATE UNIQUE INDEX entry_key ON entry (key) WHERE key IS NOT NULL;
CREATE INDEX entry_cause ON entry (cause) WHERE cause IS NOT NULL;

-- A trigger rather than a foreign key: SQLite checks foreign keys only where a connection asks for it,
-- and this must hold on every connection.
CREATE TRIGGER entry_is_declared BEFORE INSERT ON entry
WHEN NOT EXISTS (
  SELECT 1 FROM transition
  WHERE machine = NEW.machine AND machine_version = NEW.machine_version AND name = NEW.transition
    AND command = NEW.command AND phase = NEW.phase
    AND from_state = coalesce(NEW.from_state, '') AND to_state = NEW.to_state
)
BEGIN SELECT RAISE(ABORT, 'an entry has to be a step that its machine declares'); END;

CREATE TRIGGER entry_is_new BEFORE INSERT ON entry
WHEN EXISTS (SELECT 1 FROM entry WHERE machine = NEW.machine AND entity = NEW.entity AND revision = NEW.revision)
  OR EXISTS (SELECT 1 FROM entry WHERE seq = NEW.seq)
  OR (NEW.key IS NOT NULL AND EXISTS (SELECT 1 FROM entry WHERE key = NEW.key))
BEGIN SELECT RAISE(ABORT, 'an entry is there already, or its key; entries are never replaced'); END;

CREATE TRIGGER entry_follows BEFORE INSERT ON entry
WHEN (SELECT to_state FROM entry WHERE machine = NEW.machine AND entity = NEW.entity AND revision = NEW.revision - 1)
     IS NOT NEW.from_state
  OR (NEW.revision = 1) IS NOT (NEW.from_state IS NULL)
BEGIN SELECT RAISE(ABORT, 'an entry has to follow the one before it'); END;

CREATE TRIGGER entry_stays BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;

CREATE TRIGGER entry_remains BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;

CREATE VIEW posting AS
SELECT entry.seq, entry.machine, entry.entity,
       json_extract(line.value, '$[0]') AS source,
       json_extract(line.value, '$[1]') AS target,
       json_extract(line.value, '$[2]') AS amount,
       entry.currency
FROM entry, json_each(entry.postings) AS line;

CREATE TABLE call (
  id         TEXT PRIMARY KEY,
  key        TEXT NOT NULL,           -- of the command that opened it
  verb       TEXT NOT NULL,
  machine    TEXT NOT NULL,           -- the entity that asks, a card
  entity     TEXT NOT NULL,
  currency   TEXT NOT NULL,
  args       TEXT NOT NULL,           -- never a secret
  steps      TEXT NOT NULL,           -- what was set aside, and where it goes
  secret     INTEGER NOT NULL CHECK (secret IN (0, 1)),  -- it carried one: only its caller can send it again
  state      TEXT NOT NULL CHECK (state IN ('open', 'confirmed', 'declined', 'unavailable')),
  attempts   INTEGER NOT NULL,
  opened     TEXT NOT NULL,
  asked      TEXT NOT NULL,           -- the last time it was sent
  closed     TEXT,
  outcome    TEXT,                    -- as far as it may be kept
  note       TEXT,                    -- why it is still open, or who closed it
  takes      TEXT,                    -- the unique fact that its entity has once it is confirmed
  unclear    INTEGER NOT NULL CHECK (unclear IN (0, 1)),  -- the provider's record leaves it to a person
  claims     TEXT,                    -- the provider and its transaction, once that is confirmed: it counts once
  late       TEXT,                    -- an answer that came after its end and says otherwise
  hash       TEXT NOT NULL            -- SHA-256 of this row, written with it
) STRICT, WITHOUT ROWID;

CREATE INDEX call_on ON call (machine, entity);
CREATE INDEX call_open ON call (asked) WHERE state = 'open';
CREATE INDEX call_late ON call (closed) WHERE late IS NOT NULL AND unclear;
CREATE UNIQUE INDEX call_takes ON call (takes) WHERE state = 'open' AND takes IS NOT NULL;
CREATE UNIQUE INDEX call_claims ON call (claims) WHERE claims IS NOT NULL;

CREATE TRIGGER call_is_new BEFORE INSERT ON call
WHEN EXISTS (SELECT 1 FROM call WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM call WHERE takes = NEW.takes AND state = 'open' AND NEW.state = 'open')
  OR EXISTS (SELECT 1 FROM call WHERE claims = NEW.claims)
BEGIN SELECT RAISE(ABORT, 'a call is there already, or takes or claims the same; calls are never replaced'); END;

CREATE TRIGGER call_stays BEFORE UPDATE OF id, key, verb, machine, entity, currency, opened ON call
BEGIN SELECT RAISE(ABORT, 'what a call is about is never changed'); END;

-- Its key may ask again once nobody was there: then it is opened anew, for what can be asked now.
CREATE TRIGGER call_asks BEFORE UPDATE OF args, steps, secret, takes ON call
WHEN NOT (OLD.state = 'unavailable' AND NEW.state = 'open')
  AND (NEW.args IS NOT OLD.args OR NEW.steps IS NOT OLD.steps OR NEW.secret IS NOT OLD.secret
       OR NEW.takes IS NOT OLD.takes)
BEGIN SELECT RAISE(ABORT, 'what a call asks for is never changed'); END;

CREATE TRIGGER call_ended BEFORE UPDATE OF state, attempts, asked, closed, outcome, claims ON call
WHEN OLD.state <> 'open' AND NOT (OLD.state = 'unavailable' AND NEW.state = 'open')
  AND (NEW.state IS NOT OLD.state OR NEW.attempts IS NOT OLD.attempts OR NEW.asked IS NOT OLD.asked
       OR NEW.closed IS NOT OLD.closed OR NEW.outcome IS NOT OLD.outcome OR NEW.claims IS NOT OLD.claims)
BEGIN SELECT RAISE(ABORT, 'how a call ended is never changed'); END;

CREATE TRIGGER call_late BEFORE UPDATE OF late ON call
WHEN NEW.late IS NOT OLD.late AND (OLD.late IS NOT NULL OR NEW.state = 'open')
  AND NOT (OLD.state = 'unavailable' AND NEW.state = 'open')
BEGIN SELECT RAISE(ABORT, 'what was said of a call after its end is never changed'); END;

CREATE TRIGGER call_remains BEFORE DELETE ON call
BEGIN SELECT RAISE(ABORT, 'calls are never deleted'); END;

CREATE TABLE queue (
  key      TEXT PRIMARY KEY,
  machine  TEXT NOT NULL,
  entity   TEXT NOT NULL,
  command  TEXT NOT NULL,
  args     TEXT NOT NULL,             -- never a secret
  due      TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  state    TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'refused', 'declined', 'parked', 'dismissed', 'withdrawn')),
  why      TEXT,
  by       TEXT,
  reason   TEXT,
  cause    TEXT,                      -- key of the command it follows
  note     TEXT,                      -- who withdrew, moved, dismissed or retried it, and why
  hash     TEXT NOT NULL              -- SHA-256 of this row, written with it
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_due ON queue (due) WHERE state = 'waiting';
CREATE INDEX queue_waits ON queue (machine, entity) WHERE state = 'waiting';
CREATE INDEX queue_cause ON queue (cause) WHERE cause IS NOT NULL;

CREATE TRIGGER queue_is_new BEFORE INSERT ON queue
WHEN EXISTS (SELECT 1 FROM queue WHERE key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'a queued command is there already; queued commands are never replaced'); END;

CREATE TRIGGER queue_stays BEFORE UPDATE OF key, machine, entity, command, args, cause ON queue
BEGIN SELECT RAISE(ABORT, 'what a queued command does is never changed'); END;

CREATE TRIGGER queue_remains BEFORE DELETE ON queue
BEGIN SELECT RAISE(ABORT, 'queued commands are never deleted'); END;

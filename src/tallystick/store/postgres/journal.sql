-- The tables every store has, whatever its machines. The machines' own tables are made from their pages.
-- Times are ISO 8601 in UTC; amounts are minor units. What is hashed is json and not jsonb, which reorders it.
-- :schema is the schema, quoted; :partitioned is a clause, or nothing.

CREATE FUNCTION :schema.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'check_violation'; END $$;

CREATE TABLE :schema.machine (
  name        text COLLATE "C" NOT NULL,
  version     integer NOT NULL,
  digest      text NOT NULL,          -- of the behaviour; wording may change, behaviour needs a new version
  definition  text NOT NULL,          -- the page: entities made with it run on it for ever
  seen        text COLLATE "C" NOT NULL,
  PRIMARY KEY (name, version)
);

CREATE TRIGGER machine_stays BEFORE UPDATE ON :schema.machine FOR EACH ROW
WHEN ((OLD.name, OLD.version, OLD.digest, OLD.seen) IS DISTINCT FROM (NEW.name, NEW.version, NEW.digest, NEW.seen))
EXECUTE FUNCTION :schema.refuse('a kept page may change its wording only');

CREATE TRIGGER machine_remains BEFORE DELETE OR TRUNCATE ON :schema.machine
EXECUTE FUNCTION :schema.refuse('kept pages are never deleted');

-- Every step that the pages declare; an entry that is not among them is refused.
CREATE TABLE :schema.transition (
  machine         text COLLATE "C" NOT NULL,
  machine_version integer NOT NULL,
  name            text COLLATE "C" NOT NULL,
  command         text COLLATE "C" NOT NULL,
  phase           text COLLATE "C" NOT NULL
                  CHECK (phase IN ('done', 'asked', 'confirmed', 'declined', 'unavailable')),
  from_state      text COLLATE "C" NOT NULL,  -- '' where an entity begins
  to_state        text COLLATE "C" NOT NULL,
  PRIMARY KEY (machine, machine_version, name, command, phase, from_state, to_state),
  FOREIGN KEY (machine, machine_version) REFERENCES :schema.machine (name, version)
);

CREATE TRIGGER transition_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON :schema.transition
EXECUTE FUNCTION :schema.refuse('declared steps are never changed or deleted');

-- Numbers rise along an entity. They are not gapless: what is undone leaves one out.
CREATE SEQUENCE :schema._entry_seq;

CREATE TABLE :schema.entry (
  seq             bigint NOT NULL DEFAULT nextval(':schema._entry_seq'),
  machine         text COLLATE "C" NOT NULL,
  entity          text COLLATE "C" NOT NULL,
  revision        bigint NOT NULL CHECK (revision > 0),
  machine_version integer NOT NULL,
  transition      text COLLATE "C" NOT NULL,
  command         text COLLATE "C" NOT NULL,
  phase           text COLLATE "C" NOT NULL,
  from_state      text COLLATE "C",   -- NULL where the entity begins
  to_state        text COLLATE "C" NOT NULL,
  args            json NOT NULL,      -- never a secret
  postings        json NOT NULL,      -- [[source, target, amount], …]
  facts           json NOT NULL,      -- those that changed
  after           json NOT NULL,      -- every account afterwards
  currency        text NOT NULL,
  call            text,
  key             text COLLATE "C",   -- of the command, on the first entry it made
  cause           text COLLATE "C",   -- of the command, on every other entry it made
  fingerprint     text,               -- what the key stands for
  by              text,
  reason          text,
  at              text COLLATE "C" NOT NULL,
  hash            text NOT NULL,      -- SHA-256 of the entity's previous hash and this row
  xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),  -- of its transaction: who tails the journal goes by it
  PRIMARY KEY (machine, entity, revision)
) :partitioned;

CREATE INDEX entry_seq ON :schema.entry (seq);
CREATE INDEX entry_tail ON :schema.entry (xid, seq);
CREATE INDEX entry_cause ON :schema.entry (cause) WHERE cause IS NOT NULL;

-- Every key there ever was. A table of its own, because a partitioned one can only be unique by its partition.
CREATE TABLE :schema._key (
  key      text COLLATE "C" PRIMARY KEY,
  machine  text COLLATE "C" NOT NULL,
  entity   text COLLATE "C" NOT NULL,
  revision bigint NOT NULL
);

CREATE TRIGGER key_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON :schema._key
EXECUTE FUNCTION :schema.refuse('keys are never changed or deleted');

-- Once for each statement: a thousand entries cost half of what a trigger for each of them would.
CREATE FUNCTION :schema.check_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM new_entry n WHERE NOT EXISTS (
      SELECT FROM :schema.transition t
      WHERE t.machine = n.machine AND t.machine_version = n.machine_version AND t.name = n.transition
        AND t.command = n.command AND t.phase = n.phase
        AND t.from_state = coalesce(n.from_state, '') AND t.to_state = n.to_state)
  ) THEN
    RAISE EXCEPTION 'an entry has to be a step that its machine declares' USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (
    SELECT FROM new_entry n
    WHERE (n.revision = 1) IS DISTINCT FROM (n.from_state IS NULL)
       OR (SELECT e.to_state FROM :schema.entry e
           WHERE e.machine = n.machine AND e.entity = n.entity AND e.revision = n.revision - 1)
          IS DISTINCT FROM n.from_state
  ) THEN
    RAISE EXCEPTION 'an entry has to follow the one before it' USING ERRCODE = 'check_violation';
  END IF;
  INSERT INTO :schema._key (key, machine, entity, revision)
  SELECT key, machine, entity, revision FROM new_entry WHERE key IS NOT NULL;
  RETURN NULL;
END $$;

CREATE VIEW :schema.posting AS
SELECT entry.seq, entry.machine, entry.entity,
       line.value ->> 0 AS source,
       line.value ->> 1 AS target,
       (line.value ->> 2)::bigint AS amount,
       entry.currency
FROM :schema.entry AS entry, json_array_elements(entry.postings) AS line;

CREATE TABLE :schema.call (
  id         text COLLATE "C" PRIMARY KEY,
  key        text COLLATE "C" NOT NULL,  -- of the command that opened it
  verb       text NOT NULL,
  machine    text COLLATE "C" NOT NULL,  -- the entity that asks, a card
  entity     text COLLATE "C" NOT NULL,
  currency   text NOT NULL,
  args       json NOT NULL,           -- never a secret
  steps      json NOT NULL,           -- what was set aside, and where it goes
  secret     boolean NOT NULL,        -- it carried one: only its caller can send it again
  state      text NOT NULL CHECK (state IN ('open', 'confirmed', 'declined', 'unavailable')),
  attempts   integer NOT NULL,
  opened     text COLLATE "C" NOT NULL,
  asked      text COLLATE "C" NOT NULL,  -- the last time it was sent
  closed     text COLLATE "C",
  outcome    text,                    -- as far as it may be kept
  note       text,                    -- why it is still open, or who closed it
  takes      text COLLATE "C",        -- the unique fact that its entity has once it is confirmed
  unclear    boolean NOT NULL,        -- the provider's record leaves it to a person
  claims     text COLLATE "C",        -- the provider and its transaction, once that is confirmed: it counts once
  late       text,                    -- an answer that came after its end and says otherwise
  hash       text NOT NULL            -- SHA-256 of this row, written with it
);

CREATE INDEX call_on ON :schema.call (machine, entity);
CREATE INDEX call_open ON :schema.call (asked) WHERE state = 'open';
CREATE INDEX call_late ON :schema.call (closed) WHERE late IS NOT NULL AND unclear;
CREATE UNIQUE INDEX call_takes ON :schema.call (takes) WHERE state = 'open' AND takes IS NOT NULL;
CREATE UNIQUE INDEX call_claims ON :schema.call (claims) WHERE claims IS NOT NULL;

CREATE TRIGGER call_stays BEFORE UPDATE ON :schema.call FOR EACH ROW
WHEN ((OLD.id, OLD.key, OLD.verb, OLD.machine, OLD.entity, OLD.currency, OLD.opened)
      IS DISTINCT FROM (NEW.id, NEW.key, NEW.verb, NEW.machine, NEW.entity, NEW.currency, NEW.opened))
EXECUTE FUNCTION :schema.refuse('what a call is about is never changed');

-- Its key may ask again once nobody was there: then it is opened anew, for what can be asked now.
CREATE TRIGGER call_asks BEFORE UPDATE ON :schema.call FOR EACH ROW
WHEN (NOT (OLD.state = 'unavailable' AND NEW.state = 'open')
      AND (OLD.args::text, OLD.steps::text, OLD.secret, OLD.takes)
          IS DISTINCT FROM (NEW.args::text, NEW.steps::text, NEW.secret, NEW.takes))
EXECUTE FUNCTION :schema.refuse('what a call asks for is never changed');

CREATE TRIGGER call_ended BEFORE UPDATE ON :schema.call FOR EACH ROW
WHEN (OLD.state <> 'open' AND NOT (OLD.state = 'unavailable' AND NEW.state = 'open')
      AND (OLD.state, OLD.attempts, OLD.asked, OLD.closed, OLD.outcome, OLD.claims)
          IS DISTINCT FROM (NEW.state, NEW.attempts, NEW.asked, NEW.closed, NEW.outcome, NEW.claims))
EXECUTE FUNCTION :schema.refuse('how a call ended is never changed');

CREATE TRIGGER call_late BEFORE UPDATE ON :schema.call FOR EACH ROW
WHEN (NEW.late IS DISTINCT FROM OLD.late AND (OLD.late IS NOT NULL OR NEW.state = 'open')
      AND NOT (OLD.state = 'unavailable' AND NEW.state = 'open'))
EXECUTE FUNCTION :schema.refuse('what was said of a call after its end is never changed');

CREATE TRIGGER call_remains BEFORE DELETE OR TRUNCATE ON :schema.call
EXECUTE FUNCTION :schema.refuse('calls are never deleted');

CREATE TABLE :schema.queue (
  key      text COLLATE "C" PRIMARY KEY,
  machine  text COLLATE "C" NOT NULL,
  entity   text COLLATE "C" NOT NULL,
  command  text NOT NULL,
  args     json NOT NULL,             -- never a secret
  due      text COLLATE "C" NOT NULL,
  attempts integer NOT NULL,
  state    text NOT NULL CHECK (state IN ('waiting', 'done', 'refused', 'declined', 'parked', 'dismissed', 'withdrawn')),
  why      text,
  by       text,
  reason   text,
  cause    text COLLATE "C",          -- key of the command it follows
  note     text,                      -- who withdrew, moved, dismissed or retried it, and why
  hash     text NOT NULL              -- SHA-256 of this row, written with it
);

CREATE INDEX queue_due ON :schema.queue (due, key) WHERE state = 'waiting';
CREATE INDEX queue_waits ON :schema.queue (machine, entity) WHERE state = 'waiting';
CREATE INDEX queue_given_up ON :schema.queue (due) WHERE state IN ('refused', 'declined', 'parked');
CREATE INDEX queue_cause ON :schema.queue (cause) WHERE cause IS NOT NULL;

CREATE TRIGGER queue_stays BEFORE UPDATE ON :schema.queue FOR EACH ROW
WHEN ((OLD.key, OLD.machine, OLD.entity, OLD.command, OLD.args::text, OLD.cause)
      IS DISTINCT FROM (NEW.key, NEW.machine, NEW.entity, NEW.command, NEW.args::text, NEW.cause))
EXECUTE FUNCTION :schema.refuse('what a queued command does is never changed');

CREATE TRIGGER queue_remains BEFORE DELETE OR TRUNCATE ON :schema.queue
EXECUTE FUNCTION :schema.refuse('queued commands are never deleted');

-- Small states that processes share and swap; whom one is about stands here as a keyed hash.
CREATE TABLE :schema.shared (
  name   text COLLATE "C" PRIMARY KEY,
  value  text NOT NULL,               -- JSON
  until  double precision             -- seconds since 1970 after which it says nothing any more; NULL: kept
);

CREATE INDEX shared_until ON :schema.shared (until) WHERE until IS NOT NULL;

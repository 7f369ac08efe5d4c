-- What has moved each day and what stands now, added up from the journal so that reports need not read it.
-- They are made anew if they are lost; `store/sums.py` says what each column is.

CREATE TABLE :schema._flow (
  day        text COLLATE "C" NOT NULL,
  machine    text COLLATE "C" NOT NULL,
  version    bigint NOT NULL,
  command    text COLLATE "C" NOT NULL,
  transition text COLLATE "C" NOT NULL,
  phase      text COLLATE "C" NOT NULL,
  from_state text COLLATE "C" NOT NULL,
  to_state   text COLLATE "C" NOT NULL,
  source     text COLLATE "C" NOT NULL,
  target     text COLLATE "C" NOT NULL,
  elsewhere  bigint NOT NULL,
  kind       text COLLATE "C" NOT NULL,
  card_set   text COLLATE "C" NOT NULL,
  currency   text COLLATE "C" NOT NULL,
  entries    bigint NOT NULL,
  amount     bigint NOT NULL,
  own        bigint NOT NULL,
  told       bigint NOT NULL,
  PRIMARY KEY (day, machine, version, command, transition, phase, from_state, to_state, source, target, elsewhere,
               kind, card_set, currency)
);

CREATE TABLE :schema._standing (
  since      text COLLATE "C" NOT NULL,
  day        text COLLATE "C" NOT NULL,
  machine    text COLLATE "C" NOT NULL,
  state      text COLLATE "C" NOT NULL,
  kind       text COLLATE "C" NOT NULL,
  card_set   text COLLATE "C" NOT NULL,
  account    text COLLATE "C" NOT NULL,
  currency   text COLLATE "C" NOT NULL,
  entities   bigint NOT NULL,
  valued     bigint NOT NULL,
  amount     bigint NOT NULL,
  PRIMARY KEY (since, day, machine, state, kind, card_set, account, currency)
);

CREATE TABLE :schema._seen (
  machine    text COLLATE "C" NOT NULL,
  entity     text COLLATE "C" NOT NULL,
  revision   bigint NOT NULL,
  state      text COLLATE "C" NOT NULL,
  kind       text COLLATE "C" NOT NULL,
  card_set   text COLLATE "C" NOT NULL,
  created    text COLLATE "C" NOT NULL,
  last       text COLLATE "C" NOT NULL,
  used       bigint NOT NULL,
  valued     bigint NOT NULL,
  currency   text COLLATE "C" NOT NULL,
  after      text COLLATE "C" NOT NULL,
  PRIMARY KEY (machine, entity)
);

CREATE INDEX _seen_created ON :schema._seen (machine, created);
CREATE INDEX _seen_last ON :schema._seen (machine, last, entity) WHERE valued = 1;

-- Holds that were put in force again are few of many entries, and are listed from the beginning.
CREATE INDEX entry_held_again ON :schema.entry (at) WHERE command = 'hold_again';

-- The first rows of a report are found in the order in which they are shown, however many are of one moment.
DROP INDEX :schema.entry_at;
CREATE INDEX entry_at ON :schema.entry (at, seq);

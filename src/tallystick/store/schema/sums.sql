-- What has moved each day and what stands now, added up from the journal so that reports need not read it.
-- They are made anew if they are lost; `store/sums.py` says what each column is.

CREATE TABLE _flow (
  day        TEXT NOT NULL,
  machine    TEXT NOT NULL,
  version    INTEGER NOT NULL,
  command    TEXT NOT NULL,
  transition TEXT NOT NULL,
  phase      TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state   TEXT NOT NULL,
  source     TEXT NOT NULL,
  target     TEXT NOT NULL,
  elsewhere  INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  card_set   TEXT NOT NULL,
  currency   TEXT NOT NULL,
  entries    INTEGER NOT NULL,
  amount     INTEGER NOT NULL,
  own        INTEGER NOT NULL,
  told       INTEGER NOT NULL,
  PRIMARY KEY (day, machine, version, command, transition, phase, from_state, to_state, source, target, elsewhere,
               kind, card_set, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE _standing (
  since      TEXT NOT NULL,
  day        TEXT NOT NULL,
  machine    TEXT NOT NULL,
  state      TEXT NOT NULL,
  kind       TEXT NOT NULL,
  card_set   TEXT NOT NULL,
  account    TEXT NOT NULL,
  currency   TEXT NOT NULL,
  entities   INTEGER NOT NULL,
  valued     INTEGER NOT NULL,
  amount     INTEGER NOT NULL,
  PRIMARY KEY (since, day, machine, state, kind, card_set, account, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE _seen (
  machine    TEXT NOT NULL,
  entity     TEXT NOT NULL,
  revision   INTEGER NOT NULL,
  state      TEXT NOT NULL,
  kind       TEXT NOT NULL,
  card_set   TEXT NOT NULL,
  created    TEXT NOT NULL,
  last       TEXT NOT NULL,
  used       INTEGER NOT NULL,
  valued     INTEGER NOT NULL,
  currency   TEXT NOT NULL,
  after      TEXT NOT NULL,
  PRIMARY KEY (machine, entity)
) STRICT, WITHOUT ROWID;

CREATE INDEX _seen_created ON _seen (machine, created);
CREATE INDEX _seen_last ON _seen (machine, last, entity) WHERE valued = 1;

-- Holds that were put in force again are few of many entries, and are listed from the beginning.
CREATE INDEX entry_held_again ON entry (at) WHERE command = 'hold_again';

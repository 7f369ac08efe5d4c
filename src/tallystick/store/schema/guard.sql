-- Small states that processes share and swap: who may check a balance again, the circuit breaker, the leaky bucket;
-- and by which key books are sealed, as a check value.
-- Whom a state is about stands here as a keyed hash, never as a number or an address.

CREATE TABLE shared (
  name   TEXT PRIMARY KEY,
  value  TEXT NOT NULL,               -- JSON
  until  REAL                         -- seconds since 1970 after which it says nothing any more; NULL: kept
) STRICT, WITHOUT ROWID;

CREATE INDEX shared_until ON shared (until) WHERE until IS NOT NULL;

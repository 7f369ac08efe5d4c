-- A report of a few days reads the entries of those days, and not the whole journal.

CREATE INDEX entry_at ON :schema.entry (at);

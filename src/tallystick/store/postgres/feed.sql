-- A dump that is restored on another server brings numbers of transactions that this one has not reached. Its own ones
-- are shifted then, so that what is written later still comes later in the feed. Here, and in most books for ever: by 0.
CREATE FUNCTION :schema._shift() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';
GRANT EXECUTE ON FUNCTION :schema._shift() TO PUBLIC; -- whatever the defaults of this database are

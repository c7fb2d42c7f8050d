-- The feed: in which order commits became visible, so that whoever watches sees each event once and none is skipped.
--
--   INSERT INTO journal  ->  (statement trigger)  ->  one row of the feed: which journal rows this statement wrote
--
-- A place in the feed comes from a sequence, and places are taken before they are visible: 7 may commit before 6. So who takes
-- a place first holds a shared advisory lock that says "mine is above what the sequence stood at". Whoever reads looks at the
-- sequence, then at the locks: up to the lowest of them everything is committed, or never will be. See feed.sql, and
-- docs/decisions (the feed) for why this is neither a column on the journal nor a transaction id.

CREATE SEQUENCE meshhook.feed_place MINVALUE 0 START 0;
SELECT nextval('meshhook.feed_place');          -- from here on its last value is below every place there will be

CREATE TABLE meshhook.feed (
    shard   smallint NOT NULL,
    place   bigint NOT NULL,
    at      timestamptz NOT NULL,
    run_ids uuid[] NOT NULL,
    seqs    int[] NOT NULL,                     -- of the first event of each journal row
    PRIMARY KEY (shard, place)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
-- Run ids do not compress: stored aside as they are, without an attempt.
ALTER TABLE meshhook.feed ALTER COLUMN run_ids SET STORAGE EXTERNAL, ALTER COLUMN seqs SET STORAGE EXTERNAL;
COMMENT ON TABLE meshhook.feed IS 'The journal rows of one statement, in an order in which they can be read without a gap. Kept for feed_hours.';

INSERT INTO meshhook.settings (name, value) VALUES ('feed_floor', '0');

-- Where the run stood after these events; null in the row that accepts it, and in rows older than this column.
ALTER TABLE meshhook.journal ADD COLUMN status meshhook.run_status;

-- A trigger, so that nobody who writes to the journal can forget it.
CREATE FUNCTION meshhook.note_in_feed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM added) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(meshhook.feed_lock(pg_sequence_last_value('meshhook.feed_place')));
    INSERT INTO meshhook.feed (shard, place, at, run_ids, seqs)
    SELECT a.shard, nextval('meshhook.feed_place'), max(a.at), array_agg(a.run_id), array_agg(a.seq)
    FROM (SELECT n.shard, n.run_id, n.seq, n.at FROM added n ORDER BY n.seq) a
    GROUP BY a.shard;
    RETURN NULL;
END $$;

-- The key of the advisory lock of a place: 24 bits that are ours ("mhf"), 40 bits of place.
CREATE FUNCTION meshhook.feed_lock(p_place bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (x'6D6866'::bigint << 40) | (p_place & ((1::bigint << 40) - 1))
$$;

CREATE TRIGGER journal_goes_into_feed AFTER INSERT ON meshhook.journal
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION meshhook.note_in_feed();

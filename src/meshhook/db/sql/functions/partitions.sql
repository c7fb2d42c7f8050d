-- Partitions of runs and journal: a day (UTC) each, on the time in the run id. Made ahead, dropped when they are old.
--
-- Neither blocks accepting. A partition is made as a table of its own and then attached, which goes beside everything but other
-- changes of the table's shape (CREATE TABLE … PARTITION OF would wait for every reader, and everybody else behind it). It is
-- taken out by DETACH … CONCURRENTLY, which no function can do: see meshhook/retention.py.

-- uuid_floor: the smallest UUIDv7 of a moment.
CREATE OR REPLACE FUNCTION meshhook.uuid_floor(p_at timestamptz) RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (lpad(to_hex((extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
END $$;

-- uuid_time: the moment of a UUIDv7.
CREATE OR REPLACE FUNCTION meshhook.uuid_time(p_id uuid) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN to_timestamp(('x' || lpad(substr(replace(p_id::text, '-', ''), 1, 12), 16, '0'))::bit(64)::bigint / 1000.0);
END $$;

-- attach_partition: make a table of one day a part of runs or of journal.
CREATE OR REPLACE FUNCTION meshhook.attach_partition(p_table text, p_day date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE meshhook.%I ATTACH PARTITION meshhook.%I FOR VALUES FROM (%L) TO (%L)',
                   p_table, p_table || '_' || to_char(p_day, 'YYYYMMDD'),
                   meshhook.uuid_floor(p_day::timestamp AT TIME ZONE 'UTC'),
                   meshhook.uuid_floor((p_day + 1)::timestamp AT TIME ZONE 'UTC'));
END $$;

-- make_partitions: one partition of runs and of journal for each day (UTC) from yesterday to p_days ahead, where missing.
-- Returns how many it made. Yesterday's is there for a process whose clock is a little behind.
CREATE OR REPLACE FUNCTION meshhook.make_partitions(p_days int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_today date := (meshhook.now() AT TIME ZONE 'UTC')::date;
    v_day   date;
    v_table text;
    v_name  text;
    v_made  int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('meshhook.make_partitions'));
    FOR v_day IN SELECT d::date FROM generate_series(v_today - 1, v_today + p_days, interval '1 day') d LOOP
        FOREACH v_table IN ARRAY ARRAY['runs', 'journal'] LOOP
            v_name := v_table || '_' || to_char(v_day, 'YYYYMMDD');
            CONTINUE WHEN to_regclass('meshhook.' || v_name) IS NOT NULL;
            EXECUTE format('CREATE TABLE meshhook.%I (LIKE meshhook.%I INCLUDING ALL)', v_name, v_table);
            IF v_table = 'runs' THEN
                -- A run is written once more when it ends: with room for that on the page, no index is touched (HOT).
                EXECUTE format('ALTER TABLE meshhook.%I SET (fillfactor = 50)', v_name);
            END IF;
            PERFORM meshhook.attach_partition(v_table, v_day);
            v_made := v_made + 1;
        END LOOP;
    END LOOP;
    RETURN v_made;
END $$;

-- partition_days: every day that has a table.
--   runs, journal  'attached' | 'detaching' (begun, and not yet ended) | 'detached' | null: there is no such table
--   live           live runs of that day, a thousand at most: a day with one is kept
CREATE OR REPLACE FUNCTION meshhook.partition_days()
RETURNS TABLE (day date, runs text, journal text, bytes bigint, live int)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    WITH tables AS (
        SELECT split_part(c.relname, '_', 1) AS kind, to_date(split_part(c.relname, '_', 2), 'YYYYMMDD') AS day,
               CASE WHEN i.inhrelid IS NULL THEN 'detached' WHEN i.inhdetachpending THEN 'detaching' ELSE 'attached' END AS state,
               pg_total_relation_size(c.oid) AS bytes
        FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE c.relnamespace = 'meshhook'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(runs|journal)_[0-9]{8}$'
    )
    SELECT t.day, max(t.state) FILTER (WHERE t.kind = 'runs'), max(t.state) FILTER (WHERE t.kind = 'journal'),
           sum(t.bytes)::bigint, meshhook.live_runs_of(t.day)
    FROM tables t GROUP BY t.day ORDER BY t.day;
END $$;

-- live_runs_of: how many live runs a day has, a thousand at most.
CREATE OR REPLACE FUNCTION meshhook.live_runs_of(p_day date) RETURNS int LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $$
BEGIN
    RETURN (SELECT count(*) FROM (
                SELECT FROM (SELECT value::int AS count FROM meshhook.settings WHERE name = 'shards') shards,
                     generate_series(0, shards.count - 1) AS shard,
                     LATERAL (SELECT FROM meshhook.tasks t
                              WHERE t.shard = shard::smallint
                                AND t.run_id >= meshhook.uuid_floor(p_day::timestamp AT TIME ZONE 'UTC')
                                AND t.run_id < meshhook.uuid_floor((p_day + 1)::timestamp AT TIME ZONE 'UTC')
                              LIMIT 1000) live
                LIMIT 1000) counted);
END $$;

-- is_kept: whether the day of a run is wholly there. It is not while it is being dropped, and then a run may be seen without its
-- journal.
CREATE OR REPLACE FUNCTION meshhook.is_kept(p_run_id uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_day text := to_char(meshhook.uuid_time(p_run_id) AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    RETURN (SELECT count(*) = 2 FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid AND NOT i.inhdetachpending
            WHERE c.relnamespace = 'meshhook'::regnamespace AND c.relname IN ('runs_' || v_day, 'journal_' || v_day));
END $$;

-- take_chore: whether the caller shall do a chore that one worker does once in p_pause. He has it for that long; if he dies,
-- another does it after that.
CREATE OR REPLACE FUNCTION meshhook.take_chore(p_name text, p_pause interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := meshhook.now();
BEGIN
    INSERT INTO meshhook.settings AS s (name, value) VALUES ('chore ' || p_name, (v_now + p_pause)::text)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value::timestamptz <= v_now;
    RETURN FOUND;
END $$;

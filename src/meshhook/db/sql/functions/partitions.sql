-- uuid_floor: the smallest UUIDv7 of a moment.
CREATE OR REPLACE FUNCTION meshhook.uuid_floor(p_at timestamptz) RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (lpad(to_hex((extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
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
            EXECUTE format('CREATE TABLE meshhook.%I PARTITION OF meshhook.%I FOR VALUES FROM (%L) TO (%L)',
                           v_name, v_table,
                           meshhook.uuid_floor(v_day::timestamp AT TIME ZONE 'UTC'),
                           meshhook.uuid_floor((v_day + 1)::timestamp AT TIME ZONE 'UTC'));
            IF v_table = 'runs' THEN
                -- A run is written once more when it ends: with room for that on the page, no index is touched (HOT).
                EXECUTE format('ALTER TABLE meshhook.%I SET (fillfactor = 50)', v_name);
            END IF;
            v_made := v_made + 1;
        END LOOP;
    END LOOP;
    RETURN v_made;
END $$;

-- forget_test_versions: the versions of test runs whose day was dropped, p_limit a day at most. Returns how many. It jumps from day to
-- day, so that it costs nothing while every day is there. A day on its way out may come back (see retention.py), so its table counts.
CREATE OR REPLACE FUNCTION meshhook.forget_test_versions(p_limit int) RETURNS int
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    v_first uuid;
    v_day   date;
    v_end   uuid := '00000000-0000-0000-0000-000000000000';
    v_batch int;
    v_gone  int := 0;
BEGIN
    LOOP
        SELECT v.test_run INTO v_first FROM meshhook.versions v
        WHERE v.test_run IS NOT NULL AND v.test_run >= v_end ORDER BY v.test_run LIMIT 1;
        EXIT WHEN v_first IS NULL;
        v_day := (meshhook.uuid_time(v_first) AT TIME ZONE 'UTC')::date;
        v_end := meshhook.uuid_floor((v_day + 1)::timestamp AT TIME ZONE 'UTC');
        CONTINUE WHEN to_regclass('meshhook.runs_' || to_char(v_day, 'YYYYMMDD')) IS NOT NULL;
        DELETE FROM meshhook.versions d
        WHERE d.id = ANY (ARRAY(SELECT v.id FROM meshhook.versions v
                                WHERE v.test_run IS NOT NULL AND v.test_run >= v_first AND v.test_run < v_end
                                ORDER BY v.test_run LIMIT p_limit FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS v_batch = ROW_COUNT;
        v_gone := v_gone + v_batch;
    END LOOP;
    RETURN v_gone;
END $$;

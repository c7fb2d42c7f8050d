-- call_back: runs that wait for room, on their worker or at a host, are due now. What somebody holds, or is about to, is left alone: he
-- sees for himself.
CREATE OR REPLACE FUNCTION meshhook.call_back(p_shard smallint, p_run_ids uuid[]) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_now    timestamptz := meshhook.now();
    v_places tid[];
BEGIN
    SELECT array_agg(mine.place) INTO v_places
    FROM unnest(p_run_ids) AS u (run_id)
    CROSS JOIN LATERAL (
        SELECT t.ctid AS place FROM meshhook.tasks t
        WHERE t.shard = p_shard AND t.run_id = u.run_id AND t.owner IS NULL AND t.queue = 2 AND t.due_at > v_now
        OFFSET 0 FOR UPDATE OF t SKIP LOCKED) mine;
    UPDATE meshhook.tasks t SET due_at = v_now WHERE t.ctid = ANY (v_places);
END $$;

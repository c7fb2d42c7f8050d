-- renew: push out the end of every lease a worker holds in one shard. Returns the runs it still holds; of the others it must
-- let go, for somebody else may have them.
CREATE OR REPLACE FUNCTION meshhook.renew(p_shard smallint, p_owner text, p_run_ids uuid[], p_epochs int[], p_lease interval)
RETURNS TABLE (held uuid, until timestamptz, signaled boolean)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_now timestamptz := meshhook.now();
BEGIN
    RETURN QUERY
    WITH mine AS (
        SELECT mine_now.place
        FROM unnest(p_run_ids, p_epochs) AS u (run_id, epoch)
        CROSS JOIN LATERAL (
            SELECT t.ctid AS place FROM meshhook.tasks t
            WHERE t.shard = p_shard AND t.run_id = u.run_id AND t.epoch = u.epoch
              AND t.owner = p_owner AND t.due_at > v_now  -- what has run out is not renewed: it may be about to be taken over
            OFFSET 0 FOR UPDATE OF t SKIP LOCKED) mine_now
    )
    UPDATE meshhook.tasks t SET due_at = v_now + p_lease
    WHERE t.ctid = ANY (ARRAY(SELECT place FROM mine))
    RETURNING t.run_id, t.due_at, t.signaled;
END $$;

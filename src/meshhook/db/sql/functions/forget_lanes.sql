-- forget_lanes: delete lanes in which nobody stands, and the full buckets of workflows without any lane. Returns how many lanes.
--
-- A key may be anything, so lanes come without end. p_limit of them are looked at, from a random one on. Who deletes a lane holds the
-- entry of its workflow, as whoever puts runs into it does: so nobody is put into a lane that is about to go.
CREATE OR REPLACE FUNCTION meshhook.forget_lanes(p_shard smallint, p_limit int) RETURNS int
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_now       timestamptz := meshhook.now();
    v_from      bigint;
    v_lanes     bigint[];
    v_workflows int[];
    v_gone      int;
BEGIN
    v_from := (SELECT floor(1 + random() * last.id)::bigint FROM (SELECT max(l.id) AS id FROM meshhook.lanes l
                                                                  WHERE l.shard = p_shard AND l.id > 0) last);
    v_lanes := ARRAY(SELECT l.id FROM meshhook.lanes l WHERE l.shard = p_shard AND l.id >= v_from ORDER BY l.id LIMIT p_limit);
    v_workflows := ARRAY(SELECT l.workflow_id FROM meshhook.lanes l
                         WHERE l.shard = p_shard
                           AND l.id IN (SELECT -looked.workflow_id FROM meshhook.lanes looked
                                        WHERE looked.shard = p_shard AND looked.id = ANY (v_lanes))
                         FOR UPDATE SKIP LOCKED);
    -- A snapshot of its own: whoever held an entry before us has put his runs into their lanes by now.
    DELETE FROM meshhook.lanes l
    WHERE l.ctid = ANY (ARRAY(SELECT idle.ctid FROM meshhook.lanes idle
                              WHERE idle.shard = p_shard AND idle.id = ANY (v_lanes) AND idle.workflow_id = ANY (v_workflows)
                                AND (idle.reserved_at IS NULL OR idle.reserved_at < v_now)
                                AND NOT EXISTS (SELECT FROM meshhook.tasks t WHERE t.shard = p_shard AND t.lane = idle.id)
                              FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    DELETE FROM meshhook.buckets b
    WHERE b.ctid = ANY (ARRAY(SELECT idle.ctid FROM meshhook.buckets idle
                              WHERE idle.shard = p_shard AND idle.workflow_id = ANY (v_workflows) AND idle.full_at < v_now
                                AND NOT EXISTS (SELECT FROM meshhook.lanes l
                                                WHERE l.shard = p_shard AND l.workflow_id = idle.workflow_id AND l.key IS NOT NULL)
                              LIMIT p_limit
                              FOR UPDATE SKIP LOCKED));
    RETURN v_gone;
END $$;

-- What an operation goes over: dead letters (replay, discard) or live runs (cancel), in the order of their ids, behind its cursor.
-- It looks at p_looked rows at most and takes p_limit of those that match; `last` is how far it looked, null when there are no more.

-- operation_letters: with p_take they are locked, so that two operations, or one and a person, never deal with the same one; who was
-- dealt with while this waited for the lock is not among them. Those that failed after the operation began are none of its business:
-- a replay that fails again is not replayed for ever.
CREATE OR REPLACE FUNCTION meshhook.operation_letters(
    p_shard smallint, p_after uuid, p_project_id int, p_workflow_id int, p_error_type text, p_node text,
    p_since timestamptz, p_until timestamptz, p_looked int, p_limit int, p_take boolean
) RETURNS TABLE (run_ids uuid[], last uuid)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_end uuid;
BEGIN
    SELECT l.run_id INTO v_end FROM meshhook.dead_letters l
    WHERE l.shard = p_shard AND l.project_id = p_project_id AND l.run_id > p_after
    ORDER BY l.run_id OFFSET p_looked - 1 LIMIT 1;
    run_ids := ARRAY(
        SELECT l.run_id FROM meshhook.dead_letters l
        WHERE l.shard = p_shard AND l.project_id = p_project_id AND l.run_id > p_after AND (v_end IS NULL OR l.run_id <= v_end)
          AND (p_workflow_id IS NULL OR l.workflow_id = p_workflow_id)
          AND (p_error_type IS NULL OR l.error_type = p_error_type)
          AND (p_node IS NULL OR l.node = p_node)
          AND (p_since IS NULL OR l.failed_at >= p_since)
          AND l.failed_at < p_until
        ORDER BY l.run_id LIMIT p_limit);
    last := CASE WHEN cardinality(run_ids) = p_limit THEN run_ids[p_limit] ELSE v_end END;
    IF p_take THEN
        run_ids := ARRAY(SELECT l.run_id FROM meshhook.dead_letters l
                         WHERE l.shard = p_shard AND l.run_id = ANY (run_ids) ORDER BY l.run_id FOR UPDATE);
    END IF;
    RETURN NEXT;
END $$;

-- operation_runs: live runs with ids of that time. Whoever is under way in a worker's transaction is seen as it was before.
CREATE OR REPLACE FUNCTION meshhook.operation_runs(
    p_shard smallint, p_after uuid, p_project_id int, p_workflow_id int, p_since timestamptz, p_until timestamptz,
    p_looked int, p_limit int
) RETURNS TABLE (run_ids uuid[], last uuid)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_from uuid := greatest(p_after, meshhook.uuid_floor(coalesce(p_since, to_timestamp(0))));
    v_to   uuid := meshhook.uuid_floor(p_until);
    v_end  uuid;
BEGIN
    SELECT t.run_id INTO v_end FROM meshhook.tasks t
    WHERE t.shard = p_shard AND t.run_id > v_from AND t.run_id < v_to
    ORDER BY t.run_id OFFSET p_looked - 1 LIMIT 1;
    run_ids := ARRAY(
        SELECT r.id FROM meshhook.tasks t
        JOIN meshhook.runs r ON r.shard = p_shard AND r.id = t.run_id
        WHERE t.shard = p_shard AND t.run_id > v_from AND t.run_id < v_to AND (v_end IS NULL OR t.run_id <= v_end)
          AND t.project_id = p_project_id
          AND (p_workflow_id IS NULL OR r.workflow_id = p_workflow_id)
        ORDER BY t.run_id LIMIT p_limit);
    last := CASE WHEN cardinality(run_ids) = p_limit THEN run_ids[p_limit] ELSE v_end END;
    RETURN NEXT;
END $$;

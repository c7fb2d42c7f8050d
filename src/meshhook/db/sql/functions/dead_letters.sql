-- bury: these runs have failed; in the transaction that says so in their journals.
CREATE OR REPLACE FUNCTION meshhook.bury(
    p_shard smallint, p_run_ids uuid[], p_nodes text[], p_types text[], p_reasons text[]
) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    INSERT INTO meshhook.dead_letters (shard, run_id, project_id, workflow_id, failed_at, node, error_type, reason)
    SELECT p_shard, r.id, r.project_id, r.workflow_id, r.finished_at, u.node, u.type, u.reason
    FROM (SELECT unnest(p_run_ids) AS run_id, unnest(p_nodes) AS node, unnest(p_types) AS type, unnest(p_reasons) AS reason) u
    JOIN meshhook.runs r ON r.shard = p_shard AND r.id = u.run_id
    ON CONFLICT DO NOTHING;
END $$;

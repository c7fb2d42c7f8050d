-- runs_page: the newest runs of one shard below one run id, and from another one on, that belong to a project and pass the filters
-- (null: any).
--
-- Looks at 10,000 rows at most: a filter that few runs pass makes a short page, never a slow one; runs_scanned tells where such
-- a scan had to end. A function, because only so can the planner be held to the primary key: before a partition of today has
-- statistics, it would rather read and sort all of it.
CREATE OR REPLACE FUNCTION meshhook.runs_page(
    p_shard smallint, p_before uuid, p_from uuid, p_project_id int, p_statuses text[], p_workflow_ids int[], p_endpoint_id int,
    p_test boolean, p_limit int
) RETURNS TABLE (id uuid)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
AS $$
DECLARE
    v_statuses meshhook.run_status[] := p_statuses;
BEGIN
    RETURN QUERY
    SELECT scanned.id
    FROM (SELECT r.* FROM meshhook.runs r
          WHERE r.shard = p_shard AND r.id < p_before AND r.id >= p_from
          ORDER BY r.id DESC
          LIMIT 10000) scanned
          WHERE scanned.project_id = p_project_id
            AND (p_statuses IS NULL OR scanned.status = ANY (v_statuses))
            AND (p_workflow_ids IS NULL OR scanned.workflow_id = ANY (p_workflow_ids))
            AND (p_endpoint_id IS NULL OR scanned.endpoint_id = p_endpoint_id)
            AND (p_test IS NULL OR p_test = (scanned.id IN (
                SELECT v.test_run FROM meshhook.versions v WHERE v.test_run >= p_from AND v.test_run < p_before)))
    ORDER BY scanned.id DESC
    LIMIT p_limit;
END $$;

-- runs_scanned: where runs_page had to end; null when there were fewer rows than it may look at.
CREATE OR REPLACE FUNCTION meshhook.runs_scanned(
    p_shard smallint, p_before uuid, p_from uuid DEFAULT '00000000-0000-0000-0000-000000000000'
) RETURNS uuid
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
AS $$
BEGIN
    RETURN (SELECT r.id FROM meshhook.runs r
            WHERE r.shard = p_shard AND r.id < p_before AND r.id >= p_from
            ORDER BY r.id DESC
            OFFSET 9999 LIMIT 1);
END $$;

-- runs_listed: what a list shows of these runs, newest first, each looked up by its keys.
--   head    the beginning of the journal of a run that no webhook began: what began it stands before its payload
--   ending  the last journal row of a run that failed or was cancelled, when no dead letter says why and the row is small
CREATE OR REPLACE FUNCTION meshhook.runs_listed(p_shards smallint[], p_ids uuid[])
RETURNS TABLE (
    id uuid, workflow text, version int, status meshhook.run_status, endpoint text, delivery_key text, epoch int,
    accepted_at timestamptz, finished_at timestamptz, head text, error_type text, error_node text, error_reason text, ending text
)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
    SELECT wanted.id, w.name, v.number, r.status, e.path, r.delivery_key, r.epoch, first.at, r.finished_at,
           CASE WHEN r.endpoint_id IS NULL AND pg_column_size(first.events) <= 65536 THEN left(first.events::text, 4000) END,
           d.error_type, d.node, d.reason,
           CASE WHEN d.run_id IS NULL AND r.status IN ('failed', 'cancelled') THEN
               (SELECT CASE WHEN pg_column_size(last.events) <= 8192 THEN last.events::text END
                FROM meshhook.journal last
                WHERE last.shard = wanted.shard AND last.run_id = wanted.id ORDER BY last.seq DESC LIMIT 1) END
    FROM unnest(p_shards, p_ids) AS wanted (shard, id)
    CROSS JOIN LATERAL (SELECT * FROM meshhook.runs one WHERE one.shard = wanted.shard AND one.id = wanted.id OFFSET 0) r
    CROSS JOIN LATERAL (SELECT j.at, j.events FROM meshhook.journal j
                        WHERE j.shard = wanted.shard AND j.run_id = wanted.id AND j.seq = 1 OFFSET 0) first
    JOIN meshhook.workflows w ON w.id = r.workflow_id
    JOIN meshhook.versions v ON v.id = r.version_id
    LEFT JOIN meshhook.endpoints e ON e.id = r.endpoint_id
    LEFT JOIN meshhook.dead_letters d ON d.shard = wanted.shard AND d.run_id = wanted.id
    ORDER BY wanted.id DESC;
END $$;

-- runs_page: the newest runs of one shard below a run id that belong to a project and pass the filters (null: any).
--
-- Looks at 10,000 rows at most: a filter that few runs pass makes a short page, never a slow one; runs_scanned tells where such
-- a scan had to end. A function, because only so can the planner be held to the primary key: before a partition of today has
-- statistics, it would rather read and sort all of it.
CREATE OR REPLACE FUNCTION meshhook.runs_page(
    p_shard smallint, p_before uuid, p_project_id int, p_status text, p_workflow_id int, p_limit int
) RETURNS TABLE (
    id uuid, workflow text, version int, status meshhook.run_status, endpoint text, delivery_key text, epoch int,
    accepted_at timestamptz, finished_at timestamptz
)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
    SELECT page.id, w.name, v.number, page.status, e.path, page.delivery_key, page.epoch,
           (SELECT j.at FROM meshhook.journal j WHERE j.shard = p_shard AND j.run_id = page.id AND j.seq = 1),
           page.finished_at
    FROM (SELECT scanned.*
          FROM (SELECT r.* FROM meshhook.runs r
                WHERE r.shard = p_shard AND r.id < p_before
                ORDER BY r.id DESC
                LIMIT 10000) scanned
          WHERE scanned.project_id = p_project_id
            AND (p_status IS NULL OR scanned.status = p_status::meshhook.run_status)
            AND (p_workflow_id IS NULL OR scanned.workflow_id = p_workflow_id)
          ORDER BY scanned.id DESC
          LIMIT p_limit) page
    JOIN meshhook.workflows w ON w.id = page.workflow_id
    JOIN meshhook.versions v ON v.id = page.version_id
    LEFT JOIN meshhook.endpoints e ON e.id = page.endpoint_id
    ORDER BY page.id DESC;
END $$;

-- runs_scanned: where runs_page had to end; null when there were fewer rows than it may look at.
CREATE OR REPLACE FUNCTION meshhook.runs_scanned(p_shard smallint, p_before uuid) RETURNS uuid
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
AS $$
BEGIN
    RETURN (SELECT r.id FROM meshhook.runs r
            WHERE r.shard = p_shard AND r.id < p_before
            ORDER BY r.id DESC
            OFFSET 9999 LIMIT 1);
END $$;

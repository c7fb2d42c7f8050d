-- backlogs: live runs of every project that has a limit (see meshhook/backlog.py). Costs nothing when none has one.
CREATE OR REPLACE FUNCTION meshhook.backlogs()
RETURNS TABLE (project_id int, backlog_max int, live bigint)
LANGUAGE plpgsql STABLE
SET enable_hashjoin = off   -- one probe a live run, never a walk through all that have ended
SET enable_mergejoin = off
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM meshhook.projects p WHERE p.backlog_max IS NOT NULL) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH live AS MATERIALIZED (
        SELECT r.project_id AS id, count(*) AS runs
        FROM meshhook.tasks t JOIN meshhook.runs r ON r.shard = t.shard AND r.id = t.run_id
        GROUP BY r.project_id
    )
    SELECT p.id, p.backlog_max, coalesce(live.runs, 0)
    FROM meshhook.projects p LEFT JOIN live ON live.id = p.id
    WHERE p.backlog_max IS NOT NULL;
END $$;

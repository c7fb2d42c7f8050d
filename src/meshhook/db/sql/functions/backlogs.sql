-- backlogs: live runs of every project that has a limit (see meshhook/backlog.py). One walk through the queue, which holds live
-- runs alone; nothing when no project has a limit. A run that is claimed just now counts: its task is deleted, but not committed.
CREATE OR REPLACE FUNCTION meshhook.backlogs()
RETURNS TABLE (project_id int, backlog_max int, live bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM meshhook.projects p WHERE p.backlog_max IS NOT NULL) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH live AS MATERIALIZED (
        SELECT t.project_id AS id, count(*) AS runs FROM meshhook.tasks t GROUP BY t.project_id
    )
    SELECT p.id, p.backlog_max, coalesce(live.runs, 0)
    FROM meshhook.projects p LEFT JOIN live ON live.id = p.id
    WHERE p.backlog_max IS NOT NULL;
END $$;

-- Firing schedules, in one transaction of a worker:
--
--   due_schedules()  ->  still_live()  ->  (which ticks start runs is decided in meshhook/timetable.py)  ->  start_runs()  ->  move_schedules()
--
-- The locks of due_schedules() are the hold: others skip what is held, and a crash leaves everything as it was, so a tick is fired
-- by one worker, once.

-- due_schedules: at most p_limit schedules that want attention, locked; and the time it is.
CREATE OR REPLACE FUNCTION meshhook.due_schedules(p_limit int) RETURNS TABLE (
    id int, project_id int, name text, workflow text, config json, tick_at timestamptz, held_at timestamptz, last_run_id uuid,
    now timestamptz
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_now timestamptz := meshhook.now();
BEGIN
    RETURN QUERY
    SELECT s.id, s.project_id, s.name, w.name, s.config, s.tick_at, s.held_at, s.last_run_id, v_now
    FROM meshhook.schedules s JOIN meshhook.workflows w ON w.id = s.workflow_id
    WHERE s.due_at <= v_now AND s.paused_at IS NULL
    ORDER BY s.due_at
    LIMIT p_limit
    FOR UPDATE OF s SKIP LOCKED;
END $$;

-- still_live: which of these runs of one shard have not ended.
CREATE OR REPLACE FUNCTION meshhook.still_live(p_shard smallint, p_run_ids uuid[]) RETURNS TABLE (run_id uuid)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT r.id FROM meshhook.runs r WHERE r.shard = p_shard AND r.id = ANY (p_run_ids) AND r.finished_at IS NULL;
END $$;

-- move_schedules: where schedules stand after their ticks were fired. Counts are added; a tick or a run that is null changes
-- nothing.
CREATE OR REPLACE FUNCTION meshhook.move_schedules(
    p_ids int[], p_tick_at timestamptz[], p_due_at timestamptz[], p_held_at timestamptz[], p_last_tick_at timestamptz[],
    p_last_run_id uuid[], p_errors text[], p_fired int[], p_skipped int[], p_missed int[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE meshhook.schedules s
    SET tick_at = u.tick_at, due_at = u.due_at, held_at = u.held_at,
        last_tick_at = coalesce(u.last_tick_at, s.last_tick_at), last_run_id = coalesce(u.last_run_id, s.last_run_id),
        last_error = CASE WHEN u.fired > 0 OR u.error IS NOT NULL THEN u.error ELSE s.last_error END,
        fired = s.fired + u.fired, skipped = s.skipped + u.skipped, missed = s.missed + u.missed
    FROM (SELECT unnest(p_ids) AS id, unnest(p_tick_at) AS tick_at, unnest(p_due_at) AS due_at, unnest(p_held_at) AS held_at,
                 unnest(p_last_tick_at) AS last_tick_at, unnest(p_last_run_id) AS last_run_id, unnest(p_errors) AS error,
                 unnest(p_fired) AS fired, unnest(p_skipped) AS skipped, unnest(p_missed) AS missed) u
    WHERE s.id = u.id;
END $$;

-- next_schedule_s: seconds until a schedule is due; negative when one is overdue, null when there is none.
CREATE OR REPLACE FUNCTION meshhook.next_schedule_s() RETURNS double precision LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
BEGIN
    RETURN (SELECT extract(epoch FROM s.due_at - meshhook.now()) FROM meshhook.schedules s
            WHERE s.paused_at IS NULL AND s.due_at IS NOT NULL ORDER BY s.due_at LIMIT 1);
END $$;

-- Where the queue begins, seen from a moment on. Each is one probe of an index for an exact place, so what lies dead before that
-- moment costs nothing. See claim() and pressure(), and meshhook/lookback.py for how that moment is chosen.

-- front: what claim() must know before it looks. No row where there are many projects.
--   front    since when that has been due which waits longest; p_now, if nothing does
--   projects of those that have ready tasks at most p_max, from a random one on and round; null when there are none
--   timed    something timed is due;  opened  a lane is to be looked at
CREATE OR REPLACE FUNCTION meshhook.front(p_shard smallint, p_now timestamptz, p_from timestamptz, p_max int)
RETURNS TABLE (front timestamptz, projects int[], timed boolean, opened boolean)
LANGUAGE plpgsql  -- planned as claim() says, which alone calls this
AS $$
DECLARE
    v_ready  int[];
    v_first  int;
    v_due    timestamptz;
    v_timed  timestamptz;
    v_opened timestamptz;
BEGIN
    IF meshhook.has_many_projects() THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(r.project_id), '{}'), min(r.due_at) INTO v_ready, v_due
    FROM meshhook.ready_fronts(p_shard, p_from) r;
    v_first := floor(random() * cardinality(v_ready))::int;
    v_timed := (SELECT t.due_at FROM meshhook.tasks t
                WHERE t.shard = p_shard AND t.queue >= 2 AND t.due_at >= p_from
                ORDER BY t.due_at LIMIT 1);
    v_opened := (SELECT o.at FROM meshhook.openings o
                 WHERE o.shard = p_shard AND o.at >= p_from
                 ORDER BY o.at LIMIT 1);
    RETURN QUERY
    SELECT least(p_now, v_due, v_timed, v_opened), nullif((v_ready[v_first + 1:] || v_ready[:v_first])[:p_max], '{}'),
           coalesce(v_timed <= p_now, false), coalesce(v_opened <= p_now, false);
END $$;

-- ready_fronts: the projects that have ready tasks due since p_from, and since when the oldest of these has been due.
CREATE OR REPLACE FUNCTION meshhook.ready_fronts(p_shard smallint, p_from timestamptz)
RETURNS TABLE (project_id int, due_at timestamptz)
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY
    SELECT oldest.id, oldest.due_at
    FROM (SELECT p.id, least(
              (SELECT t.due_at FROM meshhook.tasks t
               WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id = p.id AND t.priority = 0 AND t.due_at >= p_from
               ORDER BY t.due_at LIMIT 1),
              (SELECT t.due_at FROM meshhook.tasks t
               WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id = p.id AND t.priority = 1 AND t.due_at >= p_from
               ORDER BY t.due_at LIMIT 1),
              (SELECT t.due_at FROM meshhook.tasks t
               WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id = p.id AND t.priority = 2 AND t.due_at >= p_from
               ORDER BY t.due_at LIMIT 1)) AS due_at
          FROM meshhook.projects p OFFSET 0) oldest
    WHERE oldest.due_at IS NOT NULL;
END $$;

-- has_many_projects: so many that three probes for each of them would cost more than they save.
CREATE OR REPLACE FUNCTION meshhook.has_many_projects() RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM meshhook.projects OFFSET 1000);
END $$;

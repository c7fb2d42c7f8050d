-- heartbeat: a worker says that it lives, and what it has done since it started.
CREATE OR REPLACE FUNCTION meshhook.heartbeat(p_id text, p_committed bigint, p_refused bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO meshhook.workers AS w (id, started_at, seen_at, committed, refused)
    VALUES (p_id, meshhook.now(), meshhook.now(), p_committed, p_refused)
    ON CONFLICT (id) DO UPDATE
        SET seen_at = excluded.seen_at, committed = excluded.committed, refused = excluded.refused;
END $$;

-- pressure: what the door must know to slow down in time (see meshhook/door.py).
--   lag_s     how long the run that waits longest has waited; 0 with an empty queue
--   queued    live runs, as Postgres' own statistics count them: cheap, and right to within a second
--   committed what the living workers have done since they started;  workers  how many of them there are
CREATE OR REPLACE FUNCTION meshhook.pressure(p_alive interval)
RETURNS TABLE (lag_s double precision, queued bigint, committed bigint, workers int)
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    v_now timestamptz := meshhook.now();
BEGIN
    RETURN QUERY
    SELECT coalesce((SELECT greatest(0, extract(epoch FROM v_now - min(oldest.due_at)))
                     FROM (SELECT value::smallint AS count FROM meshhook.settings WHERE name = 'shards') shards,
                          generate_series(0, shards.count - 1) AS shard,
                          LATERAL (SELECT t.due_at FROM meshhook.tasks t
                                   WHERE t.shard = shard::smallint ORDER BY t.due_at LIMIT 1) oldest), 0)::double precision,
           pg_stat_get_live_tuples('meshhook.tasks'::regclass),
           coalesce(sum(w.committed), 0)::bigint,
           count(*)::int
    FROM meshhook.workers w
    WHERE w.seen_at > v_now - p_alive;
END $$;

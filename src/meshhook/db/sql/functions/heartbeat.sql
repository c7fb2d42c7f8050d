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
--   lag_s     how long the run that waits longest has waited; 0 with an empty queue. Runs that wait for a slot of their lane do
--             not count: they wait for each other, not for a worker
--   projects, lags_s  the same for each project that has ready runs, 200 of them at most
--   queued    live runs, as Postgres' own statistics count them: cheap, and right to within a second
--   committed what the living workers have done since they started;  workers  how many of them there are
--   front     with p_from: since when that has been due which waits longest; now, if nothing does. Null with many projects
-- With p_from, what was due before is not seen: as for claim(), so that rows that lie dead need not be passed.
CREATE OR REPLACE FUNCTION meshhook.pressure(p_alive interval, p_from timestamptz DEFAULT NULL)
RETURNS TABLE (
    lag_s double precision, queued bigint, committed bigint, workers int, projects int[], lags_s double precision[],
    front timestamptz
)
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    v_now      timestamptz := meshhook.now();
    v_projects int[];
    v_lags     double precision[];
BEGIN
    IF meshhook.has_many_projects() THEN
        p_from := NULL;
    END IF;
    SELECT array_agg(p.project_id), array_agg(p.lag_s) INTO v_projects, v_lags
    FROM (SELECT oldest.project_id, max(greatest(0, extract(epoch FROM v_now - oldest.due_at)))::double precision AS lag_s
          FROM (SELECT value::smallint AS count FROM meshhook.settings WHERE name = 'shards') shards,
               generate_series(0, shards.count - 1) AS shard,
               LATERAL (SELECT ready.project_id, waits.due_at
                        FROM unnest(CASE WHEN p_from IS NULL THEN meshhook.ready_projects(shard::smallint, 200) END)
                                 AS ready (project_id),
                             generate_series(0, 2) AS priority,
                             LATERAL (SELECT t.due_at FROM meshhook.tasks t
                                      WHERE t.shard = shard::smallint AND t.queue = 0 AND t.project_id = ready.project_id
                                        AND t.priority = priority::smallint
                                      ORDER BY t.due_at LIMIT 1) waits
                        UNION ALL
                        (SELECT fronts.project_id, fronts.due_at FROM meshhook.ready_fronts(shard::smallint, p_from) fronts
                         WHERE p_from IS NOT NULL)
                        UNION ALL
                        (SELECT t.project_id, t.due_at FROM meshhook.tasks t
                         WHERE t.shard = shard::smallint AND t.queue >= 2 AND t.due_at >= coalesce(p_from, '-infinity')
                         ORDER BY t.due_at LIMIT 1)) oldest
          GROUP BY oldest.project_id) p;
    RETURN QUERY
    SELECT coalesce((SELECT max(lag) FROM unnest(v_lags) AS lag), 0),
           pg_stat_get_live_tuples('meshhook.tasks'::regclass),
           coalesce(sum(w.committed), 0)::bigint,
           count(*)::int,
           coalesce(v_projects, '{}'), coalesce(v_lags, '{}'),
           CASE WHEN p_from IS NOT NULL
                THEN v_now - make_interval(secs => coalesce((SELECT max(lag) FROM unnest(v_lags) AS lag), 0)) END
    FROM meshhook.workers w
    WHERE w.seen_at > v_now - p_alive;
END $$;

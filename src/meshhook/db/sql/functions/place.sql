-- place: runs that were claimed from the entry of their workflow get in line: in their lane, or, without one, among the ready.
--
-- To be called in the transaction of claim(), which holds the entry: so runs of one workflow are placed by one worker at a time,
-- in the order of their acceptance, and nobody is placed before somebody who came earlier.
--
-- Waits for nobody: a lane that is there already is only read. Where a newer version changed the limit of a lane, its row is
-- changed when nobody holds it, else by the next run that is placed.
--
-- Returns the runs that get no place, because the strategy of their lane says so. `slots` counts live runs there, not leases:
--   fate  'rejected': the lane has as many live runs as it may; the caller ends this run
--         'overtaken': a newer run came in the same batch; the caller ends this run
--         'outlived': is in the lane already, and a newer run wants its slot; told to cancel, and to be poked after the commit
CREATE OR REPLACE FUNCTION meshhook.place(
    p_shard      smallint,
    p_run_ids    uuid[],
    p_dues       timestamptz[],   -- since when they wait
    p_lanes      text[],          -- key in the workflow; null: in no lane
    p_slots      int[],
    p_strategies text[],
    p_buckets    text[],          -- key in the workflow; null: from no bucket
    p_starts     int[],
    p_pers       interval[],
    p_priorities smallint[],
    p_ttls       interval[]
) RETURNS TABLE (run_id uuid, fate text)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_workflows int[];
    v_projects  int[];
    v_places    bigint[];
    v_lanes     bigint[];
    v_buckets   bigint[];
    v_fated     uuid[];
    v_fates     text[];
BEGIN
    SELECT array_agg(r.workflow_id ORDER BY u.n), array_agg(r.project_id ORDER BY u.n), array_agg(r.place ORDER BY u.n)
    INTO v_workflows, v_projects, v_places
    FROM unnest(p_run_ids) WITH ORDINALITY AS u (run_id, n)
    JOIN meshhook.runs r ON r.shard = p_shard AND r.id = u.run_id;

    INSERT INTO meshhook.lanes (shard, workflow_id, project_id, key, slots, strategy)
    SELECT DISTINCT ON (u.workflow_id, u.key) p_shard, u.workflow_id, u.project_id, u.key, u.slots, u.strategy
    FROM unnest(v_workflows, v_projects, p_lanes, p_slots, p_strategies) AS u (workflow_id, project_id, key, slots, strategy)
    WHERE u.key IS NOT NULL AND NOT EXISTS (SELECT FROM meshhook.lanes l WHERE l.shard = p_shard
                                            AND l.workflow_id = u.workflow_id AND l.key = u.key)
    ORDER BY u.workflow_id, u.key
    ON CONFLICT DO NOTHING;
    UPDATE meshhook.lanes l SET slots = changed.slots, strategy = changed.strategy
    FROM (SELECT was.id, u.slots, u.strategy
          FROM unnest(v_workflows, p_lanes, p_slots, p_strategies) AS u (workflow_id, key, slots, strategy)
          JOIN meshhook.lanes was ON was.shard = p_shard AND was.workflow_id = u.workflow_id AND was.key = u.key
          WHERE (was.slots, was.strategy) IS DISTINCT FROM (u.slots, u.strategy)
          FOR UPDATE OF was SKIP LOCKED) changed
    WHERE l.shard = p_shard AND l.id = changed.id;

    INSERT INTO meshhook.buckets (shard, workflow_id, key, starts, per)
    SELECT DISTINCT ON (u.workflow_id, u.key) p_shard, u.workflow_id, u.key, u.starts, u.per
    FROM unnest(v_workflows, p_buckets, p_starts, p_pers) AS u (workflow_id, key, starts, per)
    WHERE u.key IS NOT NULL AND NOT EXISTS (SELECT FROM meshhook.buckets b WHERE b.shard = p_shard
                                            AND b.workflow_id = u.workflow_id AND b.key = u.key)
    ORDER BY u.workflow_id, u.key
    ON CONFLICT DO NOTHING;
    UPDATE meshhook.buckets b SET starts = changed.starts, per = changed.per
    FROM (SELECT was.id, u.starts, u.per
          FROM unnest(v_workflows, p_buckets, p_starts, p_pers) AS u (workflow_id, key, starts, per)
          JOIN meshhook.buckets was ON was.shard = p_shard AND was.workflow_id = u.workflow_id AND was.key = u.key
          WHERE (was.starts, was.per) IS DISTINCT FROM (u.starts, u.per)
          FOR UPDATE OF was SKIP LOCKED) changed
    WHERE b.shard = p_shard AND b.id = changed.id;

    SELECT array_agg(l.id ORDER BY u.n), array_agg(b.id ORDER BY u.n)
    INTO v_lanes, v_buckets
    FROM unnest(v_workflows, p_lanes, p_buckets) WITH ORDINALITY AS u (workflow_id, lane, bucket, n)
    LEFT JOIN meshhook.lanes l ON l.shard = p_shard AND l.workflow_id = u.workflow_id AND l.key = u.lane
    LEFT JOIN meshhook.buckets b ON b.shard = p_shard AND b.workflow_id = u.workflow_id AND b.key = u.bucket;

    IF p_strategies && ARRAY['reject', 'cancel-oldest'] THEN
        SELECT array_agg(f.run_id), array_agg(f.fate) INTO v_fated, v_fates
        FROM meshhook.fates(p_shard, p_run_ids, v_lanes, v_places, p_slots, p_strategies) f;
        PERFORM meshhook.signal(
            p_shard, array_agg(f.run_id), array_agg('cancel'::text),
            array_agg('{"by":"limit","reason":"a newer run with the same key came"}'::text))
        FROM (SELECT unnest(v_fated) AS run_id, unnest(v_fates) AS fate) f
        WHERE f.fate = 'outlived';
    END IF;

    WITH given AS (
        SELECT u.*
        FROM unnest(p_run_ids, p_dues, v_projects, v_places, v_lanes, v_buckets, p_priorities, p_ttls)
             AS u (run_id, due, project_id, place, lane, bucket, priority, ttl)
        WHERE u.run_id <> ALL (coalesce(v_fated, '{}'))
    ), known AS (
        UPDATE meshhook.runs r SET lane = g.lane, bucket = g.bucket, priority = g.priority
        FROM given g WHERE r.shard = p_shard AND r.id = g.run_id
    ), queued AS (
        INSERT INTO meshhook.tasks (shard, run_id, due_at, project_id, priority, queue, lane, bucket, place, expires_at)
        SELECT p_shard, g.run_id, g.due, g.project_id, g.priority, CASE WHEN g.lane IS NULL THEN 0 ELSE 1 END,
               g.lane, g.bucket, g.place, g.due + g.ttl
        FROM given g
    )
    INSERT INTO meshhook.openings (shard, at, lane)
    SELECT DISTINCT p_shard, meshhook.now(), g.lane FROM given g WHERE g.lane IS NOT NULL;

    RETURN QUERY SELECT * FROM unnest(v_fated, v_fates);
END $$;

-- fates: of runs about to be placed in lanes that let only so many live, those that get no place, and those that lose theirs.
CREATE OR REPLACE FUNCTION meshhook.fates(
    p_shard smallint, p_run_ids uuid[], p_lanes bigint[], p_places bigint[], p_slots int[], p_strategies text[]
) RETURNS TABLE (run_id uuid, fate text)
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY
    WITH given AS (
        SELECT u.*, row_number() OVER (PARTITION BY u.lane ORDER BY u.place) AS nth, count(*) OVER (PARTITION BY u.lane) AS fresh
        FROM unnest(p_run_ids, p_lanes, p_places, p_slots, p_strategies) AS u (run_id, lane, place, slots, strategy)
        WHERE u.strategy <> 'queue' AND u.lane IS NOT NULL
    ), lane AS (
        SELECT g.lane, g.slots, g.strategy, max(g.fresh) AS fresh, live.count
        FROM given g
        CROSS JOIN LATERAL (SELECT count(*) FROM meshhook.tasks t WHERE t.shard = p_shard AND t.lane = g.lane) live
        GROUP BY g.lane, g.slots, g.strategy, live.count
    )
    SELECT g.run_id, CASE g.strategy WHEN 'reject' THEN 'rejected' ELSE 'overtaken' END
    FROM given g JOIN lane l ON l.lane = g.lane
    WHERE CASE g.strategy WHEN 'reject' THEN l.count + g.nth > l.slots ELSE l.fresh - g.nth >= l.slots END
    UNION ALL
    SELECT oldest.run_id, 'outlived'
    FROM lane l
    CROSS JOIN LATERAL (SELECT t.run_id FROM meshhook.tasks t WHERE t.shard = p_shard AND t.lane = l.lane
                        ORDER BY t.place
                        LIMIT greatest(0, least(l.count, l.count + l.fresh - l.slots))) oldest
    WHERE l.strategy = 'cancel-oldest';
END $$;

-- expire: runs that wait in a lane and were not started in time leave it, and are due: whoever claims them ends them.
CREATE OR REPLACE FUNCTION meshhook.expire(p_shard smallint) RETURNS int
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    v_now  timestamptz := meshhook.now();
    v_gone int;
BEGIN
    UPDATE meshhook.tasks t SET queue = 2, lane = NULL, bucket = NULL, expires_at = NULL
    WHERE t.ctid = ANY (ARRAY(SELECT late.ctid FROM meshhook.tasks late
                              WHERE late.shard = p_shard AND late.expires_at <= v_now AND late.queue = 1 AND late.epoch = 0
                              LIMIT 1000
                              FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    RETURN v_gone;
END $$;

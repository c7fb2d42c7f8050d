-- bury: these runs have failed; in the transaction that says so in their journals. A test run that fails is
-- nothing anybody has to deal with.
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
    WHERE NOT EXISTS (SELECT FROM meshhook.versions v WHERE v.test_run = r.id)
    ON CONFLICT DO NOTHING;
END $$;

-- dead_letters_page: the newest dead letters of one shard below a run id that belong to a project and pass the filters (null: any).
-- Looks at 10,000 rows at most; letters_scanned tells where such a look had to end.
CREATE OR REPLACE FUNCTION meshhook.dead_letters_page(
    p_shard smallint, p_before uuid, p_project_id int, p_workflow_id int, p_error_type text, p_node text,
    p_since timestamptz, p_until timestamptz, p_limit int
) RETURNS TABLE (run_id uuid, workflow text, failed_at timestamptz, node text, error_type text, reason text)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
    SELECT d.run_id, w.name, d.failed_at, d.node, d.error_type, d.reason
    FROM (SELECT l.* FROM meshhook.dead_letters l
          WHERE l.shard = p_shard AND l.project_id = p_project_id AND l.run_id < p_before
          ORDER BY l.run_id DESC LIMIT 10000) d
    JOIN meshhook.workflows w ON w.id = d.workflow_id
    WHERE (p_workflow_id IS NULL OR d.workflow_id = p_workflow_id)
      AND (p_error_type IS NULL OR d.error_type = p_error_type)
      AND (p_node IS NULL OR d.node = p_node)
      AND (p_since IS NULL OR d.failed_at >= p_since)
      AND (p_until IS NULL OR d.failed_at < p_until)
    ORDER BY d.run_id DESC
    LIMIT p_limit;
END $$;

-- letters_scanned: where dead_letters_page had to end; null when there were fewer rows than it may look at.
CREATE OR REPLACE FUNCTION meshhook.letters_scanned(p_shard smallint, p_before uuid, p_project_id int) RETURNS uuid
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    RETURN (SELECT l.run_id FROM meshhook.dead_letters l
            WHERE l.shard = p_shard AND l.project_id = p_project_id AND l.run_id < p_before
            ORDER BY l.run_id DESC OFFSET 9999 LIMIT 1);
END $$;

-- forget_dead_letters: of runs whose day was dropped, p_limit a day and shard at most. Returns how many. It jumps from day to day,
-- so that it costs nothing while every day is there. A day on its way out may come back (see retention.py), so its table counts.
CREATE OR REPLACE FUNCTION meshhook.forget_dead_letters(p_limit int) RETURNS int
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    v_shards int := (SELECT value::int FROM meshhook.settings WHERE name = 'shards');
    v_first  uuid;
    v_day    date;
    v_end    uuid;
    v_batch  int;
    v_gone   int := 0;
BEGIN
    FOR v_shard IN 0..v_shards - 1 LOOP
        v_end := '00000000-0000-0000-0000-000000000000';
        LOOP
            SELECT l.run_id INTO v_first FROM meshhook.dead_letters l
            WHERE l.shard = v_shard::smallint AND l.run_id >= v_end ORDER BY l.run_id LIMIT 1;
            EXIT WHEN v_first IS NULL;
            v_day := (meshhook.uuid_time(v_first) AT TIME ZONE 'UTC')::date;
            v_end := meshhook.uuid_floor((v_day + 1)::timestamp AT TIME ZONE 'UTC');
            CONTINUE WHEN to_regclass('meshhook.runs_' || to_char(v_day, 'YYYYMMDD')) IS NOT NULL;
            DELETE FROM meshhook.dead_letters d
            WHERE d.shard = v_shard::smallint
              AND d.run_id = ANY (ARRAY(SELECT l.run_id FROM meshhook.dead_letters l
                                        WHERE l.shard = v_shard::smallint AND l.run_id >= v_first AND l.run_id < v_end
                                        ORDER BY l.run_id LIMIT p_limit FOR UPDATE SKIP LOCKED));
            GET DIAGNOSTICS v_batch = ROW_COUNT;
            v_gone := v_gone + v_batch;
        END LOOP;
    END LOOP;
    RETURN v_gone;
END $$;

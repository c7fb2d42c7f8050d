-- Events from outside, and the runs that wait for them. An event goes to every run of its project that waits for its name and
-- key, and is kept for those that ask later: a run gets each event at most once, in the order they came, from those that came after
-- it was accepted. So nothing depends on whether the event or the run is first.
--
-- Both sides take the same advisory lock, of which there are 256 a shard: either the wait sees the event or the event sees the wait.

CREATE OR REPLACE FUNCTION meshhook.event_lock(p_shard smallint, p_what text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (x'6d657368'::bigint << 32) | (p_shard::bigint << 8) | (hashtext(p_what) & 255)
$$;

-- send_event: keep an event, and put it down for every run that waits for it. To be repeated with the same id on every shard; a
-- second time changes nothing. Returns the runs reached, which are to be poked after the commit.
CREATE OR REPLACE FUNCTION meshhook.send_event(
    p_shard      smallint,
    p_project_id int,
    p_id         text,
    p_run_id     uuid,       -- null: to whom it may concern
    p_name       text,
    p_key        text,
    p_payload    text,       -- JSON text
    p_keep       interval
) RETURNS TABLE (reached uuid)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_now    timestamptz := meshhook.now();
    v_number bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(meshhook.event_lock(
        p_shard, CASE WHEN p_run_id IS NULL THEN p_project_id || ' ' || p_name || ' ' || p_key ELSE p_run_id::text END));
    INSERT INTO meshhook.events (shard, project_id, id, run_id, name, key, payload, at, expires_at)
    VALUES (p_shard, p_project_id, p_id, p_run_id, p_name, p_key, p_payload::json, v_now, v_now + p_keep)
    ON CONFLICT DO NOTHING
    RETURNING number INTO v_number;
    IF v_number IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH met AS (
        DELETE FROM meshhook.waits w
        WHERE w.shard = p_shard AND w.project_id = p_project_id AND w.name = p_name
          AND CASE WHEN p_run_id IS NULL THEN w.key = p_key ELSE w.run_id = p_run_id END
        RETURNING w.run_id, w.node
    )
    INSERT INTO meshhook.signals AS s (shard, run_id, kind, body, at)
    SELECT p_shard, m.run_id, 'event', meshhook.event_body(m.node, p_id, v_number, p_payload), v_now
    FROM met m
    RETURNING s.run_id;
END $$;

-- event_body: what a run is told of an event. The payload goes in as it came.
CREATE OR REPLACE FUNCTION meshhook.event_body(p_node text, p_id text, p_number bigint, p_payload text) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
    SELECT ('{"node":' || to_json(p_node)::text || ',"id":' || to_json(p_id)::text || ',"number":' || p_number
            || ',"payload":' || p_payload || '}')::json
$$;

-- await_events: runs begin to wait, in the transaction that says so in their journals. What has come already is put down at once;
-- those runs are returned, to be poked after the commit.
CREATE OR REPLACE FUNCTION meshhook.await_events(
    p_shard   smallint,
    p_run_ids uuid[],
    p_nodes   text[],
    p_names   text[],
    p_keys    text[],
    p_behind  bigint[]    -- the number of the last event of this name and key the run has received; 0: none
) RETURNS TABLE (reached uuid)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(locks.id) FROM (
        SELECT DISTINCT meshhook.event_lock(p_shard, what) AS id
        FROM (SELECT unnest(p_run_ids) AS run_id, unnest(p_names) AS name, unnest(p_keys) AS key) u
        JOIN meshhook.runs r ON r.shard = p_shard AND r.id = u.run_id
        CROSS JOIN LATERAL unnest(ARRAY[r.project_id || ' ' || u.name || ' ' || u.key, u.run_id::text]) AS what
        ORDER BY id) locks;
    RETURN QUERY
    WITH asked AS (
        SELECT u.*, r.project_id,
               (SELECT j.at FROM meshhook.journal j WHERE j.shard = p_shard AND j.run_id = u.run_id AND j.seq = 1) AS since
        FROM (SELECT unnest(p_run_ids) AS run_id, unnest(p_nodes) AS node, unnest(p_names) AS name, unnest(p_keys) AS key,
                     unnest(p_behind) AS behind) u
        JOIN meshhook.runs r ON r.shard = p_shard AND r.id = u.run_id
    ), found AS (
        SELECT a.*, e.number, e.id, e.payload
        FROM asked a LEFT JOIN LATERAL (
            SELECT candidate.* FROM (
                (SELECT e.number, e.id, e.payload FROM meshhook.events e
                 WHERE e.shard = p_shard AND e.project_id = a.project_id AND e.name = a.name AND e.key = a.key
                   AND e.run_id IS NULL AND e.number > a.behind AND e.at >= a.since
                 ORDER BY e.number LIMIT 1)
                UNION ALL
                (SELECT e.number, e.id, e.payload FROM meshhook.events e
                 WHERE e.shard = p_shard AND e.run_id = a.run_id AND e.project_id = a.project_id AND e.name = a.name
                   AND e.number > a.behind
                 ORDER BY e.number LIMIT 1)) candidate
            ORDER BY candidate.number LIMIT 1) e ON true
    ), waiting AS (
        INSERT INTO meshhook.waits (shard, run_id, node, project_id, name, key)
        SELECT p_shard, f.run_id, f.node, f.project_id, f.name, f.key FROM found f WHERE f.number IS NULL
        ON CONFLICT DO NOTHING
    )
    INSERT INTO meshhook.signals AS s (shard, run_id, kind, body, at)
    SELECT p_shard, f.run_id, 'event', meshhook.event_body(f.node, f.id, f.number, f.payload::text), meshhook.now()
    FROM found f WHERE f.number IS NOT NULL
    RETURNING s.run_id;
END $$;

-- stop_waiting: these steps wait no more: their time is over, or their run has ended.
CREATE OR REPLACE FUNCTION meshhook.stop_waiting(p_shard smallint, p_run_ids uuid[], p_nodes text[]) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    DELETE FROM meshhook.waits w
    USING (SELECT unnest(p_run_ids) AS run_id, unnest(p_nodes) AS node) u
    WHERE w.shard = p_shard AND w.run_id = u.run_id AND w.node = u.node;
END $$;

-- start_children: runs that other runs start, in the transaction that says so in their journals. What can't be started is told to
-- the parent as an end of the child; those parents are returned, to be poked after the commit.
CREATE OR REPLACE FUNCTION meshhook.start_children(
    p_shard smallint, p_parents uuid[], p_nodes text[], p_run_ids uuid[], p_workflows text[], p_triggers text[], p_members text[]
) RETURNS TABLE (reached uuid)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_count    int := cardinality(p_run_ids);
    v_projects int[];
BEGIN
    SELECT array_agg(r.project_id ORDER BY u.ordinal) INTO v_projects
    FROM unnest(p_parents) WITH ORDINALITY AS u (id, ordinal)
    JOIN meshhook.runs r ON r.shard = p_shard AND r.id = u.id;
    RETURN QUERY
    INSERT INTO meshhook.signals AS s (shard, run_id, kind, body, at)
    SELECT p_shard, p_parents[refused.ordinal], 'child', json_build_object(
               'node', p_nodes[refused.ordinal], 'run_id', p_run_ids[refused.ordinal], 'status', 'failed',
               'error', json_build_object('type', 'limit', 'reason', CASE refused.outcome
                   WHEN 'unpublished' THEN 'the workflow ' || p_workflows[refused.ordinal] || ' has no published version'
                   ELSE 'there is no workflow ' || p_workflows[refused.ordinal] || ' in this project' END)),
           meshhook.now()
    FROM meshhook.start_runs(
        p_shard, p_run_ids, v_projects, p_workflows, array_fill(null::int, ARRAY[v_count]), array_fill(null::text, ARRAY[v_count]),
        array_fill(null::text, ARRAY[v_count]), array_fill(null::bytea, ARRAY[v_count]), p_triggers, p_members,
        interval '0') AS refused
    RETURNING s.run_id;
END $$;

-- start_runs: runs that no webhook began: by a schedule, by hand, by another workflow, or as a replay. Like accept(), in one call:
--
--   for each start:  key unseen (or expired, or none)  ->  dedupe + runs + journal (run.accepted) + tasks
--                    anything else                     ->  nothing is written, and a row comes back that says why
--
-- May be called alone, or inside a transaction that writes more: then the runs are there exactly when that is. A run is pinned to
-- the version that is given, else to the one that is published in this snapshot. A (scope, key) may stand only once in a batch.
-- Keys are of no endpoint, so they live under endpoint 0, which none has; the scope keeps those of different callers apart.
--
-- Returns only the starts that did not become a new run:
--   ordinal  index in the arrays, from 1
--   outcome  'duplicate' (same hash; run_id is the first run) | 'key-reused' (other hash) | 'unpublished' | 'gone' (no such
--            workflow in this project, or no such version of it)
CREATE OR REPLACE FUNCTION meshhook.start_runs(
    p_shard       smallint,
    p_run_ids     uuid[],
    p_project_ids int[],
    p_workflows   text[],      -- names
    p_version_ids int[],       -- null: the published version
    p_scopes      text[],      -- such as 'manual/orders'; null without a key
    p_keys        text[],      -- null: no dedupe key
    p_hashes      bytea[],     -- SHA-256 of what the run is to do; null without a key
    p_triggers    text[],      -- JSON text
    p_members     text[],      -- JSON text: an object whose members go into run.accepted: source, parent, replay_of, resumes, sync
    p_keep        interval     -- how long a dedupe key is remembered
) RETURNS TABLE (ordinal int, outcome text, run_id uuid)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_now   timestamptz := meshhook.now();
    v_fresh int;
    v_entries bigint[];
BEGIN
    WITH start AS (
        SELECT s.run_id, s.key, s.scope || '/' || s.key AS whole_key, s.hash, s.trigger, w.project_id, w.id AS workflow_id,
               v.id AS version_id, v.limited, v.priority,
               json_build_object('workflow', w.name, 'version', v.number, 'version_id', v.id)::text AS pinned,
               btrim(s.members) AS members
        FROM unnest(p_run_ids, p_project_ids, p_workflows, p_version_ids, p_scopes, p_keys, p_hashes, p_triggers, p_members)
             AS s (run_id, project_id, workflow, version_id, scope, key, hash, trigger, members)
        JOIN meshhook.workflows w ON w.project_id = s.project_id AND w.name = s.workflow
        JOIN meshhook.versions v ON v.id = coalesce(s.version_id, w.published_version_id) AND v.workflow_id = w.id
    ), remembered AS (
        INSERT INTO meshhook.dedupe AS known (shard, endpoint_id, key, run_id, body_hash, expires_at)
        SELECT p_shard, 0, s.whole_key, s.run_id, s.hash, v_now + p_keep
        FROM start s
        WHERE s.key IS NOT NULL
        ORDER BY s.whole_key
        ON CONFLICT ON CONSTRAINT dedupe_pkey DO UPDATE
            SET run_id = excluded.run_id, body_hash = excluded.body_hash, expires_at = excluded.expires_at
            WHERE known.expires_at <= v_now
        RETURNING known.run_id
    ), fresh AS (
        SELECT s.*, CASE WHEN s.limited THEN nextval('meshhook.places') END AS place
        FROM start s
        WHERE s.key IS NULL OR s.run_id IN (SELECT k.run_id FROM remembered k)
    ), new_runs AS (
        INSERT INTO meshhook.runs (shard, id, project_id, workflow_id, version_id, delivery_key, priority, lane, place)
        SELECT p_shard, f.run_id, f.project_id, f.workflow_id, f.version_id, f.key, nullif(f.priority, 1),
               CASE WHEN f.limited THEN -f.workflow_id END, f.place
        FROM fresh f
    ), new_journals AS (
        INSERT INTO meshhook.journal (shard, run_id, seq, epoch, at, events)
        SELECT p_shard, f.run_id, 1, 0, v_now,
               ('[{"type":"run.accepted",' || substr(f.pinned, 2, length(f.pinned) - 2)
                || coalesce(',' || nullif(substr(f.members, 2, length(f.members) - 2), ''), '')
                || ',"trigger":' || f.trigger || '}]')::json
        FROM fresh f
    ), new_tasks AS (
        INSERT INTO meshhook.tasks (shard, run_id, due_at, project_id, priority, queue, lane, place)
        SELECT p_shard, f.run_id, v_now, f.project_id, f.priority,
               CASE WHEN f.limited THEN 1 ELSE 0 END, CASE WHEN f.limited THEN -f.workflow_id END, f.place
        FROM fresh f
    )
    SELECT count(*), array_agg(DISTINCT -f.workflow_id) FILTER (WHERE f.limited) INTO v_fresh, v_entries FROM fresh f;

    IF v_entries IS NOT NULL THEN
        INSERT INTO meshhook.openings (shard, at, lane) SELECT p_shard, v_now, unnest(v_entries);
    END IF;
    IF v_fresh > 0 THEN
        PERFORM pg_notify('meshhook_tasks', p_shard::text);
    END IF;
    IF v_fresh < cardinality(p_run_ids) THEN
        RETURN QUERY
        SELECT s.ordinal::int,
               CASE WHEN known.run_id IS NOT NULL AND known.body_hash = s.hash THEN 'duplicate'
                    WHEN known.run_id IS NOT NULL THEN 'key-reused'
                    WHEN w.id IS NULL OR s.version_id IS NOT NULL THEN 'gone'
                    ELSE 'unpublished' END,
               known.run_id
        FROM unnest(p_run_ids, p_project_ids, p_workflows, p_version_ids, p_scopes, p_keys, p_hashes) WITH ORDINALITY
             AS s (run_id, project_id, workflow, version_id, scope, key, hash, ordinal)
        LEFT JOIN meshhook.workflows w ON w.project_id = s.project_id AND w.name = s.workflow
        LEFT JOIN meshhook.dedupe known
               ON known.shard = p_shard AND known.endpoint_id = 0 AND known.key = s.scope || '/' || s.key
        WHERE NOT EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = p_shard AND r.id = s.run_id);
    END IF;
END $$;

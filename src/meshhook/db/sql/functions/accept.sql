-- accept: a batch of deliveries becomes runs. One call, one commit, and the senders may be told 202.
--
--   for each delivery:  dedupe key unseen (or expired, or none)  ->  dedupe + runs + journal (run.accepted) + tasks
--                       anything else                            ->  nothing is written, and a row comes back that says why
--
-- Runs of a workflow with limits get in line at its entry, in the order of acceptance; all others are ready. See claim.sql.
--
-- The published version is read in the same snapshot as everything else, so a run is pinned to what was published when its
-- delivery was accepted. A key may stand only once in a batch (the caller sees to it: ON CONFLICT can't meet its own rows).
-- Keys are inserted in order, so that two processes with the same keys wait for each other and never deadlock.
--
-- Returns only the deliveries that did not become a new run:
--   ordinal  index in the arrays, from 1
--   outcome  'duplicate' (same body; run_id is the first run) | 'key-reused' (other body) | 'unpublished' | 'gone'
CREATE OR REPLACE FUNCTION meshhook.accept(
    p_shard        smallint,
    p_run_ids      uuid[],
    p_endpoint_ids int[],
    p_keys         text[],      -- null: no dedupe key
    p_hashes       bytea[],     -- SHA-256 of the raw body; null without a key
    p_triggers     text[],      -- JSON text; further members of run.accepted may follow: {…},"sync":true
    p_keep         interval     -- how long a dedupe key is remembered
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
    WITH delivery AS (
        SELECT d.run_id, d.endpoint_id, d.key, d.hash, d.trigger, e.project_id, e.workflow_id, v.id AS version_id,
               v.limited, v.priority,
               json_build_object('workflow', w.name, 'version', v.number, 'version_id', v.id)::text AS pinned
        FROM unnest(p_run_ids, p_endpoint_ids, p_keys, p_hashes, p_triggers) AS d (run_id, endpoint_id, key, hash, trigger)
        JOIN meshhook.endpoints e ON e.id = d.endpoint_id
        JOIN meshhook.workflows w ON w.id = e.workflow_id
        JOIN meshhook.versions v ON v.id = w.published_version_id
    ), remembered AS (
        INSERT INTO meshhook.dedupe AS known (shard, endpoint_id, key, run_id, body_hash, expires_at)
        SELECT p_shard, d.endpoint_id, d.key, d.run_id, d.hash, v_now + p_keep
        FROM delivery d
        WHERE d.key IS NOT NULL
        ORDER BY d.endpoint_id, d.key
        ON CONFLICT ON CONSTRAINT dedupe_pkey DO UPDATE
            SET run_id = excluded.run_id, body_hash = excluded.body_hash, expires_at = excluded.expires_at
            WHERE known.expires_at <= v_now
        RETURNING known.run_id
    ), fresh AS (
        SELECT d.*, CASE WHEN d.limited THEN nextval('meshhook.places') END AS place
        FROM delivery d
        WHERE d.key IS NULL OR d.run_id IN (SELECT k.run_id FROM remembered k)
    ), new_runs AS (
        INSERT INTO meshhook.runs (shard, id, project_id, workflow_id, version_id, endpoint_id, delivery_key, priority, lane, place)
        SELECT p_shard, f.run_id, f.project_id, f.workflow_id, f.version_id, f.endpoint_id, f.key, nullif(f.priority, 1),
               CASE WHEN f.limited THEN -f.workflow_id END, f.place
        FROM fresh f
    ), new_journals AS (
        INSERT INTO meshhook.journal (shard, run_id, seq, epoch, at, events)
        SELECT p_shard, f.run_id, 1, 0, v_now,
               ('[{"type":"run.accepted",' || substr(f.pinned, 2, length(f.pinned) - 2) || ',"trigger":' || f.trigger || '}]')::json
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
        SELECT d.ordinal::int,
               CASE WHEN known.run_id IS NOT NULL AND known.body_hash = d.hash THEN 'duplicate'
                    WHEN known.run_id IS NOT NULL THEN 'key-reused'
                    WHEN w.id IS NULL THEN 'gone'
                    ELSE 'unpublished' END,
               known.run_id
        FROM unnest(p_run_ids, p_endpoint_ids, p_keys, p_hashes) WITH ORDINALITY
             AS d (run_id, endpoint_id, key, hash, ordinal)
        LEFT JOIN meshhook.endpoints e ON e.id = d.endpoint_id
        LEFT JOIN meshhook.workflows w ON w.id = e.workflow_id
        LEFT JOIN meshhook.dedupe known ON known.shard = p_shard AND known.endpoint_id = d.endpoint_id AND known.key = d.key
        WHERE NOT EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = p_shard AND r.id = d.run_id);
    END IF;
END $$;

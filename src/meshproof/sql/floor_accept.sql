-- What accepting a batch writes. $1: run ids; $2: events as JSON text; $3: delivery keys, or null when there are none.
WITH delivery AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], coalesce($3::text[], '{}')) AS d (run_id, events, key)
), remembered AS (
    INSERT INTO meshproof_floor.dedupe (shard, endpoint_id, key, run_id, body_hash, expires_at)
    SELECT 0, 1, d.key, d.run_id, sha256(d.key::bytea), now() + interval '1 day' FROM delivery d WHERE d.key IS NOT NULL
    ON CONFLICT DO NOTHING
), new_runs AS (
    INSERT INTO meshproof_floor.runs (shard, id, project_id, workflow_id, version_id, endpoint_id, delivery_key)
    SELECT 0, d.run_id, 0, 1, 1, 1, d.key FROM delivery d
), new_journals AS (
    INSERT INTO meshproof_floor.journal (shard, run_id, seq, epoch, at, events)
    SELECT 0, d.run_id, 1, 0, now(), d.events::json FROM delivery d
)
INSERT INTO meshproof_floor.tasks (shard, run_id, due_at) SELECT 0, d.run_id, now() FROM delivery d

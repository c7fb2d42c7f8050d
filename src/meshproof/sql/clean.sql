-- Delete what carries a namespace ($1): its workflows none of whose runs is live, those runs, and what belongs to them.
-- $2: the ids of its endpoints, which are gone by now; those that had runs are known by them as well.
-- Returns the workflows that were deleted, and how many runs.
-- One statement, so one snapshot. Nothing is accepted meanwhile: the endpoints are gone by then.
WITH place AS (
    SELECT w.id FROM meshhook.workflows w
    WHERE starts_with(w.name, $1 || '-')
      AND NOT EXISTS (SELECT FROM meshhook.runs r WHERE r.workflow_id = w.id AND r.finished_at IS NULL)
), door AS (
    SELECT unnest($2::int[]) AS id
    UNION
    SELECT r.endpoint_id FROM meshhook.runs r JOIN place ON place.id = r.workflow_id WHERE r.endpoint_id IS NOT NULL
    UNION
    SELECT e.id FROM meshhook.endpoints e JOIN place ON place.id = e.workflow_id WHERE starts_with(e.path, $1 || '-')
), gone_runs AS (
    DELETE FROM meshhook.runs r USING place WHERE r.workflow_id = place.id RETURNING r.shard, r.id
), gone_journal AS (
    DELETE FROM meshhook.journal k USING gone_runs g WHERE k.shard = g.shard AND k.run_id = g.id
), gone_letters AS (
    DELETE FROM meshhook.dead_letters d USING gone_runs g WHERE d.shard = g.shard AND d.run_id = g.id
), gone_signals AS (
    DELETE FROM meshhook.signals s USING gone_runs g WHERE s.shard = g.shard AND s.run_id = g.id
), gone_waits AS (
    DELETE FROM meshhook.waits w USING gone_runs g WHERE w.shard = g.shard AND w.run_id = g.id
), gone_trimming AS (
    DELETE FROM meshhook.trim_later t USING gone_runs g WHERE t.shard = g.shard AND t.run_id = g.id
), gone_keys AS (
    DELETE FROM meshhook.dedupe d USING door WHERE d.endpoint_id = door.id
), gone_gatherings AS (
    DELETE FROM meshhook.gatherings a USING door WHERE a.endpoint_id = door.id AND a.run_id IS NULL
), gone_refusals AS (
    DELETE FROM meshhook.refusals f USING door WHERE f.endpoint_id = door.id
), gone_counts AS (
    DELETE FROM meshhook.refusal_counts c USING door WHERE c.endpoint_id = door.id
), gone_rates AS (
    DELETE FROM meshhook.rate_buckets b USING door WHERE b.endpoint_id = door.id
), gone_events AS (
    DELETE FROM meshhook.events WHERE starts_with(id, $1 || '-')
), gone_schedules AS (
    DELETE FROM meshhook.schedules s USING place WHERE s.workflow_id = place.id
), gone_lanes AS (
    DELETE FROM meshhook.lanes l USING place WHERE l.workflow_id = place.id
), gone_buckets AS (
    DELETE FROM meshhook.buckets b USING place WHERE b.workflow_id = place.id
), gone_endpoints AS (
    DELETE FROM meshhook.endpoints e USING door WHERE e.id = door.id
), gone_versions AS (
    DELETE FROM meshhook.versions v USING place WHERE v.workflow_id = place.id
), gone_workflows AS (
    DELETE FROM meshhook.workflows w USING place WHERE w.id = place.id RETURNING w.name
)
SELECT coalesce((SELECT array_agg(name ORDER BY name) FROM gone_workflows), '{}') AS workflows,
       (SELECT count(*) FROM gone_runs) AS runs

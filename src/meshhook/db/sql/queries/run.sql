-- One run of a project with its data. What started it is in the first event of its journal; what came of it in the last one,
-- once it is finished. Only their rows leave the database, however long the journal is. They are taken apart outside: a payload
-- may hold \u0000, and every JSON operator of Postgres fails on that.
--   $1 shard  $2 run id  $3 project
SELECT r.id, w.name AS workflow, v.number AS version, r.status, e.path AS endpoint, r.delivery_key, r.epoch,
       first.at AS accepted_at, r.finished_at,
       first.events::text AS first_events,
       CASE WHEN r.finished_at IS NOT NULL THEN last.events::text END AS last_events
FROM meshhook.runs r
JOIN meshhook.workflows w ON w.id = r.workflow_id
JOIN meshhook.versions v ON v.id = r.version_id
LEFT JOIN meshhook.endpoints e ON e.id = r.endpoint_id
JOIN meshhook.journal first ON first.shard = r.shard AND first.run_id = $2::uuid AND first.seq = 1
CROSS JOIN LATERAL (SELECT j.events FROM meshhook.journal j
                    WHERE j.shard = $1::smallint AND j.run_id = $2::uuid
                    ORDER BY j.seq DESC LIMIT 1) last
WHERE r.shard = $1::smallint AND r.id = $2::uuid AND r.project_id = $3;

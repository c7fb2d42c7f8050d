-- Every run of these endpoints ($1; null for the whole database). Times in microseconds of Unix time.
SELECT r.id AS run_id, r.shard, w.name AS workflow, v.number AS version, e.path AS endpoint, r.delivery_key, r.status,
       r.epoch, (extract(epoch FROM r.finished_at) * 1000000)::bigint AS finished_us
FROM meshhook.runs r
LEFT JOIN meshhook.workflows w ON w.id = r.workflow_id
LEFT JOIN meshhook.versions v ON v.id = r.version_id
LEFT JOIN meshhook.endpoints e ON e.id = r.endpoint_id
WHERE $1::int[] IS NULL OR r.endpoint_id = ANY ($1)
ORDER BY r.id

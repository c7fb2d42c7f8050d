-- Some of the newest runs of these endpoints. $1: their paths; $2: how many.
SELECT r.id::text AS run_id
FROM meshhook.runs r
JOIN meshhook.endpoints e ON e.id = r.endpoint_id
WHERE e.path = ANY ($1::text[])
ORDER BY r.id DESC
LIMIT $2

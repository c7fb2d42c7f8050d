-- Some of the newest runs: those that are still changing. $1: the endpoints of this run, or null; $2: how many.
SELECT id::text
FROM meshhook.runs
WHERE $1::int[] IS NULL OR endpoint_id = ANY ($1)
ORDER BY id DESC
LIMIT $2

-- How many runs are not finished. $1: the endpoints of this run, or null.
SELECT count(*)
FROM meshhook.tasks t
WHERE $1::int[] IS NULL
   OR EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = t.shard AND r.id = t.run_id AND r.endpoint_id = ANY ($1))

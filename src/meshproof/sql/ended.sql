-- How many runs have ended, and when that was looked at. $1: the endpoints of this run, or null.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at_us, count(finished_at) AS ended
FROM meshhook.runs
WHERE $1::int[] IS NULL OR endpoint_id = ANY ($1)

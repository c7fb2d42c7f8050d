-- What is left in the queue of these endpoints ($1; null for the whole database).
SELECT t.run_id, (extract(epoch FROM t.due_at) * 1000000)::bigint AS due_us, t.epoch, t.owner
FROM meshhook.tasks t
WHERE $1::int[] IS NULL
   OR EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = t.shard AND r.id = t.run_id AND r.endpoint_id = ANY ($1))
ORDER BY t.run_id

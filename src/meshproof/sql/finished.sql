-- Which of these runs are finished, by their place in the arrays. $1, $2: shards and ids; $3, $4: least and greatest id.
SELECT w.ordinal::int
FROM unnest($1::smallint[], $2::uuid[]) WITH ORDINALITY AS w (shard, id, ordinal)
JOIN meshhook.runs r ON r.shard = w.shard AND r.id = w.id
WHERE r.id BETWEEN $3 AND $4 AND r.finished_at IS NOT NULL

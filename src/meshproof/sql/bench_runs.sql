-- Stages of the runs accepted in a time span, in microseconds. $1, $2: least and greatest run id; $3, $4: the span.
SELECT (extract(epoch FROM min(c.claimed_at) - a.at) * 1000000)::bigint AS queue_us,
       (extract(epoch FROM r.finished_at - a.at) * 1000000)::bigint AS finish_us
FROM meshhook.journal a
JOIN meshhook.journal c ON c.shard = a.shard AND c.run_id = a.run_id AND c.seq > 1
JOIN meshhook.runs r ON r.shard = a.shard AND r.id = a.run_id
WHERE a.seq = 1 AND a.run_id BETWEEN $1 AND $2 AND c.run_id BETWEEN $1 AND $2 AND r.id BETWEEN $1 AND $2
  AND a.at BETWEEN $3 AND $4 AND r.finished_at IS NOT NULL
GROUP BY r.shard, r.id, a.at, r.finished_at

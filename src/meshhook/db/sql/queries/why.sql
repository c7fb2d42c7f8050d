-- What is asked to say why a run of a project is not running, beside its journal and its place in line (run_waiting.sql). Counts
-- stop at 10,000, so that the question stays cheap however long the queue is.
--   $1 shard  $2 run id  $3 project  $4 how long ago a worker was seen that counts as living
WITH recent AS (
    -- What workers committed lately: of the newest batches those of the last minute. The rows that accept runs (seq 1) are not theirs.
    SELECT min(f.at) AS since, sum((SELECT count(*) FROM unnest(f.seqs) AS seq WHERE seq > 1)) AS commits
    FROM (SELECT * FROM meshhook.feed WHERE shard = $1::smallint ORDER BY place DESC LIMIT 200) f
    WHERE f.at > meshhook.now() - interval '1 minute'
)
SELECT meshhook.now() AS now, r.status::text AS status, r.finished_at,
       (SELECT count(*)::int FROM meshhook.workers w WHERE w.seen_at > meshhook.now() - $4::interval) AS workers,
       holder.seen_at AS holder_seen_at,
       coalesce(holder.seen_at > meshhook.now() - $4::interval, false) AS holder_lives,
       coalesce((SELECT recent.commits / greatest(extract(epoch FROM meshhook.now() - recent.since), 1)
                 FROM recent), 0)::float8 AS pace_per_s,
       (SELECT count(*)::int
        FROM (SELECT FROM meshhook.tasks a
              WHERE t.queue = 0 AND a.shard = $1::smallint AND a.queue = 0 AND a.project_id = t.project_id
                AND a.priority <= t.priority AND (a.priority < t.priority OR a.due_at < t.due_at)
              LIMIT 10000) ahead) AS ahead,
       (SELECT array_agg(s.kind ORDER BY s.number) FROM (SELECT kind, number FROM meshhook.signals
                                                         WHERE shard = $1::smallint AND run_id = $2::uuid
                                                         ORDER BY number LIMIT 100) s) AS signals,
       (SELECT coalesce(sum(octet_length(j.events::text)), 0)::bigint FROM meshhook.journal j
        WHERE j.shard = $1::smallint AND j.run_id = $2::uuid) AS journal_bytes
FROM meshhook.runs r
LEFT JOIN meshhook.tasks t ON t.shard = $1::smallint AND t.run_id = $2::uuid
LEFT JOIN meshhook.workers holder ON holder.id = t.owner
WHERE r.shard = $1::smallint AND r.id = $2::uuid AND r.project_id = $3;

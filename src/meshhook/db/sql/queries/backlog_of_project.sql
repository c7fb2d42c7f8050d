-- What the overview tells of one project beside its live runs by state (figures_queue.sql). $1 project  $2 blocks of the queue, at most.
--   dead_letters  10,000 at most;  sampled, paused  of up to 2,000 runs that wait for somebody, how many wait because they are paused
SELECT p.name, p.backlog_max, meshhook.now() AS at,
       (SELECT count(*)::int FROM (SELECT FROM (SELECT value::int AS count FROM meshhook.settings WHERE name = 'shards') shards,
                                          generate_series(0, shards.count - 1) AS shard,
                                          LATERAL (SELECT FROM meshhook.dead_letters d
                                                   WHERE d.shard = shard::smallint AND d.project_id = $1 LIMIT 10000) letters
                                   LIMIT 10000) counted) AS dead_letters,
       waiting.sampled, waiting.paused
FROM meshhook.projects p
CROSS JOIN LATERAL (
    SELECT count(*)::int AS sampled, count(*) FILTER (WHERE r.status = 'paused')::int AS paused
    FROM (SELECT least(100, 100.0 * $2::int / greatest(1, pg_relation_size('meshhook.tasks') / current_setting('block_size')::int))
                 ::float8 AS percent) share
    CROSS JOIN LATERAL (SELECT t.shard, t.run_id FROM meshhook.tasks t TABLESAMPLE SYSTEM (share.percent)
                        WHERE t.project_id = $1 AND t.owner IS NULL AND t.queue >= 2 AND t.due_at >= '9999-01-01'
                        LIMIT 2000) t
    CROSS JOIN LATERAL (SELECT one.status FROM meshhook.runs one WHERE one.shard = t.shard AND one.id = t.run_id OFFSET 0) r) waiting
WHERE p.id = $1

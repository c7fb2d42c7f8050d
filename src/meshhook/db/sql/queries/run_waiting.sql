-- Where one live run of a project stands in the queue, and what holds it up. No row: there is no such run, or it has ended.
-- Counts stop at 10,000, so that the question stays cheap however long the line is.
--   $1 shard  $2 run id  $3 project
SELECT CASE WHEN t.owner IS NOT NULL THEN 'leased'
            WHEN t.lane < 0 AND t.queue = 1 THEN 'entering'
            WHEN t.queue = 1 THEN 'in line'
            WHEN t.due_at > meshhook.now() THEN 'asleep'
            ELSE 'ready' END AS state,
       t.due_at, t.owner, t.expires_at, t.priority, w.name AS workflow,
       l.id AS lane, l.key, l.slots, l.strategy, l.reserved_at,
       (SELECT count(*)::int FROM (SELECT FROM meshhook.tasks a
                                   WHERE a.shard = $1::smallint AND a.lane = t.lane AND a.queue = 1
                                     AND (a.priority, a.place) < (t.priority, t.place)
                                   LIMIT 10000) ahead) AS ahead,
       ARRAY(SELECT h.run_id FROM meshhook.tasks h
             WHERE h.shard = $1::smallint AND h.lane = t.lane AND h.queue = 3 ORDER BY h.place LIMIT 100) AS holders,
       b.starts, extract(epoch FROM b.per)::float8 AS per_s
FROM meshhook.tasks t
JOIN meshhook.runs r ON r.shard = $1::smallint AND r.id = $2::uuid
JOIN meshhook.workflows w ON w.id = r.workflow_id
LEFT JOIN meshhook.lanes l ON l.shard = $1::smallint AND l.id = t.lane
LEFT JOIN meshhook.buckets b ON b.shard = $1::smallint AND b.id = t.bucket
WHERE t.shard = $1::smallint AND t.run_id = $2::uuid AND r.project_id = $3;

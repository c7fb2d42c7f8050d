-- The lanes of a project in which somebody stands: who waits, who has a slot. At most 200, those of the longest lines first; of each
-- at most 10,000 are counted. It jumps from lane to lane of the queue, 10,000 at most, so it costs nothing for lanes that are idle.
--   $1 shard  $2 project
WITH RECURSIVE busy AS (
    (SELECT t.lane, 1 AS n FROM meshhook.tasks t
     WHERE t.shard = $1::smallint AND t.lane IS NOT NULL ORDER BY t.lane LIMIT 1)
    UNION ALL
    SELECT next.lane, busy.n + 1
    FROM busy
    CROSS JOIN LATERAL (SELECT t.lane FROM meshhook.tasks t
                        WHERE t.shard = $1::smallint AND t.lane > busy.lane ORDER BY t.lane LIMIT 1) next
    WHERE busy.n < 10000
)
SELECT w.name AS workflow, l.key, l.slots AS "limit", coalesce(l.strategy, 'queue') AS strategy, held.count AS live, line.count AS waiting, l.reserved_at
FROM busy
-- The entry of a workflow has a row from the first look of a worker on.
LEFT JOIN meshhook.lanes l ON l.shard = $1::smallint AND l.id = busy.lane
JOIN meshhook.workflows w ON w.id = coalesce(l.workflow_id, -busy.lane) AND w.project_id = $2
CROSS JOIN LATERAL (SELECT count(*)::int FROM (SELECT FROM meshhook.tasks t WHERE t.shard = $1::smallint AND t.lane = busy.lane
                                               AND t.queue = 1 LIMIT 10000) waits) line
CROSS JOIN LATERAL (SELECT count(*)::int FROM (SELECT FROM meshhook.tasks t WHERE t.shard = $1::smallint AND t.lane = busy.lane
                                               AND t.queue = 3 LIMIT 10000) holds) held
WHERE line.count > 0 OR held.count > 0
ORDER BY line.count DESC, held.count DESC, busy.lane
LIMIT 200;

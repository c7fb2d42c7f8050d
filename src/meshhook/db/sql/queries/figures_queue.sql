-- The live runs by project and state, for the metrics. $1: so many blocks of the queue are looked at, at most; of a longer queue a
-- sample of its blocks, and `share` tells how much of it that was. It costs the same however long the queue is, and uses no index.
--   lanes   lanes in which somebody waits;  oldest_s  since when the oldest has been due;  both of what was looked at
SELECT p.name AS project, counted.state, counted.runs, counted.lanes, counted.oldest_s, share.percent / 100 AS share
FROM (SELECT least(100, 100.0 * $1::int / greatest(1, pg_relation_size('meshhook.tasks') / current_setting('block_size')::int))
                 ::float8 AS percent) share
LEFT JOIN LATERAL (
    SELECT placed.project_id, placed.state, count(*) AS runs, count(DISTINCT placed.lane) FILTER (WHERE placed.state = 'in_lane') AS lanes,
           greatest(0, extract(epoch FROM meshhook.now() - min(placed.due_at)))::float8 AS oldest_s
    FROM (SELECT t.project_id, t.lane, t.due_at,
                 CASE WHEN t.owner IS NOT NULL AND t.due_at > meshhook.now() THEN 'leased'
                      WHEN t.owner IS NOT NULL THEN 'expired'
                      WHEN t.queue = 1 THEN 'in_lane'
                      WHEN t.queue = 0 OR t.due_at <= meshhook.now() THEN 'ready'
                      WHEN t.due_at >= '9999-01-01' THEN 'waiting'
                      ELSE 'sleeping' END AS state
          FROM meshhook.tasks t TABLESAMPLE SYSTEM (share.percent)) placed
    GROUP BY placed.project_id, placed.state) counted ON true
LEFT JOIN meshhook.projects p ON p.id = counted.project_id
ORDER BY counted.runs DESC
LIMIT 2000

-- The workers that were seen last, and what they hold, for the overview. $1: a worker that was seen within this time is alive.
-- $2: so many blocks of the queue are looked at, at most; of a longer queue a sample of its blocks, as in figures_queue.sql.
--   oldest_run_id  of the runs it holds, the one accepted first;  lease_until  when the first of its leases ends
WITH share AS (
    SELECT least(100, 100.0 * $2::int / greatest(1, pg_relation_size('meshhook.tasks') / current_setting('block_size')::int))
           ::float8 AS percent
)
SELECT w.id, w.started_at, w.seen_at, w.seen_at > meshhook.now() - $1::interval AS alive, w.committed, w.refused,
       coalesce(round(held.leases * 100 / share.percent), 0)::int AS leases, held.oldest_run_id, held.lease_until
FROM (SELECT * FROM meshhook.workers ORDER BY seen_at DESC LIMIT 200) w
CROSS JOIN share
LEFT JOIN (SELECT t.owner, count(*) AS leases, min(t.due_at) AS lease_until, (array_agg(t.run_id ORDER BY t.run_id))[1] AS oldest_run_id
           FROM share CROSS JOIN LATERAL (SELECT * FROM meshhook.tasks TABLESAMPLE SYSTEM (share.percent)) t
           WHERE t.owner IS NOT NULL
           GROUP BY t.owner) held ON held.owner = w.id
ORDER BY w.started_at

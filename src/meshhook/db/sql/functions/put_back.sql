-- put_back: what claim() took and nobody had the time to begin goes back into the queue as it was, in the same transaction. A
-- token that was taken for its start goes back into its bucket.
CREATE OR REPLACE FUNCTION meshhook.put_back(
    p_shard smallint, p_run_ids uuid[], p_epochs int[], p_owners text[], p_dues timestamptz[], p_signaled boolean[],
    p_lanes bigint[]
) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_now timestamptz := meshhook.now();
BEGIN
    WITH back AS (
        SELECT u.*, r.project_id, r.priority, r.bucket, r.place
        FROM unnest(p_run_ids, p_epochs, p_owners, p_dues, p_signaled, p_lanes) AS u (run_id, epoch, owner, due, signaled, lane)
        JOIN meshhook.runs r ON r.shard = p_shard AND r.id = u.run_id
    ), queued AS (
        INSERT INTO meshhook.tasks
            (shard, run_id, due_at, epoch, owner, signaled, project_id, priority, queue, lane, bucket, place)
        SELECT p_shard, b.run_id, b.due, b.epoch, b.owner, b.signaled, b.project_id, coalesce(b.priority, 1),
               CASE WHEN b.owner IS NOT NULL AND b.lane IS NOT NULL THEN 3
                    WHEN b.owner IS NOT NULL OR b.due > v_now OR (b.signaled AND b.lane IS NOT NULL) THEN 2
                    WHEN b.lane IS NOT NULL THEN 1
                    ELSE 0 END,
               b.lane, b.bucket, b.place
        FROM back b
    ), unspent AS (
        UPDATE meshhook.buckets t SET full_at = t.full_at - t.per / t.starts * spent.count
        FROM (SELECT b.bucket, count(*) FROM back b WHERE b.bucket IS NOT NULL AND b.epoch = 0 GROUP BY b.bucket) spent
        WHERE t.shard = p_shard AND t.id = spent.bucket
    )
    INSERT INTO meshhook.openings (shard, at, lane)
    SELECT DISTINCT p_shard, v_now, b.lane FROM back b WHERE b.lane IS NOT NULL;
END $$;

-- runs_with_journals: the next runs of one shard behind a run id, each with its place in the queue and its whole journal, for
-- `meshhook runs verify`. One row for each journal row, ordered by run; a run without a journal has one row with seq null, and a
-- journal without a run, rows with status null. STABLE, so that all of it is one snapshot: a run that is being written to while
-- this reads is seen wholly before or wholly after.
CREATE OR REPLACE FUNCTION meshhook.runs_with_journals(p_shard smallint, p_after uuid, p_last uuid)
RETURNS TABLE (
    id uuid, status meshhook.run_status, finished_at timestamptz, epoch int, version_id int,
    is_queued boolean, queued_epoch int, owner text,
    seq int, written_epoch int, claimed_at timestamptz, at timestamptz, events json
)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_bitmapscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT r.id, r.status, r.finished_at, r.epoch, r.version_id, t.run_id IS NOT NULL, t.epoch, t.owner,
           j.seq, j.epoch, j.claimed_at, j.at, j.events
    FROM meshhook.runs r
    LEFT JOIN meshhook.tasks t ON t.shard = p_shard AND t.run_id = r.id
    LEFT JOIN meshhook.journal j ON j.shard = p_shard AND j.run_id = r.id
    WHERE r.shard = p_shard AND r.id > p_after AND r.id <= p_last
    ORDER BY r.id, j.seq;

    RETURN QUERY
    SELECT j.run_id, NULL::meshhook.run_status, NULL::timestamptz, NULL::int, NULL::int, false, NULL::int, NULL::text,
           j.seq, j.epoch, j.claimed_at, j.at, '[]'::json
    FROM meshhook.journal j
    WHERE j.shard = p_shard AND j.run_id > p_after AND j.run_id <= p_last
      AND NOT EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = p_shard AND r.id = j.run_id)
    ORDER BY j.run_id, j.seq;
END $$;

-- runs_batch_end: the last of the next p_count runs of a shard behind a run id, null when there are fewer.
CREATE OR REPLACE FUNCTION meshhook.runs_batch_end(p_shard smallint, p_after uuid, p_count int) RETURNS uuid
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
AS $$
BEGIN
    RETURN (SELECT r.id FROM meshhook.runs r WHERE r.shard = p_shard AND r.id > p_after ORDER BY r.id OFFSET p_count - 1 LIMIT 1);
END $$;

-- tasks_without_run: places in the queue whose run is not there, a hundred at most.
CREATE OR REPLACE FUNCTION meshhook.tasks_without_run(p_shard smallint) RETURNS TABLE (id uuid)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN QUERY
    SELECT t.run_id FROM meshhook.tasks t
    WHERE t.shard = p_shard
      AND NOT EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = p_shard AND r.id = t.run_id)
    LIMIT 100;
END $$;

-- claim: take a batch of due tasks out of the queue, and bring the journals of their runs.
--
-- To be called inside a transaction that ends with commit(): the tasks are deleted, and the deletion *is* the hold on them.
-- Others skip them; a crash rolls back, and they are there again. What goes on living is put back by commit().
--
-- Returns one row for each journal row of each claimed run, ordered by run and sequence number:
--   epoch      the epoch the last writer held; what is written now must carry epoch + 1
--   owner      whose lease ran out, null when the run was free;  due_at  when it ran out, or since when the run waits
--   signaled   something lies in the inbox of the run, see signals.sql
--   claimed_at the database clock now: leases and journal rows of this claim count from it
CREATE OR REPLACE FUNCTION meshhook.claim(p_shard smallint, p_limit int)
RETURNS TABLE (
    run_id uuid, epoch int, owner text, due_at timestamptz, signaled boolean, claimed_at timestamptz, seq int, events json
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
AS $$
DECLARE
    v_now    timestamptz := meshhook.now();
    v_ids    uuid[];
    v_epochs int[];
    v_owners text[];
    v_dues   timestamptz[];
    v_flags  boolean[];
BEGIN
    WITH taken AS (
        DELETE FROM meshhook.tasks t
        WHERE t.ctid = ANY (ARRAY(
            SELECT due.ctid FROM meshhook.tasks due
            WHERE due.shard = p_shard AND due.due_at <= v_now
            ORDER BY due.due_at
            LIMIT p_limit
            FOR UPDATE SKIP LOCKED))
        RETURNING t.run_id, t.epoch, t.owner, t.due_at, t.signaled
    ), ordered AS (
        SELECT * FROM taken ORDER BY taken.run_id
    )
    SELECT array_agg(o.run_id), array_agg(o.epoch), array_agg(o.owner), array_agg(o.due_at), array_agg(o.signaled)
    INTO v_ids, v_epochs, v_owners, v_dues, v_flags
    FROM ordered o;

    -- LATERAL with OFFSET 0 keeps the planner from turning the join round: one index probe a run, never a range of runs.
    RETURN QUERY
    SELECT c.run_id, c.epoch, c.owner, c.due_at, c.signaled, v_now, j.seq, j.events
    FROM unnest(v_ids, v_epochs, v_owners, v_dues, v_flags) AS c (run_id, epoch, owner, due_at, signaled)
    CROSS JOIN LATERAL (
        SELECT written.seq, written.events FROM meshhook.journal written
        WHERE written.shard = p_shard AND written.run_id = c.run_id
        ORDER BY written.seq OFFSET 0) j;
END $$;

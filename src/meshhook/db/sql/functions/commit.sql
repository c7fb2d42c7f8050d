-- commit: append to the journals of a batch of runs, move the runs, and put those that go on living back into the queue.
--
-- Two ways lead here. In the transaction of claim() the tasks are deleted already (p_held false). Later, under a lease
-- (p_held true), the task row of the same epoch and owner is taken out first: who finds none has been overtaken, and nothing of
-- his is written. Fencing is checked once more on the run itself: no write under an epoch below the highest one seen.
-- Lock order: tasks, runs, journal; each in the order of run ids (the caller sorts).
--
-- Returns the runs whose write was refused, and those under a lease that have something in their inbox (see signals.sql).
CREATE OR REPLACE FUNCTION meshhook.commit(
    p_shard      smallint,
    p_claimed_at timestamptz[],
    p_held       boolean,
    p_run_ids    uuid[],
    p_epochs     int[],
    p_seqs       int[],         -- sequence number of the first event
    p_events     text[],        -- JSON text, an array
    p_statuses   text[],
    p_dues       timestamptz[], -- when the run wants attention again; null: it is finished
    p_owners     text[]         -- who holds the lease until then; null: nobody
) RETURNS TABLE (run_id uuid, outcome text)  -- 'refused' | 'signaled'
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_now      timestamptz := meshhook.now();
    v_least    uuid := (SELECT id FROM unnest(p_run_ids) AS id ORDER BY id LIMIT 1);
    v_greatest uuid := (SELECT id FROM unnest(p_run_ids) AS id ORDER BY id DESC LIMIT 1);
    v_places   tid[];
    v_owned    uuid[];
    v_signaled uuid[] := '{}';
    v_moved    uuid[];
    v_lanes    bigint[];
BEGIN
    IF p_held THEN
        -- Two statements: the second sees the row as the first locked it, even when the lease was renewed in between.
        -- LATERAL with OFFSET 0: one index probe a run. As a join it is planned for an empty queue, and reads all of a full one.
        SELECT array_agg(mine.place) INTO v_places
        FROM unnest(p_run_ids, p_epochs) AS u (run_id, epoch)
        CROSS JOIN LATERAL (
            SELECT t.ctid AS place FROM meshhook.tasks t
            WHERE t.shard = p_shard AND t.run_id = u.run_id AND t.epoch = u.epoch
            OFFSET 0 FOR UPDATE OF t) mine;
        WITH taken AS (
            DELETE FROM meshhook.tasks t WHERE t.ctid = ANY (v_places) RETURNING t.run_id, t.signaled
        )
        SELECT array_agg(taken.run_id), coalesce(array_agg(taken.run_id) FILTER (WHERE taken.signaled), '{}')
        INTO v_owned, v_signaled FROM taken;
    END IF;

    WITH moved AS (
        UPDATE meshhook.runs r
        SET status = u.status::meshhook.run_status,
            epoch = u.epoch,
            finished_at = CASE WHEN u.due IS NULL THEN v_now END
        FROM (SELECT unnest(p_run_ids) AS run_id, unnest(p_epochs) AS epoch, unnest(p_seqs) AS seq,
                     unnest(p_events) AS events, unnest(p_statuses) AS status, unnest(p_dues) AS due,
                     unnest(p_owners) AS owner, unnest(p_claimed_at) AS claimed_at) u
        -- By keys, then by hash: whatever is known of a partition, and of a new one nothing is, it is never read as a whole.
        WHERE r.shard = p_shard AND r.id = ANY (p_run_ids)
          AND r.id BETWEEN v_least AND v_greatest
          AND r.id = u.run_id
          AND r.epoch <= u.epoch AND r.finished_at IS NULL
          AND (NOT p_held OR u.run_id = ANY (v_owned))
        RETURNING u.*, r.project_id, r.priority, r.lane, r.bucket, r.place
    ), written AS (
        INSERT INTO meshhook.journal (shard, run_id, seq, epoch, claimed_at, at, events, status)
        SELECT p_shard, m.run_id, m.seq, m.epoch, m.claimed_at, v_now, m.events::json, m.status::meshhook.run_status FROM moved m
    ), queued AS (
        INSERT INTO meshhook.tasks
            (shard, run_id, due_at, epoch, owner, signaled, project_id, priority, queue, lane, bucket, place)
        -- A run given back is due from this moment on, not before: whoever claims it next has read the clock after us.
        SELECT p_shard, m.run_id,
               CASE WHEN m.owner IS NOT NULL THEN m.due
                    WHEN m.run_id = ANY (v_signaled) THEN v_now
                    ELSE greatest(m.due, v_now) END,
               m.epoch, m.owner, m.run_id = ANY (v_signaled),
               m.project_id, coalesce(m.priority, 1),
               CASE WHEN m.owner IS NOT NULL AND m.lane IS NOT NULL THEN 3
                    WHEN m.owner IS NOT NULL OR m.due > v_now OR m.run_id = ANY (v_signaled) THEN 2
                    WHEN m.lane IS NOT NULL THEN 1
                    ELSE 0 END,
               m.lane, m.bucket, m.place
        FROM moved m WHERE m.due IS NOT NULL
    )
    SELECT array_agg(m.run_id), array_agg(m.lane) FILTER (WHERE m.lane IS NOT NULL AND m.owner IS NULL)
    INTO v_moved, v_lanes
    FROM moved m;

    IF v_lanes IS NOT NULL THEN
        -- Whoever has no lease has no slot any more: see claim_lanes().
        INSERT INTO meshhook.openings (shard, at, lane)
        SELECT DISTINCT p_shard, v_now, u.lane FROM unnest(v_lanes) AS u (lane);
    END IF;

    IF coalesce(cardinality(v_moved), 0) < cardinality(p_run_ids) THEN
        RETURN QUERY SELECT u.run_id, 'refused' FROM unnest(p_run_ids) AS u (run_id)
                     WHERE u.run_id <> ALL (coalesce(v_moved, '{}'));
    END IF;
    IF v_signaled <> '{}' THEN
        RETURN QUERY SELECT u.run_id, 'signaled' FROM unnest(v_signaled) AS u (run_id) WHERE u.run_id = ANY (v_moved);
    END IF;
END $$;

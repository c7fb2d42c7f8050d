-- Trimming payloads, in one transaction of one worker:  trim_claim()  ->  (meshhook/trimming.py)  ->  trim_write()

-- event_types: the types of the events of one journal row, in order. Nothing is unescaped, for a payload may hold \u0000.
CREATE OR REPLACE FUNCTION meshhook.event_types(p_events json) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (SELECT array_agg(substring(e.event::text FROM '^\{"type" ?: ?"([a-z.]+)"') ORDER BY e.ordinality)
            FROM json_array_elements(p_events) WITH ORDINALITY AS e (event, ordinality));
END $$;

-- trim_claim: the journals of the next finished runs of a shard, below a run id, that were not trimmed yet; moves on behind them.
-- At most p_runs runs, and p_bytes as they are stored (but always one run). Live runs are remembered for later. Nothing comes
-- back when there is nothing to do, or somebody else is doing it.
CREATE OR REPLACE FUNCTION meshhook.trim_claim(p_shard smallint, p_before uuid, p_runs int, p_bytes bigint)
RETURNS TABLE (run_id uuid, seq int, events json)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_done_to uuid;
    v_ids     uuid[];
    v_live    uuid[];
    v_last    uuid;
    v_later   uuid[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('meshhook.trimming'), p_shard) THEN
        RETURN;
    END IF;
    INSERT INTO meshhook.trimming AS t (shard, done_to) VALUES (p_shard, '00000000-0000-0000-0000-000000000000')
    ON CONFLICT (shard) DO UPDATE SET done_to = t.done_to
    RETURNING t.done_to INTO v_done_to;

    WITH next AS (
        SELECT r.id, r.finished_at IS NOT NULL AS finished,
               (SELECT coalesce(sum(pg_column_size(j.events)), 0) FROM meshhook.journal j
                WHERE j.shard = p_shard AND j.run_id = r.id) AS bytes
        FROM meshhook.runs r
        WHERE r.shard = p_shard AND r.id > v_done_to AND r.id < p_before
        ORDER BY r.id LIMIT p_runs
    ), bounded AS (
        SELECT n.id, n.finished, sum(n.bytes) OVER (ORDER BY n.id) - n.bytes AS before FROM next n
    )
    SELECT array_agg(b.id) FILTER (WHERE b.finished), array_agg(b.id) FILTER (WHERE NOT b.finished), (array_agg(b.id ORDER BY b.id DESC))[1]
    INTO v_ids, v_live, v_last
    FROM bounded b WHERE b.before < p_bytes;

    IF v_last IS NOT NULL THEN
        UPDATE meshhook.trimming t SET done_to = v_last WHERE t.shard = p_shard;
        INSERT INTO meshhook.trim_later (shard, run_id) SELECT p_shard, unnest(v_live) ON CONFLICT DO NOTHING;
    ELSE
        -- All is trimmed that was finished: what has finished since. Runs that are gone altogether need no trimming.
        WITH ended AS (
            DELETE FROM meshhook.trim_later l
            WHERE l.ctid = ANY (ARRAY(
                SELECT o.ctid FROM meshhook.trim_later o
                WHERE o.shard = p_shard
                  AND NOT EXISTS (SELECT FROM meshhook.tasks t WHERE t.shard = p_shard AND t.run_id = o.run_id)
                LIMIT 20))
            RETURNING l.run_id
        )
        SELECT array_agg(e.run_id) INTO v_later FROM ended e;
        v_ids := v_later;
    END IF;

    RETURN QUERY
    SELECT j.run_id, j.seq, j.events FROM unnest(v_ids) AS u (id)
    CROSS JOIN LATERAL (
        SELECT written.run_id, written.seq, written.events FROM meshhook.journal written
        WHERE written.shard = p_shard AND written.run_id = u.id OFFSET 0) j;
END $$;

-- trim_write: the rows of trim_claim() without their payloads.
CREATE OR REPLACE FUNCTION meshhook.trim_write(p_shard smallint, p_run_ids uuid[], p_seqs int[], p_events text[]) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET meshhook.trimming = 'on'
AS $$
BEGIN
    UPDATE meshhook.journal j SET events = u.events::json
    FROM (SELECT unnest(p_run_ids) AS run_id, unnest(p_seqs) AS seq, unnest(p_events) AS events) u
    WHERE j.shard = p_shard AND j.run_id = u.run_id AND j.seq = u.seq;
END $$;

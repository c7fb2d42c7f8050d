-- answers: what has come of runs somebody waits for at the door (see meshhook/answers.py). Reads only.
--
-- For each run the first event behind p_after that answers its caller: what the run said (run.responded), or its end. Only runs
-- that have journal rows behind p_after come back; last_seq is how far they were read, event is null when there is no answer yet.
-- So a run is read once from end to end, however often it is asked for.
CREATE OR REPLACE FUNCTION meshhook.answers(p_shard smallint, p_run_ids uuid[], p_after int[])
RETURNS TABLE (run_id uuid, last_seq int, event text)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
    SELECT w.id, written.last_seq, written.event
    FROM unnest(p_run_ids, p_after) AS w (id, after)
    CROSS JOIN LATERAL (
        SELECT max(j.seq) AS last_seq,
               (array_agg(answer.event ORDER BY j.seq, answer.place) FILTER (WHERE answer.event IS NOT NULL))[1] AS event
        FROM meshhook.journal j
        LEFT JOIN LATERAL (
            SELECT e.event::text AS event, e.place
            FROM json_array_elements(j.events) WITH ORDINALITY AS e (event, place)
            WHERE substring(e.event::text FROM '^\{"type" ?: ?"([a-z.]+)"')
                  IN ('run.responded', 'run.completed', 'run.failed', 'run.cancelled')
            ORDER BY e.place LIMIT 1) answer ON true
        WHERE j.shard = p_shard AND j.run_id = w.id AND j.seq > w.after
        OFFSET 0) written
    WHERE written.last_seq IS NOT NULL;
END $$;

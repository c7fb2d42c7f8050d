-- note_refusals: a batch of refusals of the door is written down, and the ring stays a ring.
--
--   rows    one each for the refusals that were sampled
--   counts  how many were refused of which kind in which hour, written or not
--
-- The ring is kept by number: whatever is more than 100,000 rows behind the newest goes, a bounded batch a call. Counts are kept for
-- 30 days. Endpoints are counted in order, so that processes that count the same wait for each other and never deadlock.
CREATE OR REPLACE FUNCTION meshhook.note_refusals(
    p_ats              timestamptz[],
    p_endpoint_ids     int[],
    p_statuses         smallint[],
    p_problems         text[],
    p_details          text[],
    p_remotes          text[],
    p_keys             text[],
    p_unwritten        int[],
    p_counted_ids      int[],
    p_counted_problems text[],
    p_hours            timestamptz[],
    p_counts           bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_newest bigint;
BEGIN
    INSERT INTO meshhook.refusals (at, endpoint_id, status, problem, detail, remote, delivery_key, unwritten)
    SELECT * FROM unnest(p_ats, p_endpoint_ids, p_statuses, p_problems, p_details, p_remotes, p_keys, p_unwritten);

    INSERT INTO meshhook.refusal_counts AS known (endpoint_id, problem, hour, refused)
    SELECT * FROM unnest(p_counted_ids, p_counted_problems, p_hours, p_counts) AS c (endpoint_id, problem, hour, refused)
    ORDER BY c.endpoint_id, c.problem, c.hour
    ON CONFLICT (endpoint_id, problem, hour) DO UPDATE SET refused = known.refused + excluded.refused;

    SELECT max(id) INTO v_newest FROM meshhook.refusals;
    DELETE FROM meshhook.refusals r
    WHERE r.id IN (SELECT old.id FROM meshhook.refusals old WHERE old.id <= v_newest - 100000 ORDER BY old.id LIMIT 5000);
    DELETE FROM meshhook.refusal_counts c
    WHERE c.endpoint_id = ANY (p_counted_ids) AND c.hour < meshhook.now() - interval '30 days';
END $$;

-- lease_tokens: take tokens out of the rate buckets of endpoints, or put them back (see meshhook/rate.py).
--
-- A bucket is full when it is first asked for, fills by p_per_s a second, and holds p_quotas at most. Whole tokens are granted,
-- as many as are wanted and there; fewer than zero wanted puts them back. An endpoint may stand once in a call. Buckets are locked
-- in the order of their ids, and filled by the clock of the database alone.
CREATE OR REPLACE FUNCTION meshhook.lease_tokens(
    p_endpoint_ids int[],
    p_wanted       double precision[],
    p_quotas       double precision[],
    p_per_s        double precision[]
) RETURNS TABLE (endpoint_id int, granted double precision, remaining double precision)
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
BEGIN
    INSERT INTO meshhook.rate_buckets AS b (endpoint_id, tokens, filled_at)
    SELECT a.id, a.quota, meshhook.now() FROM unnest(p_endpoint_ids, p_quotas) AS a (id, quota) ORDER BY a.id
    ON CONFLICT ON CONSTRAINT rate_buckets_pkey DO NOTHING;

    PERFORM FROM meshhook.rate_buckets b WHERE b.endpoint_id = ANY (p_endpoint_ids) ORDER BY b.endpoint_id FOR UPDATE;
    v_now := meshhook.now();  -- after the wait for the locks: who held them has filled the buckets up to his own now

    RETURN QUERY
    WITH full_to AS (
        SELECT b.endpoint_id AS id, a.wanted, a.quota,
               least(a.quota, b.tokens + a.per_s * greatest(0, extract(epoch FROM v_now - b.filled_at)::double precision)) AS tokens
        FROM unnest(p_endpoint_ids, p_wanted, p_quotas, p_per_s) AS a (id, wanted, quota, per_s)
        JOIN meshhook.rate_buckets b ON b.endpoint_id = a.id
    ), decided AS (
        SELECT f.id, f.quota, f.tokens,
               CASE WHEN f.wanted < 0 THEN f.wanted ELSE floor(least(f.wanted, f.tokens)) END AS granted
        FROM full_to f
    )
    UPDATE meshhook.rate_buckets b
    SET tokens = least(d.quota, d.tokens - d.granted), filled_at = greatest(b.filled_at, v_now)
    FROM decided d WHERE b.endpoint_id = d.id
    RETURNING b.endpoint_id, d.granted, b.tokens;
END $$;

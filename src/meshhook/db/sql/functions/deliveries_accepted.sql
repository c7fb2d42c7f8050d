-- deliveries_accepted: the newest runs of one shard below a run id that came in at one endpoint: the accepted half of its delivery log.
-- Looks at 10,000 rows at most, along the primary key (see runs_page).
CREATE OR REPLACE FUNCTION meshhook.deliveries_accepted(
    p_shard smallint, p_before uuid, p_endpoint_id int, p_limit int
) RETURNS TABLE (id uuid, status text, delivery_key text)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
AS $$
BEGIN
    RETURN QUERY
    SELECT scanned.id, scanned.status::text, scanned.delivery_key
    FROM (SELECT r.id, r.status, r.delivery_key, r.endpoint_id FROM meshhook.runs r
          WHERE r.shard = p_shard AND r.id < p_before
          ORDER BY r.id DESC
          LIMIT 10000) scanned
    WHERE scanned.endpoint_id = p_endpoint_id
    ORDER BY scanned.id DESC
    LIMIT p_limit;
END $$;

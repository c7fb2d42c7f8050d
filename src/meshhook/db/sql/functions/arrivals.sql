-- arrivals: how many runs of a workflow a second came to one shard lately, and for how long a worker had one at a time. It looks at the
-- newest 10,000 runs of the shard, and of those at the last hour; of 200 finished ones it takes the time of their last hold.
CREATE OR REPLACE FUNCTION meshhook.arrivals(p_shard smallint, p_workflow_id int)
RETURNS TABLE (per_s double precision, hold_s double precision)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_now  timestamptz := meshhook.now();
    v_from uuid := meshhook.uuid_floor(v_now - interval '1 hour');
    v_end  uuid;
BEGIN
    SELECT r.id INTO v_end FROM meshhook.runs r
    WHERE r.shard = p_shard AND r.id > v_from ORDER BY r.id DESC OFFSET 9999 LIMIT 1;
    v_end := coalesce(v_end, v_from);
    SELECT count(*) / greatest(extract(epoch FROM v_now - meshhook.uuid_time(v_end)), 1) INTO per_s
    FROM meshhook.runs r WHERE r.shard = p_shard AND r.id > v_end AND r.workflow_id = p_workflow_id;
    SELECT avg(held.s) INTO hold_s
    FROM (SELECT (SELECT extract(epoch FROM j.at - j.claimed_at) FROM meshhook.journal j
                  WHERE j.shard = p_shard AND j.run_id = r.id ORDER BY j.seq DESC LIMIT 1) AS s
          FROM meshhook.runs r
          WHERE r.shard = p_shard AND r.id > v_end AND r.workflow_id = p_workflow_id AND r.finished_at IS NOT NULL
          ORDER BY r.id DESC LIMIT 200) held;
    hold_s := coalesce(hold_s, 0);
    RETURN NEXT;
END $$;

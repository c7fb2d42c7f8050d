-- runs_search: the newest runs of one shard as for runs_page whose dedupe key begins with a text, or that have it in the first or the
-- last entry of their journal: in what started them, or in what came of them. Letters of either case are the same.
--
-- There is no index of texts: every accepted run would pay for it. So it looks at 10,000 rows, and into the journals of p_runs runs
-- and about p_bytes of them, at most. The last row is where it had to end: null when it has looked at everything.
--   p_typed  as somebody typed it;  p_text  the same as it stands within a string of JSON
CREATE OR REPLACE FUNCTION meshhook.runs_search(
    p_shard smallint, p_before uuid, p_from uuid, p_project_id int, p_statuses text[], p_workflow_ids int[], p_endpoint_id int,
    p_test boolean, p_typed text, p_text text, p_limit int, p_runs int, p_bytes bigint
) RETURNS TABLE (id uuid, is_end boolean)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
AS $$
DECLARE
    v_statuses meshhook.run_status[] := p_statuses;
    v_typed    text := lower(p_typed);
    v_text     text := lower(p_text);
    v_run      record;
    v_journal  record;
    v_rows     int := 0;
    v_runs     int := 0;
    v_bytes    bigint := 0;
    v_found    int := 0;
    v_is_done  boolean := false;
BEGIN
    is_end := false;
    FOR v_run IN
        SELECT r.id, r.delivery_key,
               r.project_id = p_project_id
               AND (p_statuses IS NULL OR r.status = ANY (v_statuses))
               AND (p_workflow_ids IS NULL OR r.workflow_id = ANY (p_workflow_ids))
               AND (p_endpoint_id IS NULL OR r.endpoint_id = p_endpoint_id)
               AND (p_test IS NULL OR p_test = (r.id IN (
                   SELECT v.test_run FROM meshhook.versions v WHERE v.test_run >= p_from AND v.test_run < p_before))) AS passes
        FROM meshhook.runs r
        WHERE r.shard = p_shard AND r.id < p_before AND r.id >= p_from
        ORDER BY r.id DESC
        LIMIT 10000
    LOOP
        id := v_run.id;
        v_rows := v_rows + 1;
        CONTINUE WHEN v_run.passes IS NOT TRUE;
        IF starts_with(lower(v_run.delivery_key), v_typed) THEN
            v_found := v_found + 1;
            RETURN NEXT;
        ELSE
            v_runs := v_runs + 1;
            SELECT bool_or(strpos(entry.text, v_text) > 0 OR v_typed <> v_text AND strpos(entry.text, v_typed) > 0) AS has_it,
                   sum(octet_length(entry.text)) AS bytes INTO v_journal
            FROM (SELECT lower(j.events::text) AS text FROM meshhook.journal j
                  WHERE j.shard = p_shard AND j.run_id = v_run.id
                    AND j.seq = ANY (ARRAY[1, (SELECT last.seq FROM meshhook.journal last
                                               WHERE last.shard = p_shard AND last.run_id = v_run.id
                                               ORDER BY last.seq DESC LIMIT 1)])
                  OFFSET 0) entry;
            v_bytes := v_bytes + coalesce(v_journal.bytes, 0);
            IF v_journal.has_it THEN
                v_found := v_found + 1;
                RETURN NEXT;
            END IF;
        END IF;
        v_is_done := v_found >= p_limit OR v_runs >= p_runs OR v_bytes >= p_bytes;
        EXIT WHEN v_is_done;
    END LOOP;
    IF NOT v_is_done AND v_rows < 10000 THEN
        id := NULL;
    END IF;
    is_end := true;
    RETURN NEXT;
END $$;

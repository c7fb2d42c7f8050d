-- forget: delete at most p_limit dedupe keys and p_limit events that have expired, as many gatherings that are over, workers not seen
-- for a day, operations that ended a month ago, and dead letters and versions of test runs whose runs are gone. Returns how
-- many keys, events, letters and versions.
CREATE OR REPLACE FUNCTION meshhook.forget(p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_now  timestamptz := meshhook.now();
    v_gone int;
    v_events int;
BEGIN
    DELETE FROM meshhook.workers w WHERE w.seen_at < v_now - interval '1 day';
    DELETE FROM meshhook.operations o WHERE o.finished_at < v_now - interval '30 days';
    DELETE FROM meshhook.dedupe d
    WHERE d.ctid = ANY (ARRAY(SELECT old.ctid FROM meshhook.dedupe old WHERE old.expires_at <= v_now
                              LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    DELETE FROM meshhook.events e
    WHERE e.ctid = ANY (ARRAY(SELECT old.ctid FROM meshhook.events old WHERE old.expires_at <= v_now
                              LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_events = ROW_COUNT;
    DELETE FROM meshhook.gatherings g
    WHERE g.ctid = ANY (ARRAY(SELECT old.ctid FROM meshhook.gatherings old WHERE old.due_at <= v_now
                              LIMIT p_limit FOR UPDATE SKIP LOCKED));
    RETURN v_gone + v_events + meshhook.forget_dead_letters(p_limit) + meshhook.forget_test_versions(p_limit);
END $$;

-- forget_audit: delete those of the oldest p_limit entries of the audit log that are older than p_keep. Returns how many.
--
-- Entries come in the order of their ids, so what is too old stands at the front: nothing else is looked at. Two workers that do it at
-- once don't wait for one another.
CREATE OR REPLACE FUNCTION meshhook.forget_audit(p_keep interval, p_limit int) RETURNS int
LANGUAGE plpgsql
SET enable_seqscan = off
SET meshhook.forgetting = 'on'
AS $$
DECLARE
    v_gone int;
BEGIN
    DELETE FROM meshhook.audit_log a
    WHERE a.id = ANY (ARRAY(SELECT old.id FROM (SELECT o.id, o.at FROM meshhook.audit_log o ORDER BY o.id LIMIT p_limit) old
                            WHERE old.at < meshhook.now() - p_keep));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    RETURN v_gone;
END $$;

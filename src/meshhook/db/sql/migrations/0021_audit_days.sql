-- The audit log is kept for a time (meshhook/audit.py) and stays append-only for everybody else.
--
-- meshhook.forget_audit() removes the oldest entries. The trigger lets nothing pass but a deletion of that function, and never of what
-- is younger than a day, whatever it is told.
CREATE FUNCTION meshhook.refuse_change_but_forgetting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('meshhook.forgetting', true) = 'on' AND OLD.at < meshhook.now() - interval '1 day' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '%.% is immutable here: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation', HINT = TG_ARGV[0];
END $$;

DROP TRIGGER audit_log_is_append_only ON meshhook.audit_log;
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE ON meshhook.audit_log
    FOR EACH ROW EXECUTE FUNCTION meshhook.refuse_change_but_forgetting('The audit log is append-only.');

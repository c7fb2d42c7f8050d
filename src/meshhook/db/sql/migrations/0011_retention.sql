-- Trimming: the payloads of finished runs may be taken out of their journals before the journals themselves go.
--
-- The journal stays append-only but for this: meshhook.trim_write() replaces payloads by their hash and size, in runs that have
-- finished. The trigger lets nothing else pass: same row, same events in the same order, and a finished run.
CREATE FUNCTION meshhook.refuse_change_but_trimming() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('meshhook.trimming', true) = 'on'
       AND (NEW.shard, NEW.run_id, NEW.seq, NEW.epoch, NEW.at) = (OLD.shard, OLD.run_id, OLD.seq, OLD.epoch, OLD.at)
       AND NEW.claimed_at IS NOT DISTINCT FROM OLD.claimed_at
       AND meshhook.event_types(NEW.events) = meshhook.event_types(OLD.events)
       AND EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = OLD.shard AND r.id = OLD.run_id AND r.finished_at IS NOT NULL)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '%.% is immutable here: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation', HINT = TG_ARGV[0];
END $$;

DROP TRIGGER journal_is_append_only ON meshhook.journal;
CREATE TRIGGER journal_is_append_only BEFORE UPDATE ON meshhook.journal
    FOR EACH ROW EXECUTE FUNCTION meshhook.refuse_change_but_trimming('The journal is append-only.');

-- How far each shard is trimmed: every finished run up to done_to. Runs that were live then are trimmed later.
CREATE TABLE meshhook.trimming (
    shard   smallint PRIMARY KEY,
    done_to uuid NOT NULL
);
CREATE TABLE meshhook.trim_later (
    shard  smallint NOT NULL,
    run_id uuid NOT NULL,
    PRIMARY KEY (shard, run_id)
);

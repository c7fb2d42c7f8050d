-- Secrets, sealed by the programs and never opened by the database; and who changed what, and used which secret.
--
--   key-encryption key (outside: a file, the environment, a command)  wraps  data key (one a project)  seals  secrets
--
-- Lock order: the row of the project (FOR NO KEY UPDATE: changes of its secrets come one after the other), then data_keys, then
-- secrets. The row 'secrets_kek' of settings names the key-encryption key that new data keys are wrapped by: whoever makes one
-- holds that row, so that no process wraps by a key that was retired meanwhile.

CREATE TABLE meshhook.data_keys (
    project_id int NOT NULL REFERENCES meshhook.projects,
    version    int NOT NULL,
    kek        text NOT NULL,                  -- which key-encryption key: a fingerprint, see meshhook/sealing.py
    wrapped    bytea NOT NULL,                 -- nonce, data key and tag
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, version)
);
COMMENT ON TABLE meshhook.data_keys IS 'The newest one of a project seals; older ones are there while a rotation is under way.';

-- The highest version of a name is the current value; the one before it may stay valid for verifying signatures.
CREATE TABLE meshhook.secrets (
    project_id   int NOT NULL REFERENCES meshhook.projects,
    name         text NOT NULL,
    version      int NOT NULL,
    data_key     int NOT NULL,
    sealed       bytea NOT NULL,               -- nonce, value and tag; project, name and version are authenticated with it
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    valid_until  timestamptz,                  -- null: until it is replaced
    last_used_at timestamptz,                  -- to the minute
    PRIMARY KEY (project_id, name, version),
    FOREIGN KEY (project_id, data_key) REFERENCES meshhook.data_keys
);

CREATE TABLE meshhook.audit_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    project_id int,                            -- null: the whole installation
    actor      text NOT NULL,                  -- an API key, somebody at the command line, a process
    action     text NOT NULL,
    subject    text NOT NULL,
    detail     json NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_of_project ON meshhook.audit_log (project_id, id);
COMMENT ON TABLE meshhook.audit_log IS 'Who changed what, and used which secret. Append-only; never holds a value.';

CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE ON meshhook.audit_log
    FOR EACH ROW EXECUTE FUNCTION meshhook.refuse_change('The audit log is append-only.');
CREATE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON meshhook.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION meshhook.refuse_change('The audit log is append-only.');

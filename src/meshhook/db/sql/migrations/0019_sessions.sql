-- Who comes in by a browser: the password of the one person an installation has, and sessions, which a password or an API key opens.
--
-- Lock order: passwords or api_keys (FOR SHARE: neither may change while a session is opened by it), then sessions.

CREATE TABLE meshhook.passwords (
    project_id int PRIMARY KEY REFERENCES meshhook.projects,
    hash       text NOT NULL,                  -- '$scrypt$ln=15,r=8,p=3$salt$hash': with its parameters, so that they may be raised
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE meshhook.passwords IS 'The password that opens a project in a browser; only its scrypt hash.';

-- What `serve` prints while nobody can get in yet: whoever reads its log may choose the first password, once.
CREATE TABLE meshhook.setup_tokens (
    hash       bytea PRIMARY KEY,              -- SHA-256: a token has 256 random bits
    project_id int NOT NULL REFERENCES meshhook.projects,
    expires_at timestamptz NOT NULL
);

CREATE TABLE meshhook.sessions (
    hash       bytea PRIMARY KEY,              -- SHA-256 of the token in the cookie: a token has 256 random bits
    project_id int NOT NULL REFERENCES meshhook.projects,
    key_id     int REFERENCES meshhook.api_keys,   -- null: opened by the password
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),   -- to the minute
    expires_at timestamptz NOT NULL            -- however often it is seen
);
COMMENT ON TABLE meshhook.sessions IS 'Signed-in browsers. A session ends with its key, with a change of the password, unused, or by its age.';
CREATE INDEX sessions_of_opener ON meshhook.sessions (project_id, key_id, created_at);

-- How many deliveries an endpoint may take before it must wait, as all API processes share it. Unlogged, since it is worth
-- nothing after a crash: buckets are full again then. One small row an endpoint with a rate limit, updated in place.
CREATE UNLOGGED TABLE meshhook.rate_buckets (
    endpoint_id int PRIMARY KEY,
    tokens      double precision NOT NULL,
    filled_at   timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The public halves of keys that signed receipts. They stay when a key is exchanged: receipts are shown later.
CREATE TABLE meshhook.receipt_keys (
    id            text NOT NULL,               -- from the key itself: the first bytes of its SHA-256
    project_id    int NOT NULL REFERENCES meshhook.projects,
    public_key    bytea NOT NULL,
    first_used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (id, project_id)
);

-- Live runs a project may have before its deliveries are refused; null is no limit.
ALTER TABLE meshhook.projects ADD COLUMN backlog_max int CHECK (backlog_max > 0);

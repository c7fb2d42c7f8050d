-- How many deliveries an endpoint may take before it must wait, as all API processes share it. Unlogged, since it is worth
-- nothing after a crash: buckets are full again then. One small row an endpoint with a rate limit, updated in place.
CREATE UNLOGGED TABLE meshhook.rate_buckets (
    endpoint_id int PRIMARY KEY,
    tokens      double precision NOT NULL,
    filled_at   timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The clock of the database: the only one that leases, timers and expiry know. A test session sets meshhook.fake_now.
CREATE OR REPLACE FUNCTION meshhook.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(nullif(current_setting('meshhook.fake_now', true), '')::timestamptz, clock_timestamp())
$$;

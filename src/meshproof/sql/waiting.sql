-- What the engine's sessions wait for at this moment, by the part of it they belong to. A session that is in a transaction and waits for
-- the next statement waits for its client: Client:ClientRead.
SELECT coalesce(json_object_agg(what, sessions), '{}')::text AS waiting
FROM (SELECT CASE WHEN application_name LIKE 'meshhook-%' THEN application_name ELSE backend_type END || ' '
             || coalesce(wait_event_type || ':' || wait_event, 'CPU') AS what,
             count(*) AS sessions
      FROM pg_stat_activity
      WHERE pid <> pg_backend_pid()
        AND (state = 'active' OR (state = 'idle in transaction' AND application_name LIKE 'meshhook-%')
             OR (backend_type IN ('checkpointer', 'background writer', 'walwriter', 'autovacuum worker')
                 AND coalesce(wait_event_type, '') <> 'Activity'))
        AND coalesce(application_name, '') NOT LIKE 'meshproof%'
      GROUP BY 1) by_wait

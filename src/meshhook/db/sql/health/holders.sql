-- Who keeps dead rows from being removed, anywhere in this server: the oldest first, five at most.
SELECT what, who, extract(epoch FROM clock_timestamp() - since)::float8 AS age_s
FROM (SELECT 'transaction' AS what, xact_start AS since,
             format('process %s, %s, user %s, %s', pid, coalesce(nullif(application_name, ''), 'no name'), usename, state) AS who
      FROM pg_stat_activity
      WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid() AND backend_type = 'client backend'
      UNION ALL
      SELECT 'prepared transaction', prepared, format('%s, user %s', gid, owner) FROM pg_prepared_xacts
      UNION ALL
      SELECT 'replication slot', NULL, slot_name::text FROM pg_replication_slots WHERE xmin IS NOT NULL AND NOT active) holders
ORDER BY since NULLS FIRST
LIMIT 5

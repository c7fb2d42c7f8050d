-- What `meshhook doctor` asks any server, migrated or not.
SELECT current_setting('server_version_num')::int AS version,
       version() AS version_text,
       (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::int AS connections_max,
       pg_database_size(current_database()) AS database_bytes,
       coalesce((SELECT extract(epoch FROM clock_timestamp() - min(xact_start))
                 FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
                   AND backend_type = 'client backend'), 0)::float8 AS oldest_transaction_s

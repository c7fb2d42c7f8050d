-- What the metrics tell of the server and of small tables: one row, each part of it a probe of an index, a statistic, or bounded.
SELECT clock_timestamp() AS at, current_setting('server_version') AS version,
       current_setting('max_connections')::int AS connections_max,
       pg_database_size(current_database()) AS bytes,
       d.xact_commit AS committed, d.xact_rollback AS rolled_back, d.blks_hit AS hit, d.blks_read AS read,
       d.temp_bytes AS temporary_bytes, d.deadlocks,
       (SELECT wal_bytes::float8 FROM pg_stat_wal) AS wal_bytes,
       coalesce((SELECT extract(epoch FROM clock_timestamp() - min(xact_start)) FROM pg_stat_activity
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), 0)::float8 AS oldest_transaction_s,
       (SELECT count(*) FROM (SELECT FROM meshhook.dead_letters LIMIT 10000) letters) AS dead_letters,
       coalesce((SELECT greatest(0, extract(epoch FROM meshhook.now() - min(s.due_at))) FROM meshhook.schedules s
                 WHERE s.paused_at IS NULL), 0)::float8 AS schedule_lag_s,
       (SELECT count(*) FROM meshhook.operations o WHERE o.state = 'working') AS operations_working
FROM pg_stat_database d
WHERE d.datname = current_database()

-- The settings of the server that are not its own defaults, and those that decide what a commit costs.
SELECT name, current_setting(name) AS value
FROM pg_settings
WHERE source NOT IN ('default', 'override', 'client', 'session')
   OR name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'autovacuum', 'wal_level')
ORDER BY name

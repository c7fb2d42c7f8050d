-- The sessions of this database, for the metrics: what they do, and what those wait for that are at work.
SELECT coalesce(a.state, 'unknown') AS state,
       CASE WHEN a.state = 'active' THEN coalesce(a.wait_event_type, 'running') END AS type,
       CASE WHEN a.state = 'active' THEN coalesce(a.wait_event, 'running') END AS event,
       count(*)::int AS sessions
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
GROUP BY 1, 2, 3

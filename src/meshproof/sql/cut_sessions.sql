-- End sessions of the engine that are in the middle of a transaction, $1 of them at most. Returns those that were told to end.
SELECT application_name AS part, pid
FROM (SELECT application_name, pid FROM pg_stat_activity
      WHERE application_name LIKE 'meshhook-%' AND datname = current_database() AND xact_start IS NOT NULL
      ORDER BY md5(pid::text || $2) LIMIT $1) open
WHERE pg_terminate_backend(pid)

-- What is in flight at this moment: runs under a lease by who holds them, live runs, and the sessions of the engine that are in
-- the middle of a transaction, by their part of the engine.
SELECT coalesce((SELECT json_object_agg(owner, runs)
                 FROM (SELECT owner, count(*) AS runs FROM meshhook.tasks
                       WHERE owner IS NOT NULL AND due_at > clock_timestamp() GROUP BY owner) held), '{}')::text AS held,
       (SELECT count(*)::int FROM meshhook.tasks) AS live,
       coalesce((SELECT json_object_agg(part, pids)
                 FROM (SELECT application_name AS part, json_agg(pid) AS pids FROM pg_stat_activity
                       WHERE application_name LIKE 'meshhook-%' AND datname = current_database() AND xact_start IS NOT NULL
                       GROUP BY 1) open), '{}')::text AS busy

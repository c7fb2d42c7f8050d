-- What `meshhook doctor` asks a migrated database. $1: a worker that was seen within this time is alive.
SELECT (SELECT count(*)::int FROM meshhook.workers WHERE seen_at > meshhook.now() - $1::interval) AS workers_alive,
       (SELECT count(*)::int FROM meshhook.workers) AS workers_known,
       (SELECT count(*) FROM meshhook.tasks) AS live_runs,
       coalesce((SELECT extract(epoch FROM meshhook.now() - min(due_at)) FROM meshhook.tasks WHERE queue <> 1), 0)::float8 AS oldest_due_s,
       coalesce((SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'meshhook.tasks'::regclass), 0) AS tasks_dead,
       pg_table_size('meshhook.tasks'::regclass) AS tasks_bytes

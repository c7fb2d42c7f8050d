-- How many transactions have begun since this session's snapshot was taken; rows they killed cannot be removed.
SELECT age(backend_xmin) AS transactions,
       (SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables WHERE schemaname = 'meshhook') AS dead_rows
FROM pg_stat_activity WHERE pid = pg_backend_pid()

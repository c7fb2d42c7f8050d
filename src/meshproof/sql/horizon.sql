-- How many transactions have begun since the snapshot of another session was taken; rows they killed cannot be removed. That session
-- itself would always say none: in one transaction the age is counted to one and the same moment.
SELECT age(backend_xmin) AS transactions,
       (SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables WHERE schemaname = 'meshhook') AS dead_rows
FROM pg_stat_activity WHERE pid = $1

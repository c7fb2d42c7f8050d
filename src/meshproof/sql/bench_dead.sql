-- Rows of the queue that are deleted and not yet removed, as the statistics know them; how many were taken out of it since ever, by
-- claims and by commits under leases; and its size with indexes.
SELECT n_dead_tup AS dead, n_tup_del AS taken, pg_total_relation_size(relid) AS bytes
FROM pg_stat_user_tables WHERE schemaname = 'meshhook' AND relname = 'tasks'

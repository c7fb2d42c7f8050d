-- Rows of the queue that are deleted and not yet removed, as the statistics know them; and its size with indexes.
SELECT n_dead_tup AS dead, pg_total_relation_size(relid) AS bytes
FROM pg_stat_user_tables WHERE schemaname = 'meshhook' AND relname = 'tasks'

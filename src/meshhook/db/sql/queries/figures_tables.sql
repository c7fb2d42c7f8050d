-- Size and rows of our tables, for the metrics; the days of runs and journal are one each.
SELECT regexp_replace(s.relname, '_[0-9]{8}$', '') AS name,
       sum(pg_total_relation_size(s.relid))::float8 AS bytes,
       sum(s.n_live_tup)::float8 AS live,
       sum(s.n_dead_tup)::float8 AS dead
FROM pg_stat_user_tables s
WHERE s.schemaname = 'meshhook'
GROUP BY 1

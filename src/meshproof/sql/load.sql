-- What the database has done and is doing. Counters only ever grow; whoever reads them takes differences.
SELECT d.xact_commit + d.xact_rollback AS transactions,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal_bytes,
       d.tup_inserted AS tuples_inserted, d.tup_updated AS tuples_updated, d.tup_deleted AS tuples_deleted,
       d.blks_read AS blocks_read, d.blks_hit AS blocks_hit, d.deadlocks,
       d.numbackends AS connections,
       t.tables, l.locks, a.waits, f.functions
FROM pg_stat_database d,
     -- Partitions are added up under the name of their table.
     (SELECT json_object_agg(name, json_build_object('dead_tuples', dead, 'live_tuples', live, 'vacuums', vacuums,
                                                     'table_bytes', heap, 'index_bytes', indexes)) AS tables
      FROM (SELECT coalesce(parent.relname, s.relname) AS name, sum(s.n_dead_tup)::bigint AS dead,
                   sum(s.n_live_tup)::bigint AS live, sum(s.autovacuum_count + s.vacuum_count)::bigint AS vacuums,
                   sum(pg_table_size(s.relid))::bigint AS heap, sum(pg_indexes_size(s.relid))::bigint AS indexes
            FROM pg_stat_user_tables s
            LEFT JOIN pg_inherits i ON i.inhrelid = s.relid
            LEFT JOIN pg_class parent ON parent.oid = i.inhparent
            WHERE s.schemaname = 'meshhook'
            GROUP BY 1) by_table
      WHERE name IN ('runs', 'journal', 'tasks', 'dedupe')) t,
     (SELECT json_build_object('granted', count(*) FILTER (WHERE granted),
                               'waiting', count(*) FILTER (WHERE NOT granted)) AS locks
      FROM pg_locks) l,
     (SELECT coalesce(json_object_agg(wait, backends), '{}') AS waits
      FROM (SELECT coalesce(wait_event_type || ':' || wait_event, 'CPU') AS wait, count(*) AS backends
            FROM pg_stat_activity
            WHERE state = 'active' AND pid <> pg_backend_pid()
            GROUP BY 1) by_wait) a,
     -- Those of one name are added up; what a function calls is not in its own time.
     (SELECT coalesce(json_object_agg(funcname, json_build_object('calls', calls, 'ms', round(own::numeric, 3))), '{}') AS functions
      FROM (SELECT funcname, sum(calls) AS calls, sum(self_time) AS own
            FROM pg_stat_user_functions WHERE schemaname = 'meshhook' GROUP BY 1) by_function) f
WHERE d.datname = current_database()

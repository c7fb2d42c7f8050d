-- What is committed of one schedule, as others see it. Times are seconds after $2; runs lie between $3 and $4 (one partition).
SELECT (SELECT coalesce(json_agg(json_build_array(t.run_id, t.epoch, t.owner, extract(epoch FROM t.due_at - $2)::int, t.signaled,
                                                  t.queue)), '[]')
        FROM meshhook.tasks t WHERE t.shard = $1)::text AS tasks,
       (SELECT coalesce(json_agg(json_build_array(r.id, r.epoch, r.status, r.finished_at IS NOT NULL) ORDER BY r.id), '[]')
        FROM meshhook.runs r WHERE r.shard = $1 AND r.id BETWEEN $3 AND $4)::text AS runs,
       (SELECT coalesce(json_agg(json_build_array(j.run_id, j.seq, j.epoch, j.events) ORDER BY j.run_id, j.seq), '[]')
        FROM meshhook.journal j WHERE j.shard = $1 AND j.run_id BETWEEN $3 AND $4)::text AS journal,
       (SELECT coalesce(json_agg(json_build_array(s.run_id, s.number, s.kind, s.body) ORDER BY s.number), '[]')
        FROM meshhook.signals s WHERE s.shard = $1)::text AS signals,
       (SELECT coalesce(json_agg(json_build_array(w.run_id, w.node)), '[]')
        FROM meshhook.waits w WHERE w.shard = $1)::text AS waits

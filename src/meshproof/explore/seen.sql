-- What is committed of one schedule, as others see it. Times are seconds after p_start; runs lie between two ids (one partition).
CREATE SCHEMA meshproof;
CREATE FUNCTION meshproof.seen(p_shard smallint, p_start timestamptz, p_first uuid, p_last uuid,
                               OUT tasks text, OUT runs text, OUT journal text, OUT signals text, OUT waits text)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    tasks := (SELECT coalesce(json_agg(json_build_array(t.run_id, t.epoch, t.owner, extract(epoch FROM t.due_at - p_start)::int,
                                                        t.signaled, t.queue)), '[]')
              FROM meshhook.tasks t WHERE t.shard = p_shard);
    runs := (SELECT coalesce(json_agg(json_build_array(r.id, r.epoch, r.status, r.finished_at IS NOT NULL) ORDER BY r.id), '[]')
             FROM meshhook.runs r WHERE r.shard = p_shard AND r.id BETWEEN p_first AND p_last);
    journal := (SELECT coalesce(json_agg(json_build_array(j.run_id, j.seq, j.epoch, j.events) ORDER BY j.run_id, j.seq), '[]')
                FROM meshhook.journal j WHERE j.shard = p_shard AND j.run_id BETWEEN p_first AND p_last);
    signals := (SELECT coalesce(json_agg(json_build_array(s.run_id, s.number, s.kind, s.body) ORDER BY s.number), '[]')
                FROM meshhook.signals s WHERE s.shard = p_shard);
    waits := (SELECT coalesce(json_agg(json_build_array(w.run_id, w.node)), '[]')
              FROM meshhook.waits w WHERE w.shard = p_shard);
END $$;

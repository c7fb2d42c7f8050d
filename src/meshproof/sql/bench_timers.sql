-- When the timers of the runs from $1 (the least run id) on have fired, counted from their time; negative is early. In microseconds.
WITH told AS (
    SELECT k.run_id, k.at, e.event ->> 'type' AS type, e.event ->> 'node' AS node, (e.event ->> 'until')::timestamptz AS until
    FROM meshhook.journal k, json_array_elements(k.events) AS e (event)
    WHERE k.run_id >= $1 AND k.seq > 1
), fired AS (
    SELECT (extract(epoch FROM f.at - t.until) * 1000000)::bigint AS late_us
    FROM told t JOIN told f ON f.run_id = t.run_id AND f.node = t.node AND f.type = 'step.completed'
    WHERE t.type = 'timer.set'
)
SELECT count(*)::int AS timers, count(*) FILTER (WHERE late_us < 0)::int AS early,
       coalesce(min(late_us), 0) AS first_us, coalesce(max(late_us), 0) AS last_us
FROM fired

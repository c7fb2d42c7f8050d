-- The days that runs are stored by. Ahead: whole days prepared after today. Begun: days half way out (see meshhook/retention.py).
SELECT count(*) FILTER (WHERE d.day > today.day AND d.runs = 'attached' AND d.journal = 'attached')::int AS days_ahead,
       count(*) FILTER (WHERE d.day = today.day AND d.runs = 'attached' AND d.journal = 'attached') = 1 AS has_today,
       (today.day - min(d.day) FILTER (WHERE d.bytes > 0))::int AS oldest_days,
       coalesce(sum(d.bytes), 0)::bigint AS bytes,
       count(*) FILTER (WHERE d.runs IS DISTINCT FROM 'attached' OR d.journal IS DISTINCT FROM 'attached')::int AS begun,
       coalesce(array_agg(d.day::text ORDER BY d.day) FILTER (WHERE d.live > 0 AND d.day < today.day - $1::int), '{}') AS kept
FROM (SELECT (meshhook.now() AT TIME ZONE 'UTC')::date AS day) today, meshhook.partition_days() d
GROUP BY today.day

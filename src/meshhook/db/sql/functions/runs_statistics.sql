-- runs_statistics: what became of the runs that a project had accepted in each of p_buckets times of p_bucket_ms, from p_since on; by
-- workflow, or all together. A row whose bucket is null is for the whole time.
--
-- It reads p_blocks pages of runs, however many there were. Rows lie in the order in which they were written, which is nearly that of
-- their ids, so a time is a stretch of pages. A stretch that is short enough is read whole, along the primary key, and then the
-- figures are exact. From a longer one a page is taken at random out of each part of equal length, and counts are multiplied by that
-- length: `share` is the part that was read. Not from the beginning of each part, nor so many rows from each: schedules fire at full
-- minutes, and bursts would be counted for the quiet time behind them.
-- Test runs of drafts do not count.
--   p50_s, p95_s, p99_s  from acceptance to end, of runs that completed or failed
CREATE OR REPLACE FUNCTION meshhook.runs_statistics(
    p_project_id int, p_workflow_id int, p_since timestamptz, p_bucket_ms bigint, p_buckets int, p_by_workflow boolean, p_blocks int
) RETURNS TABLE (
    workflow_id int, bucket int, accepted float8, completed float8, failed float8, cancelled float8,
    p50_s float8, p95_s float8, p99_s float8, share float8
)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_shards  int := (SELECT value::int FROM meshhook.settings WHERE name = 'shards');
    v_since   bigint := floor(extract(epoch FROM p_since) * 1000);
    v_all     smallint[] := ARRAY(SELECT s::smallint FROM generate_series(0, v_shards - 1) AS s);
    v_low     uuid := meshhook.uuid_floor(p_since);
    v_high    uuid := meshhook.uuid_floor(p_since + p_bucket_ms * p_buckets * interval '1 ms');
    v_total   bigint := 0;
    v_parts   text[] := '{}';
    v_firsts  bigint[] := '{}';
    v_counts  bigint[] := '{}';
    v_taken   int;
    v_part    text;
    v_first   bigint;
    v_count   bigint;
    v_passing text := 'r.id >= $1 AND r.id < $2 AND r.project_id = $3 AND ($4::int IS NULL OR r.workflow_id = $4)
                       AND NOT EXISTS (SELECT FROM meshhook.versions v WHERE v.test_run = r.id)';
    v_looked  text;
BEGIN
    FOR v_part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'meshhook.runs'::regclass AND NOT i.inhdetachpending
          AND c.relname BETWEEN 'runs_' || to_char(meshhook.uuid_time(v_low) AT TIME ZONE 'UTC', 'YYYYMMDD')
                            AND 'runs_' || to_char(meshhook.uuid_time(v_high) AT TIME ZONE 'UTC', 'YYYYMMDD')
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT min(edge.block), max(edge.block) - min(edge.block) + 1
                        FROM generate_series(0, $3 - 1) AS s (shard), LATERAL (
                            (SELECT (r.ctid::text::point)[0]::bigint AS block FROM meshhook.%1$I r
                             WHERE r.shard = s.shard::smallint AND r.id >= $1 AND r.id < $2 ORDER BY r.id LIMIT 1)
                            UNION ALL
                            (SELECT (r.ctid::text::point)[0]::bigint FROM meshhook.%1$I r
                             WHERE r.shard = s.shard::smallint AND r.id >= $1 AND r.id < $2 ORDER BY r.id DESC LIMIT 1)) edge', v_part)
        INTO v_first, v_count USING v_low, v_high, v_shards;
        CONTINUE WHEN v_first IS NULL;
        v_parts := v_parts || v_part;
        v_firsts := v_firsts || v_first;
        v_counts := v_counts || v_count;
        v_total := v_total + v_count;
    END LOOP;

    IF v_total <= p_blocks THEN
        share := 1;
        v_looked := 'SELECT r.id, r.workflow_id, r.status, r.finished_at, 1::float8 AS weight FROM meshhook.runs r
                     WHERE r.shard = ANY ($8) AND ' || v_passing;
    ELSE
        share := p_blocks / v_total::float8;
        FOR v_index IN 1..cardinality(v_parts) LOOP
            v_taken := greatest(1, round(share * v_counts[v_index]));
            v_looked := concat_ws(' UNION ALL ', v_looked, format(
                'SELECT r.id, r.workflow_id, r.status, r.finished_at, %1$s / %2$s::float8 AS weight
                 FROM (SELECT %3$s + floor((n + random()) * %1$s / %2$s)::bigint AS block FROM generate_series(0, %2$s - 1) AS n) taken
                 CROSS JOIN LATERAL (SELECT * FROM meshhook.%4$I one
                                     WHERE one.ctid >= (''('' || taken.block || '',0)'')::tid
                                       AND one.ctid < (''('' || taken.block + 1 || '',0)'')::tid OFFSET 0) r
                 WHERE ', v_counts[v_index], v_taken, v_firsts[v_index], v_parts[v_index]) || v_passing);
        END LOOP;
    END IF;

    RETURN QUERY EXECUTE
        'WITH timed AS (
             SELECT looked.workflow_id, looked.status, looked.weight, ((made.ms - $5) / $6)::int AS bucket,
                    greatest(0, extract(epoch FROM looked.finished_at) - made.ms / 1000.0)::float8 AS seconds
             FROM (' || v_looked || ') looked
             CROSS JOIN LATERAL (SELECT (''x'' || substr(looked.id::text, 1, 8) || substr(looked.id::text, 10, 4))::bit(48)::bigint AS ms) made
         ), counted AS (
             SELECT ' || CASE WHEN p_by_workflow THEN 't.workflow_id' ELSE 'NULL::int AS workflow_id' END || ', t.bucket,
                    coalesce(sum(t.weight), 0) AS accepted,
                    coalesce(sum(t.weight) FILTER (WHERE t.status = ''completed''), 0) AS completed,
                    coalesce(sum(t.weight) FILTER (WHERE t.status = ''failed''), 0) AS failed,
                    coalesce(sum(t.weight) FILTER (WHERE t.status = ''cancelled''), 0) AS cancelled,
                    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.seconds)
                        FILTER (WHERE t.status IN (''completed'', ''failed'')) AS p
             FROM timed t
             GROUP BY GROUPING SETS ' || CASE WHEN p_by_workflow THEN '((t.workflow_id, t.bucket), (t.workflow_id))'
                                              ELSE '((t.bucket), ())' END || '
         )
         SELECT c.workflow_id, c.bucket, c.accepted, c.completed, c.failed, c.cancelled, c.p[1], c.p[2], c.p[3], $7
         FROM counted c'
    USING v_low, v_high, p_project_id, p_workflow_id, v_since, p_bucket_ms, share, v_all;
END $$;
